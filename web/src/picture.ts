// SPDX-License-Identifier: Apache-2.0
// The picture of a machine, as `mimic plan --format svg` draws it, but alive: a box a NUMA node, a row a root port, in it
// the port, its link and the device with its functions, or a fabric. Drawn anew only when the machine or the room for it
// has another shape. One stop of the Tab key; arrows lead from piece to piece.
import { h, setAttribute, setText } from "./dom";
import { amount, bytes } from "./format";
import type { Live } from "./live";
import { kPortHeight, Sheet, shortAddress, type Box } from "./picture_sheet";
import type { TreeNode } from "./topology";

const kPad = 12;
const kGap = 12;
const kHead = 27;
const kLine = 21;
const kLinesOfVfs = 7; // more of them are cells
const kCell = { size: 11, gap: 3 };
const kMostCells = 256; // of a device; others are counted only
const kIndent = 18;
const kMostIndents = 4; // deeper rows stay there, so that a device box is never thin
const kNarrow = 520;
const kLeast = 340;

export class Picture {
    readonly element = h("div", { class: "picture" });
    private sheet: Sheet | null = null;
    private live: Live | null = null;
    private shape = "";
    private port = { width: 104, link: 78 };

    /** `open` is called with the node that was chosen. */
    constructor(private readonly open: (node: TreeNode, by_keyboard: boolean) => void) {
        this.element.addEventListener("click", (event) => this.choose(pieceOf(event), false));
        this.element.addEventListener("keydown", (event) => this.onKey(event));
        this.element.addEventListener("focusin", (event) => this.moveStop(pieceOf(event)));
        new ResizeObserver(() => this.paint()).observe(this.element);
    }

    show(live: Live): void {
        this.live = live;
        this.paint();
    }

    /** Brings it up to date, if it can be seen. */
    paint(): void {
        const width = Math.max(kLeast, Math.floor(this.element.clientWidth));
        if (!this.live || this.element.clientWidth === 0) return;
        const shape = `${width}\n${this.live.machine}\n${this.live.version}`;
        if (shape !== this.shape) this.draw(this.live, width);
        this.shape = shape;
        this.sheet!.paint(this.live);
    }

    private draw(live: Live, width: number): void {
        const focused = (document.activeElement as HTMLElement | null)?.dataset.id;
        const had_focus = this.element.contains(document.activeElement);
        this.port = width < kNarrow ? { width: 84, link: 66 } : { width: 104, link: 78 };
        const sheet = new Sheet();
        this.sheet = sheet;
        let y = 0;
        for (const root of live.tree.roots) y += this.drawRoot(root, y, width) + kGap;
        setAttribute(sheet.root, "width", String(width));
        setAttribute(sheet.root, "height", String(Math.max(y, 1)));
        setAttribute(sheet.root, "aria-label", `Picture of the machine ${live.machine}`);
        this.element.replaceChildren(sheet.root);
        const pieces = this.pieces();
        const stop = pieces.find((piece) => piece.dataset.id === focused) ?? pieces[0];
        if (stop) setAttribute(stop, "tabindex", "0");
        if (had_focus) stop?.focus();
    }

    // --- The drawing. Each function returns the height that it took.

    private drawRoot(node: TreeNode, y: number, width: number): number {
        const sheet = this.sheet!;
        const box = sheet.rect({ x: 0.5, y: y + 0.5, width: width - 1, height: 0 }, "node");
        sheet.text(kPad, y + 22, "head", node.label, 220);
        sheet.text(width - kPad, y + 22, "dim end", node.note, width - 240);
        let at = y + 38;
        for (const child of node.children) at += this.drawBelow(child, kPad, at, width - 2 * kPad) + kGap;
        if (node.children.length === 0) {
            sheet.text(kPad, at + 8, "dim", "no devices");
            at += 12 + kGap;
        }
        setAttribute(box, "height", String(at - y - 1));
        return at - y;
    }

    private drawBelow(node: TreeNode, x: number, y: number, width: number, depth = 0): number {
        if (node.kind === "root-port") return this.drawRootPort(node, x, y, width);
        if (node.kind === "fabric") return this.drawFabric(node, x, x, y, width);
        if (node.kind === "port" || node.kind === "switch") return this.drawPort(node, x, y, width, depth);
        return this.drawDevice([node], { x, y, width, height: 0 });
    }

    private drawRootPort(node: TreeNode, x: number, y: number, width: number): number {
        const right = this.sheet!.port(node, x, y, this.port.width, this.port.link);
        const fabric = node.children.find((child) => child.kind === "fabric");
        if (fabric) return this.drawFabric(fabric, right, x, y, width);
        if (node.children.length === 0) return kPortHeight;
        return this.drawDevice(node.children, { x: right, y, width: x + width - right, height: 0 });
    }

