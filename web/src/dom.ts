// SPDX-License-Identifier: Apache-2.0
// Elements made from data. Text only ever enters the document as text: there is no way here to make markup of a string.

type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | null | undefined | ((event: any) => void)>;

/** Makes <tag> with attributes (`onclick` and the like are listeners; false, null: left out) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
    tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (typeof value === "function") element.addEventListener(name.slice(2), value);
        else if (value !== null && value !== undefined && value !== false)
            element.setAttribute(name, value === true ? "" : String(value));
    }
    for (const child of children) if (child) element.append(child);
    return element;
}

/** The same for an SVG element. */
export function svg<K extends keyof SVGElementTagNameMap>(
    tag: K, attributes: Record<string, string | number | null> = {}, ...children: Child[]): SVGElementTagNameMap[K] {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, String(value));
    for (const child of children) if (child) element.append(child);
    return element;
}

/** The element of index.html with that id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
    return document.getElementById(id) as T;
}

/** Sets text if it differs: an unchanged row costs no layout. */
export function setText(element: Element, text: string): void {
    if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute if it differs; null removes it. */
export function setAttribute(element: Element, name: string, value: string | null): void {
    if (element.getAttribute(name) === value) return;
    if (value === null) element.removeAttribute(name);
    else element.setAttribute(name, value);
}

/** A sentence about what went wrong, announced by screen readers. */
export function errorBox(message: string): HTMLElement {
    return h("p", { class: "error", role: "alert" }, message);
}
