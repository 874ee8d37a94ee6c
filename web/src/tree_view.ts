// SPDX-License-Identifier: Apache-2.0
// TreeView: the tree as rows, by the ARIA tree pattern. Only the rows in sight are in the document, so that a thousand
// functions cost no more than thirty; the tree has the focus and names its row (aria-activedescendant).
import { h, setAttribute, setText } from "./dom";
import { bytes, rate } from "./format";
import type { Live } from "./live";
import { drawSparkline } from "./sparkline";
import { kindText, stateOf, type State, type TreeNode } from "./topology";

const kRowHeight = 28; // as --row in style.css
const kOverscan = 6;
const kSpark = { width: 96, height: 20 };
const kTypeAhead_ms = 700;

interface Row {
    element: HTMLElement;
    twist: HTMLElement;
    label: HTMLElement;
    note: [HTMLElement, HTMLElement, HTMLElement]; // domain and end of an address, what else there is to say
    state: HTMLElement;
    numbers: [HTMLElement, HTMLElement, HTMLElement];
    canvas: HTMLCanvasElement;
}

export class TreeView {
    private live: Live | null = null;
    private visible: TreeNode[] = [];
    private wanted = ""; // a row is seen if it, or one below it, has this text
    private readonly folded = new Set<string>();
    private readonly rows = new Map<string, Row>();
    private active: string | null = null;
    private selected: string | null = null;
    private typed = "";
    private typed_at = 0;

    /** `open` is called with what Enter or a click chose. */
    constructor(private readonly root: HTMLElement, private readonly holder: HTMLElement,
                private readonly open: (node: TreeNode, by_keyboard: boolean) => void) {
        root.addEventListener("keydown", (event) => this.onKey(event));
        root.addEventListener("scroll", () => this.paint(), { passive: true });
        root.addEventListener("click", (event) => this.onClick(event));
        new ResizeObserver(() => this.paint()).observe(root);
    }

    /** Another machine, or none. */
    show(live: Live | null): void {
        if (live?.machine !== this.live?.machine) {
            this.folded.clear();
            this.active = null;
            this.selected = null;
            this.root.scrollTop = 0;
        }
        this.live = live;
        this.reshape();
    }

    /** The tree has other nodes. What was folded and chosen stays so. */
    reshape(): void {
        this.visible = [];
        const visit = (node: TreeNode): void => {
            this.visible.push(node);
            if (!this.folded.has(node.id)) node.children.forEach(visit);
        };
        // What is above a row that is wanted is seen too, folded or not: it says where that is.
        const visitWanted = (node: TreeNode): boolean => {
            const at = this.visible.push(node) - 1;
            const below = node.children.map(visitWanted).includes(true);
            const is_wanted = below || this.matches(node);
            if (!is_wanted) this.visible.length = at;
            return is_wanted;
        };
        this.live?.tree.roots.forEach(this.wanted === "" ? visit : visitWanted);
        setAttribute(this.root, "data-none", this.live && this.visible.length === 0 ? "" : null);
        if (!this.visible.some((node) => node.id === this.active)) this.active = this.visible[0]?.id ?? null;
        this.holder.style.height = `${this.visible.length * kRowHeight}px`;
        this.paint();
    }

    /** Shows only rows that have `text` in their name, address or state, and what is above them. Empty: all. */
    filter(text: string): void {
        const wanted = text.trim().toLowerCase();
        if (wanted === this.wanted) return;
        this.wanted = wanted;
        this.root.scrollTop = 0;
        this.reshape();
    }

    private matches(node: TreeNode): boolean {
        const device = node.device ? this.live!.devices.get(node.device) : undefined;
        const state = node.device ? stateOf(device).text : "";
        return [node.label, device?.bdf ?? node.note, state].some((text) => text.toLowerCase().includes(this.wanted));
    }

    select(id: string | null): void {
        this.selected = id;
        this.paint();
    }

    /** Selects the row of `device`, unfolds what is above it and brings it into sight. Null if there is none. */
    reveal(device: string): TreeNode | null {
        const find = (nodes: TreeNode[]): TreeNode | null => {
            for (const node of nodes) {
                const found = node.device === device ? node : find(node.children);
                if (found) return found;
            }
            return null;
        };
        const node = find(this.live?.tree.roots ?? []);
        if (!node) return null;
        for (let above = node.parent; above; above = above.parent) this.folded.delete(above.id);
        this.selected = node.id;
        this.reshape();
        if (this.visible.includes(node)) this.move(this.visible.indexOf(node)); // a filter may hide it
        return node;
    }

