// SPDX-License-Identifier: Apache-2.0
// The page: which machine is shown, the polls that keep it live, and the way back when the server was away.
import { Api, ApiError, keepToken, machinePath, messageOf, takeToken } from "./api";
import { Details, isTab } from "./details";
import { byId, errorBox, h, setAttribute, setText } from "./dom";
import { EventLog } from "./event_log";
import { amount, bytes, uptime } from "./format";
import { Live } from "./live";
import { MediatorsView } from "./mediators_view";
import { Names } from "./names";
import { readPlace, writePlace, type Place } from "./place";
import { setUpTheme } from "./theme";
import { planOf, type TreeNode } from "./topology";
import { TreeView } from "./tree_view";
import type { LiveEvent, Machine } from "./types";

const kPoll_ms = 1000;
const kSoon_ms = 500; // after an event: the next poll, never more than two a second
const kRetry_ms = [500, 1000, 2000, 5000];

const kFirstSteps: [string, string][] = [
    ["Write the file of a machine, by a few questions:", "mimic new FILE"],
    ["Boot it, with the devices that are not there:", "mimic up FILE"],
    ["What it would be, without booting:", "mimic plan FILE"],
];

class Page {
    private readonly api = new Api();
    private readonly names = new Names(this.api);
    private readonly picker = byId<HTMLSelectElement>("machines");
    private readonly filter = byId<HTMLInputElement>("filter");
    private readonly log = new EventLog(byId("events"));
    private readonly tree: TreeView;
    private readonly details: Details;
    private readonly mediators = new MediatorsView(byId("mediators"), this.api, () => this.wake?.());
    private live: Live | null = null;
    private machines: Machine[] = [];
    private wake: (() => void) | null = null;
    private failures = 0;
    private stream_open = false;
    private place = readPlace(); // what is looked at, or was asked for and is not there yet

    constructor() {
        const open = (node: TreeNode, by_keyboard: boolean) => {
            this.details.show(this.live, node);
            if (by_keyboard) this.details.focus();
        };
        this.tree = new TreeView(byId("tree"), byId("rows"), open);
        this.details = new Details(byId("details"), this.api, this.names, {
            changed: () => this.wake?.(),
            back: () => this.leaveDetails(),
            toPicture: () => this.showPicture(),
            choose: (node, by_keyboard) => {
                this.tree.reveal(node.device!);
                open(node, by_keyboard);
            },
            moved: (device, tab) => this.goTo({ machine: this.live!.machine, device, tab, view: "" }),
            filtered: (registers) => this.goTo({ registers }),
        });
        byId("to-picture").addEventListener("click", () => this.showPicture());
        this.filter.addEventListener("input", () => {
            this.tree.filter(this.filter.value);
            this.goTo({ filter: this.filter.value });
        });
        byId("fold").addEventListener("click", () => this.tree.foldAll(true));
        byId("unfold").addEventListener("click", () => this.tree.foldAll(false));
        byId("clear-events").addEventListener("click", () => this.log.clear());
        this.picker.addEventListener("change", () => {
            this.choose(this.picker.value);
            this.goTo({ machine: this.picker.value, device: "", tab: "", view: "" });
            this.wake?.();
        });
        byId("view-machines").addEventListener("click", () => this.look(""));
        byId("view-mediators").addEventListener("click", () => this.look("mediators"));
        document.addEventListener("visibilitychange", () => this.wake?.());
        window.addEventListener("hashchange", () => this.onAddress());
        setUpTheme(byId("theme"));
    }

    // What is looked at is another now in these parts; the others stay.
    private goTo(parts: Partial<Place>): void {
        this.place = { ...this.place, ...parts };
        writePlace(this.place);
        this.showTitle();
    }

    private showTitle(): void {
        const { view, device, machine } = this.place;
        const parts = view === "mediators" ? ["Mediators"] : [device, machine || this.picker.value];
        document.title = [...parts, "Mimic"].filter(Boolean).join(" \u00b7 ");
    }

    private leaveDetails(): void {
        document.body.classList.remove("has-details");
        if (this.place.view === "picture") this.goTo({ view: "" });
        this.tree.focus();
    }

    // The picture in place of the device; where there is little room, in place of the tree.
    private showPicture(): void {
        if (!this.live) return;
        this.goTo({ machine: this.live.machine, device: "", tab: "", view: "picture" });
        this.tree.select(null);
        this.details.show(this.live, null);
        document.body.classList.add("has-details");
        this.details.focus();
    }

    // Machines or mediators; the rest of the place stays.
    private look(view: string): void {
        this.goTo({ view });
        this.showView();
        this.wake?.();
    }

