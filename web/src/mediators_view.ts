// SPDX-License-Identifier: Apache-2.0
// Mediators: who shares which pool, with shares and latencies of the last second, and what an operator may do about a VM.
import { mediatorPath, messageOf, type Api } from "./api";
import { errorBox, h, setAttribute, setText } from "./dom";
import { amount, bytes, count } from "./format";
import { drawSparkline, History } from "./sparkline";
import type { Mediator, MediatorPool, MediatorVm } from "./types";

const kSpark = { width: 96, height: 20 };
const kColumns = ["VM", "Pool", "Class", "Weight", "Share", "Share, 60 s", "Latency", "Latency, 60 s", "p99", "Jobs/s", "Waiting",
                  "Memory", "State", ""];
const kNumbers = new Set(["VM", "Weight", "Share", "Latency", "p99", "Jobs/s", "Waiting", "Memory"]);

// 1500 -> "1.5 ms".
function time(us: number): string {
    if (us <= 0) return "\u00b7";
    const [value, unit] = us < 1e3 ? [us, "\u00b5s"] : us < 1e6 ? [us / 1e3, "ms"] : [us / 1e6, "s"];
    return `${value.toFixed(value < 10 ? 1 : 0)}\u2009${unit}`;
}

function cell(name: string, ...children: (Node | string)[]): HTMLTableCellElement {
    return h("td", { role: "cell", "data-column": name, class: kNumbers.has(name) ? "number" : null }, ...children);
}

type Act = (method: "PATCH" | "PUT" | "DELETE", path: string, body: unknown, done: string) => Promise<void>;

/** What changed between two answers about a VM. */
interface Step {
    service_ns: number;
    jobs: number;
    latency_us: number; // mean of the jobs that ended meanwhile; 0: none did
}

function step(before: MediatorVm, now: MediatorVm): Step {
    const jobs = now.latency.count - before.latency.count;
    const sum = now.latency.mean_us * now.latency.count - before.latency.mean_us * before.latency.count;
    return {
        service_ns: Math.max(0, now.counters.service_ns - before.counters.service_ns),
        jobs: Math.max(0, jobs),
        latency_us: jobs > 0 ? Math.max(0, sum / jobs) : 0,
    };
}

/** The row of one VM. */
class VmRow {
    readonly row: HTMLTableRowElement;
    vm: MediatorVm;
    step: Step = { service_ns: 0, jobs: 0, latency_us: 0 };
    private readonly cells = new Map<string, HTMLTableCellElement>();
    private readonly weight = h("input", { type: "number", min: 1, max: 10000, required: true, class: "weight" });
    private readonly share_line = h("canvas", { class: "spark", "aria-hidden": "true" });
    private readonly latency_line = h("canvas", { class: "spark", "aria-hidden": "true" });
    private readonly shares = new History();
    private readonly latencies = new History();
    private readonly state = h("span", { class: "state" });
    private readonly action = h("button", { type: "button" });

    constructor(vm: MediatorVm, path: string, act: Act) {
        this.vm = vm;
        setAttribute(this.weight, "aria-label", `Weight of VM ${vm.id}`);
        this.weight.value = String(vm.weight);
        const own = `${path}/vms/${vm.id}`;
        const form = h("form", { class: "weight" }, this.weight, h("button", { "aria-label": `Set weight of VM ${vm.id}` }, "Set"));
        form.addEventListener("submit", (event) => {
            event.preventDefault();
            const weight = Number(this.weight.value);
            void act("PATCH", own, { weight }, `VM ${vm.id} has weight ${weight}.`);
        });
        this.action.addEventListener("click", () => {
            if (this.vm.quarantine) void act("DELETE", `${own}/quarantine`, undefined, `VM ${vm.id} is let in again.`);
            else void act("PUT", `${own}/quarantine`, { reason: "by hand, on the page" }, `VM ${vm.id} is kept out.`);
        });
        this.row = h("tr", { role: "row", "data-vm": vm.id });
        for (const name of kColumns) {
            const made = name === "Weight" ? cell(name, form) : name === "Share, 60 s" ? cell(name, this.share_line)
                : name === "Latency, 60 s" ? cell(name, this.latency_line) : name === "State" ? cell(name, this.state)
                : name === "" ? cell("action", this.action) : cell(name);
            this.cells.set(name, made);
            this.row.append(made);
        }
    }

    take(vm: MediatorVm): void {
        // What somebody types there survives polls.
        if (vm.weight !== this.vm.weight && document.activeElement !== this.weight) this.weight.value = String(vm.weight);
        this.step = step(this.vm, vm);
        this.vm = vm;
    }

    /** `share`: of what its pool has done since the last answer. */
    paint(share: number, seconds: number): void {
        const { vm } = this;
        if (seconds > 0) { // one answer has no shares yet, and a line that begins with a nought would tell a lie
            this.shares.push(share);
            this.latencies.push(this.step.latency_us);
        }
        const set = (name: string, text: string) => setText(this.cells.get(name)!, text);
        set("VM", String(vm.id));
        set("Pool", vm.pool);
        set("Class", vm.priority);
        set("Share", `${(share * 100).toFixed(1)}\u2009%`);
        set("Latency", time(this.step.latency_us));
        set("p99", time(vm.latency.p99_us));
        set("Jobs/s", amount(seconds > 0 ? this.step.jobs / seconds : 0));
        set("Waiting", count(vm.waiting));
        set("Memory", bytes(vm.memory_bytes));
        drawSparkline(this.share_line, this.shares, kSpark.width, kSpark.height);
        drawSparkline(this.latency_line, this.latencies, kSpark.width, kSpark.height);
        const kept_out = vm.quarantine !== null;
        setText(this.state, kept_out ? `quarantined: ${vm.quarantine!.reason}` : vm.connections > 0 ? "connected" : "away");
        setAttribute(this.state, "data-tone", kept_out ? "bad" : vm.connections > 0 ? "ok" : "off");
        setText(this.action, kept_out ? "Release" : "Quarantine");
        setAttribute(this.action, "aria-label", `${kept_out ? "Release" : "Quarantine"} VM ${vm.id}`);
    }
}