    foldAll(fold: boolean): void {
        this.folded.clear();
        const visit = (node: TreeNode): void => {
            if (fold && node.children.length > 0) this.folded.add(node.id);
            node.children.forEach(visit);
        };
        this.live?.tree.roots.forEach(visit);
        this.reshape();
    }

    focus(): void {
        this.root.focus();
    }

    /** Brings the rows in sight up to date; touches only what differs. */
    paint(): void {
        const first = Math.max(0, Math.floor(this.root.scrollTop / kRowHeight) - kOverscan);
        const last = Math.min(this.visible.length,
                              Math.ceil((this.root.scrollTop + this.root.clientHeight) / kRowHeight) + kOverscan);
        const wanted = new Set<string>();
        for (let index = first; index < last; ++index) {
            const node = this.visible[index]!;
            wanted.add(node.id);
            this.fill(this.rows.get(node.id) ?? this.make(node), node, index);
        }
        for (const [id, row] of this.rows) {
            if (wanted.has(id)) continue;
            row.element.remove();
            this.rows.delete(id);
        }
        this.sort(first, last);
        const row = this.active === null ? undefined : this.rows.get(this.active);
        setAttribute(this.root, "aria-activedescendant", row?.element.id ?? null);
    }

    // Rows in the document are in the order in which they are seen: that is how they are read aloud.
    private sort(first: number, last: number): void {
        let next = this.holder.firstElementChild;
        for (let index = first; index < last; ++index) {
            const { element } = this.rows.get(this.visible[index]!.id)!;
            if (element === next) next = next.nextElementSibling;
            else this.holder.insertBefore(element, next);
        }
    }

    private make(node: TreeNode): Row {
        const cell = (name: string) => h("span", { class: name });
        const row: Row = {
            element: h("div", { role: "treeitem", class: "row", id: `row-${node.id}` }),
            twist: h("span", { class: "twist", "aria-hidden": "true" }),
            label: cell("label"), note: [cell("domain"), cell("end"), cell("more")], state: cell("state"),
            numbers: [cell("number"), cell("number"), cell("number")],
            canvas: h("canvas", { class: "spark", "aria-hidden": "true" }),
        };
        row.element.dataset.id = node.id;
        row.element.dataset.kind = node.kind;
        const name = h("span", { class: "name" }, row.twist, row.label, h("span", { class: "note" }, ...row.note));
        row.element.append(name, row.state, ...row.numbers, row.canvas);
        this.holder.append(row.element);
        this.rows.set(node.id, row);
        return row;
    }

    private fill(row: Row, node: TreeNode, index: number): void {
        const live = this.live!;
        const { element } = row;
        const level = levelOf(node);
        const state = node.device ? stateOf(live.devices.get(node.device)) : null;
        element.style.transform = `translateY(${index * kRowHeight}px)`;
        element.style.setProperty("--level", String(level - 1));
        const siblings = node.parent ? node.parent.children : live.tree.roots;
        const attributes: [string, string | null][] = [
            ["aria-level", String(level)], ["aria-setsize", String(siblings.length)],
            ["aria-posinset", String(siblings.indexOf(node) + 1)],
            ["aria-expanded", node.children.length ? String(this.wanted !== "" || !this.folded.has(node.id)) : null],
            ["aria-selected", String(node.id === this.selected)],
            ["aria-label", [node.label, kindText(node.kind), state?.text].filter(Boolean).join(", ")],
            ["data-active", node.id === this.active ? "" : null], ["title", `${kindText(node.kind)} ${node.note}`],
        ];
        for (const [name, value] of attributes) setAttribute(element, name, value);
        setText(row.label, node.label);
        this.noteOf(node).forEach((text, index) => setText(row.note[index]!, text));
        this.fillState(row.state, state);
        const rates = live.ratesOf(node);
        setText(row.numbers[0], rate(rates.accesses));
        setText(row.numbers[1], rate(rates.interrupts));
        setText(row.numbers[2], rate(rates.dma, bytes));
        const history = live.historyOf(node);
        if (history) drawSparkline(row.canvas, history.accesses, kSpark.width, kSpark.height);
    }