    private showView(): void {
        const mediators = this.place.view === "mediators";
        document.body.classList.toggle("show-mediators", mediators);
        setAttribute(byId("view-machines"), "aria-pressed", String(!mediators));
        setAttribute(byId("view-mediators"), "aria-pressed", String(mediators));
    }

    // Somebody changed the address of the page that is open.
    private onAddress(): void {
        this.api.token = takeToken();
        this.place = readPlace();
        if (this.machines.some((machine) => machine.name === this.place.machine)) this.picker.value = this.place.machine;
        this.applyFilters();
        if (this.live && this.place.device === "" && this.place.machine === this.live.machine) {
            this.tree.select(null);
            this.details.show(this.live, null);
            document.body.classList.toggle("has-details", this.place.view === "picture");
        }
        if (this.live) this.goToPlace(this.live);
        this.showView();
        this.showTitle();
        this.wake?.();
    }

    private applyFilters(): void {
        this.filter.value = this.place.filter;
        this.tree.filter(this.place.filter);
        this.details.filter = this.place.registers;
    }

    // Shows the device that the address names as soon as it is there: it may be a VF that the guest has yet to enable.
    private goToPlace(live: Live): void {
        const { machine, device } = this.place;
        const tab = isTab(this.place.tab) ? this.place.tab : "";
        if (machine !== live.machine || device === "" || this.details.shows(device, tab)) return;
        const node = this.tree.reveal(device);
        if (node) this.details.show(live, node, tab);
    }

    run(): void {
        this.api.token = takeToken();
        this.applyFilters();
        void this.pollForEver();
        void this.listenForEver();
    }

    private async pollForEver(): Promise<void> {
        for (;;) {
            let wait = kPoll_ms;
            try {
                if (this.api.token === "") throw new ApiError(401, "", "");
                if (!document.hidden) await this.poll();
                this.failures = 0;
                document.body.classList.remove("locked");
            } catch (error) {
                wait = kRetry_ms[Math.min(this.failures++, kRetry_ms.length - 1)]!;
                this.showFailure(error, wait);
            }
            this.showConnection();
            await this.pause(wait);
        }
    }

    // Until `wait_ms` have passed or somebody wakes us, but at least kSoon_ms: no storm of events makes a storm of polls.
    private async pause(wait_ms: number): Promise<void> {
        const started = performance.now();
        await new Promise<void>((done) => {
            this.wake = done;
            setTimeout(done, wait_ms);
        });
        this.wake = null;
        const rest = kSoon_ms - (performance.now() - started);
        if (rest > 0) await new Promise((done) => setTimeout(done, rest));
    }

    private async poll(): Promise<void> {
        const never = new AbortController().signal;
        const looks_at_mediators = this.place.view === "mediators";
        const some = (await this.mediators.poll(looks_at_mediators)) > 0;
        byId("views").hidden = !some && !looks_at_mediators;
        this.showView();
        const { machines } = await this.api.get<{ machines: Machine[] }>("/v1/machines");
        this.showMachines(machines);
        const current = machines.find((machine) => machine.name === this.picker.value);
        if (!current || current.state === "ended") {
            this.showNothing(current);
            return;
        }
        if (!this.live || this.live.machine !== current.name) {
            const whole = await this.api.get<Machine>(machinePath(current.name));
            this.live = new Live(current.name, planOf(whole.plan, current.name));
            this.tree.show(this.live);
        }
        const changed = await this.live.poll(this.api, never);
        await this.names.learn(this.live.devices.values(), never);
        byId("empty").hidden = true;
        if (changed || this.place.filter !== "") this.tree.reshape(); // a state that is filtered by may be another
        else this.tree.paint();
        if (!this.details.isOf(this.live)) {
            this.details.show(this.live, null);
            document.body.classList.toggle("has-details", this.place.view === "picture");
        }
        this.goToPlace(this.live);
        this.showTitle();
        this.details.refresh();
        this.showSums(current);
    }

    private showMachines(machines: Machine[]): void {
        const names = machines.map((machine) => machine.name);
        if (names.join("\n") !== this.machines.map((machine) => machine.name).join("\n")) {
            const chosen = this.picker.value || this.place.machine || sessionStorage.getItem("mimic-machine") || "";
            this.picker.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
            this.picker.value = names.includes(chosen) ? chosen : names[0] ?? "";
        }
        this.picker.disabled = names.length === 0;
        this.machines = machines;
    }

    private choose(name: string): void {
        sessionStorage.setItem("mimic-machine", name);
    }

