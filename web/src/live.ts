// SPDX-License-Identifier: Apache-2.0
// Live: the devices of one machine as they are now, polled once a second, and what is computed from two polls: rates.
import type { Api } from "./api";
import { machinePath } from "./api";
import { History } from "./sparkline";
import { TreeBuilder, type TreeNode } from "./topology";
import type { Counters, Device, Plan } from "./types";

export interface Rates {
    accesses: number;
    interrupts: number;
    dma: number; // bytes
}

export interface NodeHistory {
    accesses: History;
    interrupts: History;
    dma: History;
}

const kMeasures = ["accesses", "interrupts", "dma"] as const;
const kNone: Rates = { accesses: 0, interrupts: 0, dma: 0 };

function totals(counters: Counters): Rates {
    const of = (...names: string[]) => names.reduce((sum, name) => sum + (counters[name] ?? 0), 0);
    return {
        accesses: of("config_reads", "config_writes", "bar_reads", "bar_writes"),
        interrupts: of("interrupts"),
        dma: of("dma_read_bytes", "dma_write_bytes"),
    };
}

export class Live {
    devices = new Map<string, Device>();
    tree = new TreeBuilder(null, []);
    version = 0; // grows with each other shape of the tree
    silent: string[] = []; // what did not answer the last poll; its devices are missing
    private readonly rates = new Map<string, Rates>();
    private readonly histories = new Map<string, NodeHistory>();
    private shape = "";
    private last = 0;

    constructor(readonly machine: string, private readonly plan: Plan | null) {}

    /** One poll; true if the tree has another shape now. Errors: those of Api. */
    async poll(api: Api, signal: AbortSignal): Promise<boolean> {
        const path = `${machinePath(this.machine)}/devices`;
        const answer = await api.get<{ devices: Device[]; busy_loops?: number; unreachable?: string[] }>(path, signal);
        const now = performance.now();
        const is_first = this.last === 0;
        this.silent = [...(answer.unreachable ?? [])];
        if (answer.busy_loops) this.silent.push(answer.busy_loops === 1 ? "a busy loop" : `${answer.busy_loops} busy loops`);
        this.measure(answer.devices, (now - this.last) / 1000);
        this.last = now;
        this.devices = new Map(answer.devices.map((device) => [device.name, device]));
        const shape = answer.devices.map((device) => `${device.name}\0${device.pf ?? device.parent ?? ""}`).join("\n");
        const changed = shape !== this.shape || is_first;
        if (changed) {
            this.shape = shape;
            ++this.version;
            this.tree = new TreeBuilder(this.plan, answer.devices);
        }
        // One poll has no rates yet, and a line that begins with a nought would tell a lie.
        if (!is_first) for (const root of this.tree.roots) this.record(root);
        return changed;
    }

    /** Of a device itself; of all else, of the functions below it together. */
    ratesOf(node: TreeNode): Rates {
        const history = this.histories.get(node.id);
        if (!history) return kNone;
        return { accesses: history.accesses.last, interrupts: history.interrupts.last, dma: history.dma.last };
    }

    historyOf(node: TreeNode): NodeHistory | undefined {
        return this.histories.get(node.id);
    }

    private measure(devices: Device[], seconds: number): void {
        for (const device of devices) {
            const before = this.devices.get(device.name);
            if (!before) {
                this.rates.set(device.name, kNone);
                continue;
            }
            const from = totals(before.counters);
            const to = totals(device.counters);
            // A counter that falls is that of a device that was made anew.
            const rate = (measure: keyof Rates) => Math.max(0, to[measure] - from[measure]) / seconds;
            this.rates.set(device.name, { accesses: rate("accesses"), interrupts: rate("interrupts"), dma: rate("dma") });
        }
        const names = new Set(devices.map((device) => device.name));
        for (const name of this.rates.keys()) if (!names.has(name)) this.rates.delete(name);
    }

    private record(node: TreeNode): Rates {
        const is_function = node.kind === "function" || node.kind === "virtual-function";
        const sum = { ...kNone };
        if (is_function && node.device) Object.assign(sum, this.rates.get(node.device) ?? kNone);
        const own = { ...sum };
        for (const child of node.children) {
            const below = this.record(child);
            for (const measure of kMeasures) sum[measure] += below[measure];
        }
        let history = this.histories.get(node.id);
        if (!history) {
            history = { accesses: new History(), interrupts: new History(), dma: new History() };
            this.histories.set(node.id, history);
        }
        for (const measure of kMeasures) history[measure].push(is_function ? own[measure] : sum[measure]);
        return sum;
    }
}