    // Where there is little room an address keeps its end, which tells one function from the next.
    private noteOf(node: TreeNode): [string, string, string] {
        const device = node.device ? this.live!.devices.get(node.device) : undefined;
        const vfs = device?.total_vfs ? `\u00b7 ${device.vfs ?? 0}/${device.total_vfs} VFs` : "";
        const note = device?.bdf ?? node.note;
        const [, domain, end] = /^([0-9a-f]+:)([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$/.exec(note) ?? [];
        return end ? [domain!, end, vfs] : ["", "", [note, vfs].filter(Boolean).join(" ")];
    }

    private fillState(element: HTMLElement, state: State | null): void {
        setText(element, state?.text ?? "");
        setAttribute(element, "data-tone", state?.tone ?? null);
    }

    private onClick(event: MouseEvent): void {
        const element = (event.target as Element).closest<HTMLElement>(".row");
        const node = this.visible.find((one) => one.id === element?.dataset.id);
        if (!node) return;
        this.active = node.id;
        if ((event.target as Element).closest(".twist")) this.fold(node, !this.folded.has(node.id));
        else this.choose(node, false);
    }

    private onKey(event: KeyboardEvent): void {
        if (event.ctrlKey || event.altKey || event.metaKey) return;
        const at = this.visible.findIndex((node) => node.id === this.active);
        const node = this.visible[at];
        if (!node) return;
        const page = Math.max(1, Math.floor(this.root.clientHeight / kRowHeight) - 1);
        const moves: Record<string, () => void> = {
            ArrowDown: () => this.move(at + 1),
            ArrowUp: () => this.move(at - 1),
            PageDown: () => this.move(at + page),
            PageUp: () => this.move(at - page),
            Home: () => this.move(0),
            End: () => this.move(this.visible.length - 1),
            ArrowRight: () => this.unfoldOrEnter(node, at),
            ArrowLeft: () => this.foldOrLeave(node),
            Enter: () => this.choose(node, true),
            " ": () => this.choose(node, false),
            "*": () => this.unfoldSiblings(node),
        };
        const move = moves[event.key];
        if (move) move();
        else if (event.key.length === 1) this.typeAhead(event.key, at);
        else return;
        event.preventDefault();
    }

    private choose(node: TreeNode, by_keyboard: boolean): void {
        if (!node.device) {
            this.fold(node, !this.folded.has(node.id));
            return;
        }
        this.selected = node.id;
        this.paint();
        this.open(node, by_keyboard);
    }

    private move(to: number): void {
        const index = Math.min(Math.max(to, 0), this.visible.length - 1);
        this.active = this.visible[index]!.id;
        const top = index * kRowHeight;
        const { scrollTop, clientHeight } = this.root;
        if (top < scrollTop) this.root.scrollTop = top;
        else if (top + kRowHeight > scrollTop + clientHeight) this.root.scrollTop = top + kRowHeight - clientHeight;
        this.paint();
    }

    private fold(node: TreeNode, fold: boolean): void {
        if (fold && node.children.length > 0) this.folded.add(node.id);
        else this.folded.delete(node.id);
        this.reshape();
    }

    private unfoldOrEnter(node: TreeNode, at: number): void {
        if (this.folded.has(node.id)) this.fold(node, false);
        else if (node.children.length > 0) this.move(at + 1);
    }

    private foldOrLeave(node: TreeNode): void {
        if (node.children.length > 0 && !this.folded.has(node.id)) this.fold(node, true);
        else if (node.parent) this.move(this.visible.indexOf(node.parent));
    }

    private unfoldSiblings(node: TreeNode): void {
        for (const sibling of node.parent?.children ?? this.live!.tree.roots) this.folded.delete(sibling.id);
        this.reshape();
    }

    // The next row whose name begins with what was typed in quick succession.
    private typeAhead(key: string, at: number): void {
        const now = performance.now();
        this.typed = now - this.typed_at < kTypeAhead_ms ? this.typed + key.toLowerCase() : key.toLowerCase();
        this.typed_at = now;
        const start = this.typed.length > 1 ? at : at + 1;
        for (let i = 0; i < this.visible.length; ++i) {
            const index = (start + i) % this.visible.length;
            if (!this.visible[index]!.label.toLowerCase().startsWith(this.typed)) continue;
            this.move(index);
            return;
        }
    }
}

function levelOf(node: TreeNode): number {
    let level = 1;
    for (let at = node.parent; at; at = at.parent) ++level;
    return level;
}
