// SPDX-License-Identifier: Apache-2.0
// Pieces that the picture of a machine is made of. They are drawn once; a poll only changes their texts and attributes.
import { setAttribute, setText, svg } from "./dom";
import { amount, bytes } from "./format";
import type { Live, Rates } from "./live";
import { kindText, linkText, stateOf, type State, type TreeNode } from "./topology";

export const kPortHeight = 48;
const kCharacter = { head: 7.8, plain: 6.7, mono: 6.9 }; // pixels, as wide as most are
const kStruck_ms = 4000; // how long it can be seen that a fault struck

export interface Box {
    x: number;
    y: number;
    width: number;
    height: number;
}

/** "03:00.0": the domain stands where the bus is named. */
export const shortAddress = (address: string) => address.replace(/^[0-9a-f]+:(?=[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$)/, "");

/** "201 accesses/s, 49 KiB/s DMA", of what is not nought. */
function ratesText(rates: Rates): string {
    return [rates.accesses > 0 ? `${amount(rates.accesses)} accesses/s` : "",
            rates.interrupts > 0 ? `${amount(rates.interrupts)} interrupts/s` : "",
            rates.dma > 0 ? `${bytes(rates.dma)}/s DMA` : ""].filter(Boolean).join(", ");
}

/** All that is known of a node, in a line: the name of its piece. */
function sentence(live: Live, node: TreeNode, state: State | null, has_struck: boolean): string {
    const device = node.device ? live.devices.get(node.device) : undefined;
    const faults = device?.faults;
    return [node.label, kindText(node.kind), state?.text, has_struck ? "a fault struck" : "", device?.bdf ?? node.note,
            node.planned.slot ? `slot ${node.planned.slot}` : "", node.planned.hotplug ? "hot-plug" : "",
            node.planned.link ? linkText(node.planned.link) : "", node.planned.model,
            device?.total_vfs ? `${device.vfs ?? 0} of ${device.total_vfs} VFs` : "",
            faults && faults.active + faults.armed > 0 ? `faults: ${faults.active} active, ${faults.armed} armed` : "",
            ratesText(live.ratesOf(node)) || "idle"].filter(Boolean).join(", ");
}

/** A drawing and what keeps it alive. */
export class Sheet {
    readonly root = svg("svg", { class: "machine-picture", role: "group" });
    private readonly paints: ((live: Live) => void)[] = [];
    private readonly strikes = new Map<TreeNode, { count: number; at: number }>();
    private into: SVGElement = this.root;

    paint(live: Live): void {
        for (const [node, strikes] of this.strikes) {
            const count = live.devices.get(node.device!)?.faults?.struck ?? 0;
            if (strikes.count >= 0 && count > strikes.count) strikes.at = performance.now();
            strikes.count = count;
        }
        for (const one of this.paints) one(live);
    }

    /** Does `work` at each paint. */
    onPaint(work: (live: Live) => void): void {
        this.paints.push(work);
    }

    /** Whether a fault of the device struck a moment ago. */
    hasStruck(node: TreeNode): boolean {
        const strikes = this.strikes.get(node);
        return strikes !== undefined && performance.now() - strikes.at < kStruck_ms;
    }

    rect(box: Box, classes: string, radius = 6): SVGRectElement {
        const { x, y, width, height } = box;
        const element = svg("rect", { x, y, width: Math.max(0, width), height, rx: radius, class: classes });
        this.into.append(element);
        return element;
    }

    path(d: string, classes: string): SVGPathElement {
        const element = svg("path", { d, class: classes });
        this.into.append(element);
        return element;
    }

    /** Text that is cut where it would be longer than `room` pixels. */
    text(x: number, y: number, classes: string, content: string, room = Infinity): SVGTextElement {
        const element = svg("text", { x, y, class: classes }, shortened(content, classes, room));
        this.into.append(element);
        return element;
    }

    /** What `draw` draws is one piece, which stands for `node`: it can be chosen, and says in words what it is. */
    piece(node: TreeNode, draw: () => void, classes = "piece"): void {
        const group = svg("g", { class: classes });
        const title = svg("title");
        group.append(title);
        const outer = this.into;
        outer.append(group);
        this.into = group;
        draw();
        this.into = outer;
        if (node.device) {
            group.dataset.id = node.id;
            setAttribute(group, "role", "button");
            setAttribute(group, "tabindex", "-1");
            this.strikes.set(node, { count: -1, at: -kStruck_ms });
        }
        this.onPaint((live) => {
            const device = node.device ? live.devices.get(node.device) : undefined;
            const state = node.device ? stateOf(device) : null;
            const words = sentence(live, node, state, this.hasStruck(node));
            setText(title, words);
            if (node.device) setAttribute(group, "aria-label", words);
            setAttribute(group, "data-tone", state?.tone ?? null);
            setAttribute(group, "data-struck", this.hasStruck(node) ? "" : null);
        });
    }

    /** The state of a device in a word, with a shape before it that says the same; ends at `x`. */
    state(node: TreeNode, x: number, y: number): void {
        const text = this.text(x, y, "state-text end", "");
        this.onPaint((live) => {
            const now = stateOf(live.devices.get(node.device ?? ""));
            const state: State = this.hasStruck(node) && now.tone === "ok" ? { text: "struck", tone: "bad" } : now;
            setText(text, `${kShapes[state.tone]} ${state.text}`);
            setAttribute(text, "data-tone", state.tone);
        });
    }

    /** A root port or port of a switch, and the link from it, `length` long: configured speed and width above it, below it
     * what passes. Returns where it ends. */
    port(node: TreeNode, x: number, y: number, width: number, length: number): number {
        const middle = y + kPortHeight / 2;
        const { slot, link, hotplug } = node.planned;
        this.piece(node, () => {
            this.rect({ x, y, width, height: kPortHeight }, hotplug ? "port hot" : "port");
            this.text(x + width / 2, y + 20, "mid", slot ? `slot ${slot}` : node.label, width - 8);
            this.text(x + width / 2, y + 38, "mono mid", shortAddress(node.note), width - 8);
        });
        const end = x + width + length;
        if (node.children.length === 0) return end;
        const line = this.path(`M ${x + width} ${middle} H ${end}`, "link");
        if (link) this.text(x + width + length / 2, middle - 7, "dim mid", `gen${link.generation} x${link.width}`, length);
        const below = this.text(x + width + length / 2, middle + 16, "dim mid", "");
        this.onPaint((live) => {
            const device = node.device ? live.devices.get(node.device) : undefined;
            const first = live.devices.get(node.children[0]?.device ?? "");
            const is_down = device?.link_up === false || first?.link_up === false || first?.present === false;
            const rates = live.ratesOf(node);
            const passes = rates.dma > 0 ? `${bytes(rates.dma)}/s` : rates.accesses > 0 ? `${amount(rates.accesses)}/s` : "";
            const words = is_down ? "link down" : passes || (hotplug ? "hot-plug" : "");
            setText(below, words);
            setAttribute(below, "data-tone", is_down ? "bad" : null);
            setAttribute(line, "data-tone", is_down ? "bad" : null);
            setAttribute(line, "stroke-width", is_down ? "2" : thickness(rates).toFixed(1));
        });
        return end;
    }
}

const kShapes: Record<State["tone"], string> = { ok: "\u25cf", idle: "\u25cb", warn: "\u25c7", bad: "\u25a0", off: "\u2013" };

// More with each factor of a hundred, of DMA bytes and accesses alike.
function thickness(rates: Rates): number {
    const passing = rates.accesses * 4 + rates.dma;
    return passing <= 0 ? 2 : Math.min(7, 2.5 + Math.log10(1 + passing) / 2);
}

function shortened(text: string, classes: string, room: number): string {
    const of = classes.includes("mono") ? kCharacter.mono : classes.includes("head") ? kCharacter.head : kCharacter.plain;
    const most = Math.max(3, Math.floor(room / of));
    return text.length <= most ? text : `${text.slice(0, most - 1)}\u2026`;
}
