// SPDX-License-Identifier: Apache-2.0
// Faults: those that stand and the last that ended, and a button for each fault there is. Names, texts and options come
// from the API, so a new fault needs nothing here.
import { devicePath, messageOf } from "./api";
import { repeat, type Tab, type TabContext } from "./details";
import { errorBox, h, setAttribute, setText } from "./dom";
import { duration } from "./format";
import type { FaultName, FaultRefusal, FaultReport } from "./types";

const kInterval_ms = 1000;

const kHints: Record<string, string> = { count: "strikes", delay: "such as 20ms", vector: "number" };
const kSizes: Record<string, number> = { delay: 12 }; // characters; others need 8

// "AER correctable: a bad symbol" -> group "AER correctable", text "a bad symbol".
function split(fault: FaultName): [string, string] {
    const at = fault.text.indexOf(": ");
    return at > 0 && fault.text.startsWith("AER") ? [fault.text.slice(0, at), fault.text.slice(at + 2)]
                                                  : ["Device, link and host", fault.text];
}

// "struck once, without limit", "struck 2 of 3 times".
function strikesText({ strikes, count }: FaultReport): string {
    const limit = count === 0 ? ", without limit" : "";
    if (strikes === 0) return `not struck yet${count > 1 ? `, ${count} times at most` : limit}`;
    if (count > 1) return `struck ${strikes} of ${count} times`;
    return `struck ${strikes === 1 ? "once" : `${strikes} times`}${limit}`;
}

function describe(report: FaultReport): string {
    const parts = [
        report.severity ?? "",
        report.vector === undefined ? "" : `vector ${report.vector}`,
        report.delay_us === undefined ? "" : `delay ${duration(report.delay_us)}`,
        report.at_us === undefined ? "" : `at ${duration(report.at_us)}`,
        report.accesses_left === undefined ? "" : `after ${report.accesses_left} more accesses`,
        strikesText(report),
        report.note ?? "",
    ];
    return parts.filter(Boolean).join(", ");
}

interface FaultAnswer {
    faults: FaultReport[];
    refused?: FaultRefusal[];
}

interface Offer {
    form: HTMLElement;
    button: HTMLButtonElement;
    why: HTMLElement;
}

class FaultsView {
    private readonly offers = new Map<string, Offer>();
    private refused: FaultRefusal[] = [];
    private readonly list = h("tbody");
    private readonly standing = h("table", { class: "standing", hidden: true },
        h("caption", {}, "Injected"),
        h("thead", {}, h("tr", {}, ...["Fault", "State", "How"].map((text) => h("th", { scope: "col" }, text)))), this.list);
    private readonly none = h("p", { class: "muted" }, "No fault was injected.");
    private readonly problem = h("div");
    private readonly said = h("p", { class: "said", role: "status" });
    private readonly when = h("select", { id: "fault-when" },
        h("option", { value: "now" }, "at once"), h("option", { value: "at_us" }, "after a time (ms)"),
        h("option", { value: "after_accesses" }, "after accesses"));
    private readonly amount = h("input", { type: "number", min: 0, value: 100, "aria-label": "How long or how many" });
    private readonly never = h("details", { class: "never", hidden: true });
    private never_shown = "";
    private shown = "";

    constructor(private readonly context: TabContext) {
        const clear = h("button", { type: "button", onclick: () => void this.act("DELETE") }, "Clear all");
        this.amount.hidden = true;
        this.when.addEventListener("change", () => {
            this.amount.hidden = this.when.value === "now";
            this.showRefusals();
        });
        context.panel.append(
            h("div", { class: "tools" }, h("label", { for: "fault-when" }, "Strike"), this.when, this.amount,
              h("span", { class: "gap" }), clear),
            this.said, this.problem, this.standing, this.none);
        void this.offer();
        void repeat(context.signal, kInterval_ms, () => this.load());
    }

    private get path(): string {
        return `${devicePath(this.context.live.machine, this.context.device)}/faults`;
    }

    private async offer(): Promise<void> {
        const { api, panel, signal } = this.context;
        try {
            // With what stands and what is refused: buttons that move once they are seen get clicks meant for others.
            const [{ faults }, answer] = await Promise.all([
                api.get<{ faults: FaultName[] }>("/v1/faults", signal), api.get<FaultAnswer>(this.path, signal)]);
            const groups = new Map<string, HTMLElement>();
            for (const fault of faults) {
                if (fault.name === "clear") continue;
                const [group, text] = split(fault);
                if (!groups.has(group)) {
                    const box = h("fieldset", { class: "faults" }, h("legend", {}, group));
                    groups.set(group, box);
                    panel.append(box);
                }
                groups.get(group)!.append(this.form(fault, text));
            }
            panel.append(this.never);
            this.show(answer);
        } catch (error) {
            if (!signal.aborted) this.problem.replaceChildren(errorBox(messageOf(error)));
        }
    }