    // The VMD endpoint from `left` on, and below it a frame over the whole width with a row a port.
    private drawFabric(node: TreeNode, left: number, x: number, y: number, width: number): number {
        const sheet = this.sheet!;
        const room = x + width - left;
        const [address, domain] = node.note.split(", domain ");
        sheet.piece(node, () => {
            sheet.rect({ x: left, y, width: room, height: kPortHeight }, "vmd");
            sheet.text(left + 12, y + 20, "head", node.label, room - 100);
            sheet.text(left + 12, y + 39, "mono", shortAddress(address ?? ""));
            sheet.text(left + room - 12, y + 39, "dim end", "VMD endpoint", room - 80);
            sheet.state(node, left + room - 12, y + 20);
        });
        const top = y + kPortHeight + kGap;
        sheet.path(`M ${left + room / 2} ${y + kPortHeight} V ${top}`, "link").setAttribute("stroke-width", "2");
        const frame = sheet.rect({ x, y: top, width, height: 0 }, "fabric");
        sheet.text(x + 10, top + 21, "head", domain ? `Domain ${domain}` : "Fabric", width - 20);
        let at = top + 34;
        for (const child of node.children) at += this.drawBelow(child, x + 10, at, width - 20) + kGap;
        setAttribute(frame, "height", String(at - top));
        return at - y;
    }

    private drawPort(node: TreeNode, x: number, y: number, width: number, depth: number): number {
        const sheet = this.sheet!;
        const right = sheet.port(node, x, y, this.port.width, this.port.link);
        const room = x + width - right;
        const below = node.children.find((child) => child.kind === "switch");
        if (below) return this.drawSwitch(below, { x: right, y, width: room, height: kPortHeight }, { x, y, width }, depth);
        if (node.children.length === 0) return kPortHeight;
        return this.drawDevice(node.children, { x: right, y, width: room, height: 0 });
    }

    private drawSwitch(node: TreeNode, box: Box, row: { x: number; y: number; width: number }, depth: number): number {
        const sheet = this.sheet!;
        sheet.piece(node, () => {
            sheet.rect(box, "switch");
            sheet.text(box.x + 12, box.y + 20, "head", node.label, box.width - 70);
            sheet.text(box.x + 12, box.y + 39, "mono", shortAddress(node.note));
            const ports = node.children.length === 1 ? "1 port" : `${node.children.length} ports`;
            sheet.text(box.x + box.width - 12, box.y + 39, "dim end", ports, box.width - 80);
            sheet.state(node, box.x + box.width - 12, box.y + 20);
        });
        const indent = depth < kMostIndents ? kIndent : 0;
        const left = row.x + indent;
        const bus = left - kIndent / 2;
        let from = `M ${box.x + kIndent} ${box.y + kPortHeight} V ${box.y + kPortHeight + kGap / 2} H ${bus} `;
        let at = row.y + kPortHeight + kGap;
        for (const child of node.children) {
            const middle = at + kPortHeight / 2;
            sheet.path(`${from}V ${middle} H ${left}`, "bus");
            from = `M ${bus} ${middle} `;
            at += this.drawBelow(child, left, at, row.width - indent, depth + 1) + kGap;
        }
        return at - kGap - row.y;
    }

    private drawDevice(functions: TreeNode[], box: Box): number {
        const sheet = this.sheet!;
        const first = functions[0]!;
        const frame = sheet.rect(box, "device");
        const model = first.planned.model ?? "";
        sheet.text(box.x + 12, box.y + 18, "head", first.label, box.width - 24 - model.length * 7);
        sheet.text(box.x + box.width - 12, box.y + 18, "dim end", model, box.width - 60);
        let at = box.y + kHead;
        for (const node of functions) {
            this.drawFunction(node, "PF", box, at);
            at += kLine;
            at += this.drawVfs(node, box, at);
        }
        const height = Math.max(at + 5 - box.y, kPortHeight);
        setAttribute(frame, "height", String(height));
        sheet.onPaint((live) => setAttribute(frame, "data-absent", live.devices.get(first.device ?? "")?.present === false ? "" : null));
        return height;
    }