/** One mediator. */
class MediatorCard {
    readonly element: HTMLElement;
    private readonly facts = h("p", { class: "muted" });
    private readonly pools = h("p", { class: "muted" });
    private readonly said = h("p", { class: "said", role: "status" });
    private readonly problem = h("div");
    private readonly body = h("tbody", { role: "rowgroup" });
    private readonly rows = new Map<number, VmRow>();
    private last = 0;

    constructor(private readonly name: string, private readonly api: Api, private readonly changed: () => void) {
        const head = kColumns.map((text) => h("th", { role: "columnheader", scope: "col", class: kNumbers.has(text) ? "number" : null },
            text || h("span", { class: "unseen" }, "Action")));
        this.element = h("section", { class: "mediator", "aria-label": `Mediator ${name}`, "data-mediator": name },
            h("h2", {}, name), this.facts, this.pools, this.said, this.problem,
            // Roles, because in a narrow window the sheet makes a card of each row.
            h("table", { role: "table" }, h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...head)), this.body));
    }

    async poll(mediator: Mediator): Promise<void> {
        const { vms } = await this.api.get<{ vms: MediatorVm[] }>(`${mediatorPath(this.name)}/vms`);
        const now = performance.now();
        const seconds = this.last === 0 ? 0 : (now - this.last) / 1000;
        this.last = now;
        const drain = mediator.drained ? ", drained" : mediator.draining ? ", draining" : "";
        setText(this.facts, `Rule ${mediator.rule}${mediator.strict_classes ? ", strict classes" : ""}${drain}; ` +
            `${count(mediator.jobs)} jobs done, ${count(mediator.errors)} failed, ${count(mediator.rejected)} rejected`);
        setText(this.pools, mediator.pools.map((pool) => this.poolText(pool)).join("; "));
        this.show(vms, seconds);
    }

    private poolText(pool: MediatorPool): string {
        const ready = pool.backends.filter((backend) => backend.ready).length;
        return `pool ${pool.id}: ${ready} of ${pool.backends.length} backends ready, ${count(pool.waiting)} waiting, ` +
            `fairness ${pool.fairness.toFixed(4)}`;
    }

    private show(vms: MediatorVm[], seconds: number): void {
        const ids = new Set(vms.map((vm) => vm.id));
        for (const [id, row] of this.rows) {
            if (ids.has(id)) continue;
            row.row.remove();
            this.rows.delete(id);
        }
        const of_pool = new Map<string, number>();
        for (const vm of vms) {
            let row = this.rows.get(vm.id);
            if (!row) {
                row = new VmRow(vm, mediatorPath(this.name), (...what) => this.act(...what));
                this.rows.set(vm.id, row);
                this.body.append(row.row);
            }
            row.take(vm);
            of_pool.set(vm.pool, (of_pool.get(vm.pool) ?? 0) + row.step.service_ns);
        }
        for (const row of this.rows.values())
            row.paint(row.step.service_ns / Math.max(1, of_pool.get(row.vm.pool) ?? 0), seconds);
    }

    private async act(method: "PATCH" | "PUT" | "DELETE", path: string, body: unknown, done: string): Promise<void> {
        try {
            await this.api.send<MediatorVm>(method, path, body);
            this.problem.replaceChildren();
            setText(this.said, done);
            this.changed();
        } catch (error) {
            setText(this.said, "");
            this.problem.replaceChildren(errorBox(messageOf(error)));
        }
    }
}

/** All mediators of this user. */
export class MediatorsView {
    private readonly cards = new Map<string, MediatorCard>();
    private readonly none = h("p", { class: "empty" }, "No mediator runs. Start one with ", h("code", {}, "mimic-mediator"), ".");
    private readonly silent = h("p", { class: "muted" });

    constructor(private readonly element: HTMLElement, private readonly api: Api, private readonly changed: () => void) {
        element.append(this.silent, this.none);
    }

    /** One poll; how many mediators run. `whole`: also their VMs. Errors: those of Api. */
    async poll(whole: boolean): Promise<number> {
        const { mediators, unreachable } =
            await this.api.get<{ mediators: Mediator[]; unreachable: string[] }>("/v1/mediators");
        const names = new Set(mediators.map((mediator) => mediator.name));
        for (const [name, card] of this.cards) {
            if (names.has(name)) continue;
            card.element.remove();
            this.cards.delete(name);
        }
        this.none.hidden = mediators.length > 0;
        setText(this.silent, unreachable.length > 0 ? `No answer from ${unreachable.join(", ")}` : "");
        for (const mediator of whole ? mediators : []) {
            let card = this.cards.get(mediator.name);
            if (!card) {
                card = new MediatorCard(mediator.name, this.api, this.changed);
                this.cards.set(mediator.name, card);
                this.element.append(card.element);
            }
            await card.poll(mediator);
        }
        return mediators.length + unreachable.length;
    }
}
