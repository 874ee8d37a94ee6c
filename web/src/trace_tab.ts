// SPDX-License-Identifier: Apache-2.0
// Trace: the recent events of the device out of the machine's ring buffer, newest last. Recording is off until somebody
// turns it on; the page can, for this device.
import { machinePath, messageOf } from "./api";
import { repeat, type Tab, type TabContext } from "./details";
import { errorBox, h, setText } from "./dom";
import { bytes, count } from "./format";
import type { TraceEvent, TraceEvents, TraceStatus } from "./types";

const kInterval_ms = 1000;
const kShown = 400; // events in the document; the rest is in the buffer
const kBatch = 1000;
const kBacklog = 20_000; // a fuller buffer is not read from its start: what is recent would come last

function isRecorded(status: TraceStatus, device: string): boolean {
    return status.enabled && (status.devices === "all" || status.devices.includes(device));
}

function detailOf(event: TraceEvent): string {
    const hex = (value: string | number) => (typeof value === "number" ? `0x${value.toString(16)}` : value);
    const parts = [
        event.reg,
        event.addr === undefined ? "" : `${event.bar === undefined ? "" : `BAR${event.bar}+`}${hex(event.addr)}`,
        event.size === undefined ? "" : `${event.size} B`,
        event.value === undefined ? "" : `= ${event.value}`,
        Object.entries(event.fields ?? {}).filter(([, value]) => value !== "0x0")
            .map(([name, value]) => (value === "0x1" ? name : `${name}=${value}`)).join(" "),
        event.data === undefined ? "" : `data ${event.data.slice(0, 64)}`,
        event.access === undefined ? "" : ["", "for reading", "for writing", "for both"][event.access] ?? "",
        event.vector === undefined ? "" : `vector ${event.vector}`,
        event.dur === undefined ? "" : `took ${event.dur < 10_000 ? `${event.dur} ns` : `${(event.dur / 1000).toFixed(0)} \u00b5s`}`,
        event.severity,
        event.text,
        // Whatever else is true of it, by its name.
        ...Object.entries(event).filter(([, value]) => value === true).map(([name]) => name),
    ];
    return parts.filter(Boolean).join("  ");
}

class TraceView {
    private readonly status = h("p", { class: "muted", role: "status" });
    private readonly problem = h("div");
    private readonly record = h("button", { type: "button", disabled: true }, "Record this device");
    private readonly pause = h("button", { type: "button", "aria-pressed": "false" }, "Pause");
    private readonly rows = h("tbody");
    private readonly scroller: HTMLElement;
    private settings: TraceStatus | null = null;
    private cursor: string | null = null;
    private first_t: number | null = null;

    constructor(private readonly context: TabContext) {
        this.record.addEventListener("click", () => void this.toggleRecording());
        this.pause.addEventListener("click", () => {
            const paused = this.pause.getAttribute("aria-pressed") !== "true";
            this.pause.setAttribute("aria-pressed", String(paused));
        });
        const clear = h("button", { type: "button", onclick: () => this.rows.replaceChildren() }, "Clear");
        this.scroller = h("div", { class: "trace", tabindex: "0", role: "region", "aria-label": "Events of the device" },
            h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "number" }, "Time (s)"),
                h("th", { scope: "col" }, "Event"), h("th", { scope: "col" }, "What"))), this.rows));
        context.panel.append(h("div", { class: "tools" }, this.record, this.pause, clear), this.status, this.problem, this.scroller);
        void repeat(context.signal, kInterval_ms, () => this.load());
    }

    private get path(): string {
        return `${machinePath(this.context.live.machine)}/trace`;
    }

    private async load(): Promise<void> {
        const { api, device, signal } = this.context;
        try {
            this.settings = await api.get<TraceStatus>(this.path, signal);
            this.showStatus(this.settings);
            if (this.pause.getAttribute("aria-pressed") !== "true" && isRecorded(this.settings, device)) await this.read();
            this.problem.replaceChildren();
        } catch (error) {
            if (!signal.aborted) this.problem.replaceChildren(errorBox(messageOf(error)));
        }
    }

    private showStatus(status: TraceStatus): void {
        const is_on = isRecorded(status, this.context.device);
        this.record.disabled = false;
        setText(this.record, is_on ? "Stop recording" : "Record this device");
        setText(this.status, is_on
            ? `Recording into ${bytes(status.buffer_bytes)}: ${count(status.events)} events of the machine, ` +
              `${count(status.dropped)} overwritten.`
            : "This device is not recorded.");
    }

    // Adds the device to what is recorded, or takes it away; other settings stay.
    private async toggleRecording(): Promise<void> {
        const { api, device, live } = this.context;
        const status = this.settings;
        if (!status) return;
        const all = [...live.devices.keys()];
        const recorded = !status.enabled ? [] : status.devices === "all" ? all : status.devices;
        const devices = isRecorded(status, device) ? recorded.filter((name) => name !== device) : [...recorded, device];
        try {
            await api.send("PUT", this.path, { enabled: devices.length > 0, devices });
            this.cursor = null;
            await this.load();
        } catch (error) {
            this.problem.replaceChildren(errorBox(messageOf(error)));
        }
    }

    private async read(): Promise<void> {
        const follow = this.scroller.scrollTop + this.scroller.clientHeight >= this.scroller.scrollHeight - 4;
        if (this.cursor === null && this.settings!.events > kBacklog) this.cursor = this.settings!.newest;
        for (let batch = 0; batch < kBacklog / kBatch && !this.context.signal.aborted; ++batch)
            if (!(await this.readBatch())) break;
        while (this.rows.childElementCount > kShown) this.rows.firstElementChild!.remove();
        if (follow) this.scroller.scrollTop = this.scroller.scrollHeight;
    }

    // True if there is more.
    private async readBatch(): Promise<boolean> {
        const { api, device, signal } = this.context;
        const since = this.cursor === null ? "" : `&since=${encodeURIComponent(this.cursor)}`;
        const query = `limit=${kBatch}&device=${encodeURIComponent(device)}${since}`;
        const answer = await api.get<TraceEvents>(`${this.path}/events?${query}`, signal);
        if (answer.lost && this.cursor !== null)
            this.rows.append(h("tr", { class: "lost" }, h("td", { colspan: "3" }, `${count(answer.lost)} events were overwritten unseen`)));
        this.cursor = answer.next;
        this.rows.append(...answer.events.slice(-kShown).map((event) => this.rowOf(event)));
        return answer.more && answer.events.length > 0;
    }

    private rowOf(event: TraceEvent): HTMLElement {
        this.first_t ??= event.t;
        const seconds = ((event.t - this.first_t) / 1e9).toFixed(6);
        return h("tr", { "data-kind": event.kind }, h("td", { class: "number" }, seconds), h("td", {}, event.kind),
                 h("td", {}, h("code", {}, detailOf(event))));
    }
}

export const traceTab: Tab = (context) => {
    new TraceView(context);
};