    private drawFunction(node: TreeNode, what: string, { x, width }: Box, y: number): void {
        const sheet = this.sheet!;
        sheet.piece(node, () => {
            sheet.rect({ x: x + 6, y, width: width - 12, height: kLine - 3 }, node.kind === "virtual-function" ? "vf" : "pf", 4);
            sheet.text(x + 12, y + 13, "mono", shortAddress(this.live?.devices.get(node.device ?? "")?.bdf ?? node.note), 60);
            sheet.text(x + 68, y + 13, "dim", what);
            sheet.state(node, x + width - 12, y + 13);
            if (width < 300) return;
            const rates = sheet.text(x + 104, y + 13, "dim", "");
            sheet.onPaint((live) => {
                const { accesses, dma } = live.ratesOf(node);
                const parts = [accesses > 0 ? `${amount(accesses)}/s` : "", dma > 0 ? `${bytes(dma)}/s` : ""];
                setText(rates, parts.filter(Boolean).join(", "));
            });
        });
    }

    // Few are lines, many are cells; those that the guest could enable and has not are outlines.
    private drawVfs(pf: TreeNode, box: Box, y: number): number {
        const sheet = this.sheet!;
        const total = this.live?.devices.get(pf.device ?? "")?.total_vfs ?? 0;
        const vfs = pf.children.filter((child) => child.kind === "virtual-function");
        if (total === 0 && vfs.length === 0) return 0;
        let at = y;
        if (vfs.length > kLinesOfVfs) {
            at += this.drawCells(vfs, Math.max(total, vfs.length), box, at);
        } else {
            for (const [index, vf] of vfs.entries()) {
                this.drawFunction(vf, `VF${index}`, box, at);
                at += kLine;
            }
        }
        const words = total > 0 ? `${vfs.length} of ${total} VFs enabled` : `${vfs.length} VFs`;
        const more = vfs.length > kMostCells ? `, ${kMostCells} of them shown` : "";
        sheet.text(box.x + 12, at + 12, "dim", words + more, box.width - 24);
        return at + 18 - y;
    }

    private drawCells(vfs: TreeNode[], total: number, box: Box, y: number): number {
        const sheet = this.sheet!;
        const step = kCell.size + kCell.gap;
        const per_row = Math.max(1, Math.floor((box.width - 18) / step));
        const place = (index: number) => [box.x + 10 + (index % per_row) * step, y + 3 + Math.floor(index / per_row) * step] as const;
        const shown = Math.min(total, kMostCells);
        vfs.slice(0, kMostCells).forEach((vf, index) => {
            const [x, top] = place(index);
            sheet.piece(vf, () => {
                sheet.rect({ x, y: top, width: kCell.size, height: kCell.size }, "cell", 2);
                const mark = sheet.text(x + kCell.size / 2, top + 9.5, "mark mid", "");
                sheet.onPaint((live) => {
                    const faults = live.devices.get(vf.device ?? "")?.faults;
                    const words = (faults?.active ?? 0) > 0 || sheet.hasStruck(vf) ? "!" : (faults?.armed ?? 0) > 0 ? "?" : "";
                    setText(mark, words);
                });
            }, "piece cell-piece");
        });
        let none = "";
        for (let index = vfs.length; index < shown; ++index) {
            const [x, top] = place(index);
            none += `M ${x + 0.5} ${top + 0.5} h ${kCell.size - 1} v ${kCell.size - 1} h ${1 - kCell.size} z `;
        }
        if (none) sheet.path(none, "cell none");
        return Math.ceil(shown / per_row) * step + 4;
    }

    // --- Choosing

    private pieces(): SVGGElement[] {
        return [...this.element.querySelectorAll<SVGGElement>("[data-id]")];
    }

    private choose(piece: SVGGElement | null, by_keyboard: boolean): void {
        const node = piece && this.live?.tree.nodes.get(piece.dataset.id!);
        if (node?.device) this.open(node, by_keyboard);
    }

    private onKey(event: KeyboardEvent): void {
        if (event.ctrlKey || event.altKey || event.metaKey) return;
        const pieces = this.pieces();
        const at = pieces.findIndex((piece) => piece === document.activeElement);
        if (at < 0) return;
        const moves: Record<string, number> = {
            ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: pieces.length - 1,
        };
        const to = moves[event.key];
        if (event.key === "Enter" || event.key === " ") this.choose(pieces[at]!, true);
        else if (to === undefined) return;
        else pieces[Math.min(Math.max(to, 0), pieces.length - 1)]!.focus();
        event.preventDefault();
    }

    // The Tab key comes back to where it left.
    private moveStop(piece: SVGGElement | null): void {
        if (!piece) return;
        for (const one of this.element.querySelectorAll("[tabindex='0']")) setAttribute(one, "tabindex", "-1");
        setAttribute(piece, "tabindex", "0");
    }
}

function pieceOf(event: Event): SVGGElement | null {
    return (event.target as Element).closest<SVGGElement>("[data-id]");
}