    private form(fault: FaultName, text: string): HTMLElement {
        const inputs = fault.options.map((option) => this.input(fault.name, option));
        const button = h("button", { type: "submit", "aria-label": `Inject ${fault.name}` }, fault.name);
        const why = h("span", { class: "why", id: `why-${fault.name}` });
        const form = h("form", { class: "fault" }, button, h("span", { class: "muted" }, text),
            h("span", { class: "options" }, ...inputs.map(([label]) => label)), why);
        this.offers.set(fault.name, { form, button, why });
        form.addEventListener("submit", (event) => {
            event.preventDefault();
            const options: Record<string, string> = {};
            for (const [, input] of inputs) if (input.value !== "") options[input.name] = input.value;
            void this.act("POST", this.body(fault.name, options));
        });
        return form;
    }

    private input(fault: string, option: string): [HTMLElement, HTMLInputElement | HTMLSelectElement] {
        const name = `${option} of ${fault}`;
        const input = option === "severity"
            ? h("select", { name: option, "aria-label": name }, h("option", { value: "" }, "as the guest set it"),
                h("option", {}, "nonfatal"), h("option", {}, "fatal"))
            : h("input", { name: option, size: kSizes[option] ?? 8, placeholder: kHints[option] ?? "", "aria-label": name, autocomplete: "off" });
        return [h("label", {}, `${option} `, input), input];
    }

    private body(fault: string, options: Record<string, string>): Record<string, unknown> {
        const body: Record<string, unknown> = { fault, options };
        const amount = Number(this.amount.value);
        if (this.when.value === "at_us") body.at_us = Math.round(amount * 1000);
        if (this.when.value === "after_accesses") body.after_accesses = Math.round(amount);
        return body;
    }

    private async act(method: "POST" | "DELETE", body?: Record<string, unknown>): Promise<void> {
        try {
            const answer = await this.context.api.send<FaultAnswer>(method, this.path, body);
            this.problem.replaceChildren();
            setText(this.said, body ? `Injected ${body.fault}.` : "Cleared all faults.");
            this.show(answer);
            this.context.changed();
        } catch (error) {
            setText(this.said, "");
            this.problem.replaceChildren(errorBox(messageOf(error)));
        }
    }

    private async load(): Promise<void> {
        const { api, signal } = this.context;
        try {
            this.show(await api.get<FaultAnswer>(this.path, signal));
        } catch (error) {
            if (!signal.aborted) this.problem.replaceChildren(errorBox(messageOf(error)));
        }
    }

    // What the device can never take is not offered: below is told why. What it cannot take now has a button for later.
    private showRefusals(): void {
        const later = this.when.value !== "now";
        const refused = new Map(this.refused.map((one) => [one.fault, one]));
        for (const [name, { form, button, why }] of this.offers) {
            const refusal = refused.get(name);
            form.hidden = refusal !== undefined && !refusal.for_now;
            const reason = refusal && !later ? refusal.reason : "";
            button.disabled = reason !== "";
            setText(why, reason);
            setAttribute(button, "aria-describedby", reason ? why.id : null);
        }
        for (const group of this.context.panel.querySelectorAll<HTMLElement>("fieldset.faults"))
            group.hidden = group.querySelector("form:not([hidden])") === null;
        const never = this.refused.filter((one) => !one.for_now && this.offers.has(one.fault));
        this.never.hidden = never.length === 0;
        const text = JSON.stringify(never);
        if (text === this.never_shown) return;
        this.never_shown = text;
        this.never.replaceChildren(
            h("summary", {}, never.length === 1 ? "1 fault is not for this device" : `${never.length} faults are not for this device`),
            h("dl", { class: "why-list" }, ...never.flatMap((one) => [h("dt", {}, one.fault), h("dd", {}, one.reason)])));
    }

    private show({ faults, refused }: FaultAnswer): void {
        this.refused = refused ?? [];
        this.showRefusals();
        const text = JSON.stringify(faults);
        if (text === this.shown) return;
        this.shown = text;
        this.none.hidden = faults.length > 0;
        this.standing.hidden = faults.length === 0;
        this.list.replaceChildren(...faults.map((fault) => h("tr", { "data-state": fault.state },
            h("th", { scope: "row" }, fault.fault), h("td", {}, fault.state), h("td", { class: "muted" }, describe(fault)))));
    }
}

export const faultsTab: Tab = (context) => {
    new FaultsView(context);
};
