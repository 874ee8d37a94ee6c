// SPDX-License-Identifier: Apache-2.0
// Registers: config space and BARs, decoded by the server. Read without side effects; what has changed since the last
// read is marked. Sections and registers fold; folds survive a refresh.
import { devicePath, messageOf } from "./api";
import { repeat, type Tab, type TabContext } from "./details";
import { errorBox, h, setAttribute, setText } from "./dom";
import { bytes } from "./format";
import type { Field, Register, Registers } from "./types";

const kInterval_ms = 1000;
const kMarked_ms = 4000; // how long a change can be seen

interface Shown {
    element: HTMLElement;
    value: HTMLElement;
    text: HTMLElement;
    fields: Map<string, HTMLElement>;
    changed_at: number;
}

interface Group {
    key: string;
    title: string;
    note: string;
    registers: Register[];
}

function groupsOf(answer: Registers): Group[] {
    const groups: Group[] = [];
    for (const section of answer.config?.sections ?? []) {
        const id = section.id ? `${section.extended ? "extended capability" : "capability"} ${section.id}, ` : "";
        groups.push({
            key: `config ${section.name} ${section.offset}`, title: section.name,
            note: `${id}config space ${section.offset}`, registers: section.registers,
        });
    }
    for (const bar of answer.bars ?? []) {
        const where = bar.address ? ` at ${bar.address}` : ", no address";
        const note = `BAR${bar.bar}, ${bytes(bar.size)} ${bar.type}${bar.prefetchable ? " prefetchable" : ""}${where}`;
        if (bar.maps.length === 0) groups.push({ key: `bar ${bar.bar}`, title: `BAR${bar.bar}`, note, registers: [] });
        for (const map of bar.maps) {
            groups.push({
                key: `bar ${bar.bar} ${map.name} ${map.offset}`, title: map.name, note: `${note}, +${map.offset}`,
                registers: map.registers,
            });
        }
    }
    return groups;
}

// A long name may break behind its underscores, never inside of a word.
function breakable(name: string): (string | HTMLElement)[] {
    return name.split(/(?<=[_.])/).flatMap((part, index) => (index === 0 ? [part] : [h("wbr"), part]));
}

function fieldText(field: Field): string {
    return field.text ? `${field.value} (${field.text})` : field.value;
}

// The fields that say something, in a line.
function summary(register: Register): string {
    const set = register.fields.filter((field) => !/^0x0*$/.test(field.value));
    const is_flag = (field: Field) => field.hi === field.lo && !field.text;
    return set.map((field) => (is_flag(field) ? field.name : `${field.name}=${field.text ?? field.value}`)).join(", ");
}

class RegistersView {
    private readonly shown = new Map<string, Shown>();
    private readonly body = h("div", { class: "registers" });
    private readonly problem = h("div");
    private readonly live = h("input", { type: "checkbox", checked: true, id: "registers-live" });
    private readonly filter = h("input", { type: "search", id: "register-filter", placeholder: "Filter by name", "aria-label": "Filter registers by name" });
    private readonly hex = h("pre", { class: "hex" });
    private shape = "";

    constructor(private readonly context: TabContext) {
        const refresh = h("button", { type: "button", onclick: () => void this.load() }, "Refresh");
        this.filter.value = context.filter;
        this.filter.addEventListener("input", () => {
            this.applyFilter();
            context.filtered(this.filter.value);
        });
        context.panel.append(
            h("div", { class: "tools" }, refresh, h("label", {}, this.live, " Live"), this.filter), this.problem, this.body);
        void repeat(context.signal, kInterval_ms, async () => {
            if (this.live.checked || this.shape === "") await this.load();
        });
    }

    private async load(): Promise<void> {
        const { api, live, device, signal } = this.context;
        try {
            const answer = await api.get<Registers>(`${devicePath(live.machine, device)}/registers?view=all`, signal);
            this.problem.replaceChildren();
            this.show(answer);
        } catch (error) {
            if (!signal.aborted) this.problem.replaceChildren(errorBox(messageOf(error)));
        }
    }

