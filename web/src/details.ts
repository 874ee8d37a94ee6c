// SPDX-License-Identifier: Apache-2.0
// The right half: the picture of the machine, or the device that was chosen: its name and state, and four tabs (ARIA tabs
// pattern). A tab is made when it is shown and ended when another is, so that only what is seen is asked for.
import type { Api } from "./api";
import { h, setAttribute, setText } from "./dom";
import { faultsTab } from "./faults_tab";
import type { Live } from "./live";
import type { Names } from "./names";
import { Picture } from "./picture";
import { overviewTab } from "./overview_tab";
import { registersTab } from "./registers_tab";
import { kindText, stateOf, type TreeNode } from "./topology";
import { traceTab } from "./trace_tab";

/** What a tab is given. */
export interface TabContext {
    api: Api;
    live: Live;
    node: TreeNode;
    device: string;
    panel: HTMLElement;
    signal: AbortSignal; // aborts when the tab is left
    changed: () => void; // something was done that other views should show at once
    names: Names;
    filter: string; // of the registers' names
    filtered: (text: string) => void; // it is another now
}

/** A tab fills its panel, and may return what to do after each poll of the devices. */
export type Tab = (context: TabContext) => (() => void) | void;

const kTabs: [string, string, Tab][] = [
    ["overview", "Overview", overviewTab],
    ["registers", "Registers", registersTab],
    ["trace", "Trace", traceTab],
    ["faults", "Faults", faultsTab],
];

export const isTab = (id: string): boolean => kTabs.some(([known]) => known === id);

/** What the pane asks the page to do. */
export interface DetailsActs {
    changed: () => void; // of TabContext
    back: () => void; // to the tree
    toPicture: () => void;
    choose: (node: TreeNode, by_keyboard: boolean) => void; // in the picture
    moved: (device: string, tab: string) => void; // another device or tab is shown
    filtered: (text: string) => void; // of TabContext
}

export class Details {
    private node: TreeNode | null = null;
    private live: Live | null = null;
    filter = ""; // of the registers' names, for the next tab that is opened
    private tab = "overview";
    private leave = new AbortController();
    private update: (() => void) | void = undefined;
    private title = h("h2", { id: "details-title", tabindex: "-1" });
    private state = h("span", { class: "state" });
    private readonly picture: Picture;

    constructor(private readonly root: HTMLElement, private readonly api: Api, private readonly names: Names,
                private readonly acts: DetailsActs) {
        this.picture = new Picture(acts.choose);
        root.addEventListener("keydown", (event) => {
            if (event.key === "Escape" && !event.defaultPrevented) this.acts.back();
        });
        this.show(null, null);
    }

    /** Another device, on `tab` or the one that was open last; without one the picture of the machine, if there is one. */
    show(live: Live | null, node: TreeNode | null, tab = ""): void {
        const other_tab = isTab(tab) && tab !== this.tab;
        if (other_tab) this.tab = tab;
        if (node && this.node && node.id === this.node.id && live === this.live) {
            document.body.classList.add("has-details");
            if (other_tab) this.open(tab);
            return;
        }
        this.live = live;
        this.node = node;
        this.leave.abort();
        this.update = undefined;
        document.body.classList.toggle("has-details", node !== null); // where there is room for one pane only
        if (!node || !live) {
            this.showPicture(live);
            return;
        }
        const tabs = h("div", { role: "tablist", class: "tabs", "aria-label": "Views of the device" });
        for (const [id, text] of kTabs) {
            tabs.append(h("button", {
                type: "button", role: "tab", id: `tab-${id}`, "aria-controls": "panel", onclick: () => this.open(id),
            }, text));
        }
        tabs.addEventListener("keydown", (event) => this.onTabKey(event));
        setText(this.title, node.label);
        this.root.replaceChildren(
            h("div", { class: "pane-head" }, this.title, h("span", { class: "muted" }, kindText(node.kind)), this.state,
              h("span", { class: "gap" }),
              ...this.ways()),
            tabs, h("div", { role: "tabpanel", id: "panel", class: "panel", tabindex: "0" }));
        this.open(this.tab);
    }

    // Where one may go from a device. In a narrow window the pane covers the tree.
    private ways(): HTMLElement[] {
        const { back, toPicture } = this.acts;
        return [h("button", { type: "button", class: "quiet to-picture", onclick: toPicture }, "Picture"), this.wayBack(back)];
    }

    private wayBack(back: () => void): HTMLElement {
        return h("button", { type: "button", class: "quiet back", "aria-label": "Back to the tree", onclick: back }, "Tree");
    }

    private showPicture(live: Live | null): void {
        if (!live) {
            this.root.replaceChildren();
            return;
        }
        this.root.replaceChildren(
            h("div", { class: "pane-head" }, h("h2", { id: "picture-title" }, "Picture"),
              h("span", { class: "muted" }, "a piece opens its device"), h("span", { class: "gap" }), this.wayBack(this.acts.back)),
            h("div", { class: "picture-scroll", tabindex: "-1" }, this.picture.element));
        this.picture.show(live);
    }

    /** Whether something of `live` is shown. */
    isOf(live: Live): boolean {
        return this.live === live;
    }

    /** Whether `device` is shown, on `tab` if that is not empty. */
    shows(device: string, tab: string): boolean {
        return this.node?.device === device && (tab === "" || tab === this.tab);
    }

    /** After each poll. */
    refresh(): void {
        if (!this.live) return;
        if (!this.node) {
            this.picture.paint();
            return;
        }
        const state = stateOf(this.live.devices.get(this.node.device ?? ""));
        setText(this.state, state.text);
        setAttribute(this.state, "data-tone", state.tone);
        if (this.update) this.update();
    }

    focus(): void {
        this.root.querySelector<HTMLElement>(this.node ? "[role=tab][aria-selected=true]" : ".picture [tabindex='0']")?.focus();
    }

    private open(id: string): void {
        this.tab = id;
        this.leave.abort();
        this.leave = new AbortController();
        for (const tab of this.root.querySelectorAll("[role=tab]")) {
            const is_open = tab.id === `tab-${id}`;
            setAttribute(tab, "aria-selected", String(is_open));
            setAttribute(tab, "tabindex", is_open ? "0" : "-1");
        }
        const panel = this.root.querySelector<HTMLElement>("[role=tabpanel]")!;
        panel.replaceChildren();
        setAttribute(panel, "aria-labelledby", `tab-${id}`);
        const make = kTabs.find(([name]) => name === id)![2];
        this.update = make({
            api: this.api, live: this.live!, node: this.node!, device: this.node!.device!, panel,
            signal: this.leave.signal, changed: this.acts.changed, names: this.names,
            filter: this.filter,
            filtered: (text) => {
                this.filter = text;
                this.acts.filtered(text);
            },
        });
        this.refresh();
        this.acts.moved(this.node!.device!, id);
    }

    private onTabKey(event: KeyboardEvent): void {
        const at = kTabs.findIndex(([id]) => id === this.tab);
        const moves: Record<string, number> = {
            ArrowRight: (at + 1) % kTabs.length, ArrowLeft: (at + kTabs.length - 1) % kTabs.length,
            Home: 0, End: kTabs.length - 1,
        };
        const to = moves[event.key];
        if (to === undefined) return;
        event.preventDefault();
        this.open(kTabs[to]![0]);
        this.focus();
    }
}

/** Calls `work` now and then every `interval_ms` until `signal` aborts; never two at a time, never unseen. */
export async function repeat(signal: AbortSignal, interval_ms: number, work: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
        if (!document.hidden) await work();
        await new Promise((done) => setTimeout(done, interval_ms));
    }
}
