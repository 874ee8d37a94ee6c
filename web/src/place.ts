// SPDX-License-Identifier: Apache-2.0
// What is looked at, in the fragment of the address: `#machine=rack&device=gpu0&tab=trace`, or `#view=mediators`. It survives
// a reload and can be passed on. `token=...` may stand there too when the page is opened; api.ts takes it out at once, and
// nothing here ever writes it.

export interface Place {
    machine: string;
    device: string;
    tab: string;
    view: string; // "mediators", "picture" (which covers the tree where there is little room), or ""
    filter: string; // of the tree
    registers: string; // filter of registers
}

const kParts = ["machine", "device", "tab", "view", "filter", "registers"] as const;
const kViews = ["mediators", "picture"];
const kMostFilter = 100; // characters

/** The values of the fragment. Anybody may have written it. */
export function fragment(): Map<string, string> {
    const values = new Map<string, string>();
    for (const part of location.hash.replace(/^#/, "").split("&")) {
        const [, name, value] = /^([a-z]+)=(.*)$/.exec(part) ?? [];
        if (!name) continue;
        try {
            values.set(name, decodeURIComponent(value ?? ""));
        } catch {
            // What is no text names nothing.
        }
    }
    return values;
}

export function readPlace(): Place {
    const values = fragment();
    const of = (name: string) => values.get(name) ?? "";
    const filter = (name: string) => of(name).slice(0, kMostFilter);
    return { machine: of("machine"), device: of("device"), tab: of("tab"), view: kViews.includes(of("view")) ? of("view") : "",
             filter: filter("filter"), registers: filter("registers") };
}

/** Puts `place` into the address, in place of all that stands in its fragment, without a step in the history. */
export function writePlace(place: Place): void {
    const parts = kParts.filter((name) => place[name] !== "").map((name) => `${name}=${encodeURIComponent(place[name])}`);
    history.replaceState(null, "", location.pathname + (parts.length > 0 ? `#${parts.join("&")}` : ""));
}