    private show(answer: Registers): void {
        const groups = groupsOf(answer);
        const keyOf = (group: Group, register: Register) => `${group.key}/${register.offset} ${register.name}`;
        const shape = groups.map((group) => [group.key, ...group.registers.map((one) => keyOf(group, one))].join()).join();
        const is_new = shape !== this.shape;
        if (is_new) {
            this.shape = shape;
            this.shown.clear();
            this.body.replaceChildren(...groups.map((group, index) =>
                h("details", { class: "section", open: index < 1 || group.key.startsWith("bar") },
                  h("summary", {}, h("b", {}, group.title), h("span", { class: "muted" }, group.note)),
                  ...group.registers.map((one) => this.make(keyOf(group, one), one)))));
            if (answer.config) this.body.append(h("details", { class: "section" },
                h("summary", {}, h("b", {}, "Config space"), h("span", { class: "muted" }, "hexadecimal")), this.hex));
            this.applyFilter();
        }
        for (const group of groups) for (const one of group.registers) this.fill(keyOf(group, one), one, is_new);
        if (answer.config) setText(this.hex, hexDump(answer.config.hex));
    }

    private make(key: string, register: Register): HTMLElement {
        const value = h("code", { class: "value" });
        const text = h("span", { class: "fields" });
        const fields = new Map<string, HTMLElement>();
        const head = [h("code", { class: "offset" }, register.offset), h("span", { class: "reg" }, ...breakable(register.name)), value, text];
        const list = h("dl", { class: "field-list" });
        if (register.doc) list.append(h("dt", { class: "doc" }, register.doc), h("dd"));
        for (const field of register.fields) {
            const cell = h("dd");
            fields.set(`${field.hi}:${field.lo}`, cell);
            const bits = field.hi === field.lo ? `[${field.hi}]` : `[${field.hi}:${field.lo}]`;
            list.append(h("dt", {}, h("code", {}, bits), ` ${field.name}`), cell);
        }
        const element = list.childElementCount > 0
            ? h("details", { class: "register" }, h("summary", {}, ...head), list)
            : h("div", { class: "register plain" }, ...head);
        element.dataset.name = register.name.toLowerCase();
        this.shown.set(key, { element, value, text, fields, changed_at: -kMarked_ms });
        return element;
    }

    private fill(key: string, register: Register, is_new: boolean): void {
        const row = this.shown.get(key);
        if (!row) return;
        if (!is_new && row.value.textContent !== register.value) row.changed_at = performance.now();
        row.element.classList.toggle("changed", performance.now() - row.changed_at < kMarked_ms);
        setText(row.value, register.value);
        const text = summary(register);
        setText(row.text, text);
        setAttribute(row.text, "title", text || null);
        for (const field of register.fields) {
            const cell = row.fields.get(`${field.hi}:${field.lo}`);
            if (cell) setText(cell, fieldText(field));
        }
    }

    private applyFilter(): void {
        const wanted = this.filter.value.trim().toLowerCase();
        for (const { element } of this.shown.values()) element.hidden = !element.dataset.name!.includes(wanted);
        for (const section of this.body.querySelectorAll<HTMLDetailsElement>(".section")) {
            const matches = section.querySelector(".register:not([hidden])") !== null;
            section.hidden = wanted !== "" && !matches;
            if (wanted !== "" && matches) section.open = true;
        }
    }
}

// 16 bytes a line, with their offset.
function hexDump(hex: string): string {
    const digits = hex.replace(/[^0-9a-f]/gi, "");
    const lines: string[] = [];
    for (let at = 0; at < digits.length; at += 32) {
        const line = digits.slice(at, at + 32).replace(/../g, "$& ").trim();
        lines.push(`${(at / 2).toString(16).padStart(3, "0")}: ${line}`);
    }
    return lines.join("\n");
}

export const registersTab: Tab = (context) => {
    new RegistersView(context);
};