    private showNothing(ended: Machine | undefined): void {
        this.live = null;
        this.tree.show(null);
        this.details.show(null, null);
        setText(byId("machine-state"), "");
        setText(byId("tree-sum"), "");
        const words = ended ? `The machine ${ended.name} has ended. ${ended.reason ?? ""}` : "No machine runs.";
        this.fillEmpty(`nothing ${words}`, () => [h("div", { class: "nothing" },
            h("div", {}, h("p", {}, h("b", {}, words)), h("p", {}, "One that is started appears here by itself.")),
            h("div", {}, ...kFirstSteps.flatMap(([what, command]) => [h("p", {}, what), h("pre", {}, command)])))]);
    }

    // Replaces the words in place of the tree unless they stand there already: what is typed there must survive polls.
    private fillEmpty(key: string, make: () => HTMLElement[]): void {
        const empty = byId("empty");
        if (empty.dataset.key !== key || empty.hidden) empty.replaceChildren(...make());
        empty.dataset.key = key;
        empty.hidden = false;
    }

    private showFailure(error: unknown, wait_ms: number): void {
        const status = error instanceof ApiError ? error.status : 0;
        const locked = status === 401 || status === 403;
        document.body.classList.toggle("locked", locked);
        if (status === 404) this.live = null; // the machine went between two requests
        if (locked) {
            this.live = null;
            this.tree.show(null);
            this.details.show(null, null);
            setText(byId("machine-state"), "");
            this.fillEmpty(`token ${this.api.token}`, () => this.tokenForm(this.api.token !== ""));
            setText(byId("banner"), "");
            return;
        } else if (!this.live) {
            this.fillEmpty(messageOf(error), () => [errorBox(messageOf(error))]);
        }
        setText(byId("banner"), `${messageOf(error)} Trying again every ${Math.ceil(wait_ms / 1000)} s.`);
    }

    private tokenForm(was_wrong: boolean): HTMLElement[] {
        const input = h("input", { type: "password", id: "token", autocomplete: "off", required: true, autofocus: true });
        const form = h("form", { class: "token" }, h("label", { for: "token" }, "Token"), input, h("button", {}, "Use it"));
        form.addEventListener("submit", (event) => {
            event.preventDefault();
            keepToken(input.value.trim());
            this.api.token = input.value.trim();
            this.wake?.();
        });
        const what = was_wrong ? "This token is not the one of the server, or no longer." : "This page needs the token of its server.";
        return [
            was_wrong ? errorBox(what) : h("p", {}, h("b", {}, what)),
            h("p", {}, "Open the address that ", h("code", {}, "mimic web"), " printed in its terminal, or enter what stands there behind ",
              h("code", {}, "token="), ". A new ", h("code", {}, "mimic web"), " has a new one."),
            form,
        ];
    }

    private showConnection(): void {
        const element = byId("connection");
        const away = this.failures > 0;
        const locked = document.body.classList.contains("locked");
        setText(element, locked ? "no token" : away ? "not connected" : this.stream_open ? "live" : "live, no events");
        setAttribute(element, "data-tone", locked ? "warn" : away ? "bad" : this.stream_open ? "ok" : "warn");
        byId("banner").hidden = !away || locked;
        document.body.classList.toggle("stale", away);
    }

    private showSums(machine: Machine): void {
        const live = this.live!;
        const rates = live.tree.roots.map((root) => live.ratesOf(root));
        const sum = (of: "accesses" | "interrupts" | "dma") => rates.reduce((total, one) => total + one[of], 0);
        const silent = live.silent.length ? `; no answer from ${live.silent.join(", ")}` : "";
        setText(byId("tree-sum"), `${live.devices.size} devices, ${amount(sum("accesses"))} accesses/s, ` +
            `${amount(sum("interrupts"))} IRQ/s, ${bytes(sum("dma"))}/s DMA${silent}`);
        const since = machine.started_us ? `, up ${uptime(Date.now() / 1000 - machine.started_us / 1e6)}` : "";
        setText(byId("machine-state"), `${machine.state}${since}${machine.reason ? `: ${machine.reason}` : ""}`);
    }

    private async listenForEver(): Promise<void> {
        const never = new AbortController().signal;
        for (let failures = 0;; ++failures) {
            try {
                if (this.api.token === "") throw new ApiError(401, "", "");
                await this.api.events("/v1/events", () => {
                    failures = 0;
                    this.stream_open = true;
                    this.showConnection();
                }, (event) => this.onEvent(event), never);
            } catch {
                // Whatever it was, pollForEver() meets it too and says it.
            }
            this.stream_open = false;
            this.showConnection();
            await new Promise((done) => setTimeout(done, kRetry_ms[Math.min(failures, kRetry_ms.length - 1)]));
        }
    }

    private onEvent(event: LiveEvent): void {
        this.log.add(event);
        this.wake?.();
    }
}

new Page().run();
