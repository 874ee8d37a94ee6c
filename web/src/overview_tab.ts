// SPDX-License-Identifier: Apache-2.0
// Overview: what the device is, its link and power, and its counters with their rates.
import type { Tab, TabContext } from "./details";
import { h, setText } from "./dom";
import { bytes, count, rate } from "./format";
import type { Names } from "./names";
import { drawSparkline, type History } from "./sparkline";
import { linkText, type TreeNode } from "./topology";
import type { Device } from "./types";

const kChart = { width: 180, height: 40 };

function facts(device: Device, { parent, planned }: TreeNode, names: Names): [string, string][] {
    const yes = (value: boolean | null | undefined, on: string, off: string) =>
        value === null || value === undefined ? "" : value ? on : off;
    const { link, slot } = device.pf && parent ? parent.planned : planned; // a VF has its PF's
    const joined = (...parts: (string | false | undefined)[]) => parts.filter(Boolean).join(", ");
    const all: [string, string][] = [
        ["Address", device.bdf ?? ""],
        ["Ids", [device.vendor_id, device.device_id].filter(Boolean).join(" : ")],
        ["Known as", names.deviceOf(device)],
        ["Class", joined(device.class_code, names.classOf(device))],
        ["Kind", device.kind],
        ["Model", planned.model ?? parent?.planned.model ?? ""],
        ["NUMA node", device.numa_node === null || device.numa_node === undefined || device.numa_node < 0
            ? "none" : String(device.numa_node)],
        ["Below", device.pf ?? device.parent ?? ""],
        ["Session", device.connected ? "connected" : "not connected"],
        ["Slot", joined(slot ? String(slot) : "", yes(device.present, "occupied", "empty"))],
        ["Link", joined(link && linkText(link), yes(device.link_up, "up", "down"))],
        ["Power", device.power_state ?? ""],
        ["Bus master", yes(device.bus_master, "enabled", "disabled")],
        ["Virtual functions", device.total_vfs ? `${device.vfs ?? 0} of ${device.total_vfs} enabled` : ""],
        ["Faults", device.faults
            ? `${device.faults.active} active, ${device.faults.armed} armed, ${device.faults.struck} struck` : ""],
    ];
    return all.filter(([, value]) => value !== "");
}

class Overview {
    private readonly values = new Map<string, HTMLElement>();
    private readonly facts = h("dl", { class: "facts" });
    private readonly counters = h("tbody");
    private readonly charts: [HTMLCanvasElement, HTMLElement, () => History | undefined, (value: number) => string][] = [];
    private before: { time: number; counters: Record<string, number> } | null = null;

    constructor(private readonly context: TabContext) {
        const charts = h("div", { class: "charts" });
        const add = (title: string, of: () => History | undefined, format?: (value: number) => string) => {
            const canvas = h("canvas", { class: "chart", "aria-hidden": "true" });
            const now = h("b");
            charts.append(h("div", { class: "card" }, h("span", { class: "muted" }, title), now, canvas));
            this.charts.push([canvas, now, of, format ?? ((value) => rate(value))]);
        };
        const history = () => context.live.historyOf(context.node);
        add("Accesses/s", () => history()?.accesses);
        add("Interrupts/s", () => history()?.interrupts);
        add("DMA/s", () => history()?.dma, (value) => rate(value, bytes));
        context.panel.append(charts, this.facts, h("table", { class: "counters" },
            h("caption", {}, "Counters"),
            h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Name"), h("th", { scope: "col", class: "number" }, "Total"),
                                       h("th", { scope: "col", class: "number" }, "Per second"))),
            this.counters));
    }

    update(): void {
        const device = this.context.live.devices.get(this.context.device);
        for (const [canvas, now, of, format] of this.charts) {
            const history = of();
            if (!history) continue;
            setText(now, format(history.last));
            drawSparkline(canvas, history, kChart.width, kChart.height);
        }
        if (!device) {
            this.facts.replaceChildren(h("dt", {}, "State"), h("dd", {}, "gone: no process serves it"));
            return;
        }
        const shown = facts(device, this.context.node, this.context.names);
        if (shown.length * 2 !== this.facts.childElementCount)
            this.facts.replaceChildren(...shown.flatMap(([name]) => [h("dt", {}, name), h("dd")]));
        shown.forEach(([name, value], index) => {
            setText(this.facts.children[index * 2]!, name);
            setText(this.facts.children[index * 2 + 1]!, value);
        });
        this.count(device);
    }

    private count(device: Device): void {
        const now = performance.now();
        const seconds = this.before ? (now - this.before.time) / 1000 : 0;
        for (const [name, value] of Object.entries(device.counters)) {
            const before = this.before?.counters[name];
            const change = before === undefined || seconds === 0 ? 0 : Math.max(0, value - before) / seconds;
            const is_bytes = name.endsWith("bytes");
            setText(this.cell(`${name} total`, name), is_bytes && value >= 1024 ? `${count(value)} (${bytes(value)})` : count(value));
            setText(this.cell(`${name} rate`, name), rate(change, is_bytes ? bytes : undefined));
        }
        this.before = { time: now, counters: device.counters };
    }

    private cell(key: string, name: string): HTMLElement {
        if (!this.values.has(key)) {
            const total = h("td", { class: "number" });
            const change = h("td", { class: "number muted" });
            this.values.set(`${name} total`, total).set(`${name} rate`, change);
            this.counters.append(h("tr", {}, h("th", { scope: "row" }, name), total, change));
        }
        return this.values.get(key)!;
    }
}

export const overviewTab: Tab = (context) => {
    const overview = new Overview(context);
    return () => overview.update();
};
