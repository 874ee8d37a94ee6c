// SPDX-License-Identifier: Apache-2.0
// The list of what happened, newest first, and the sentence for each type of event.
import { h } from "./dom";
import { clock } from "./format";
import type { LiveEvent } from "./types";

const kKept = 200;

function sentence(event: LiveEvent): string {
    switch (event.type) {
        case "machine": return `is ${event.state}${event.reason ? `: ${event.reason}` : ""}`;
        case "vfs": return `has ${event.count} virtual functions`;
        case "slot": return `${event.present ? "is in its slot" : "left its slot"}, link ${event.link_up ? "up" : "down"}`;
        case "fault": return `fault ${event.fault} is ${event.state}`;
        case "error": return `reported ${event.name}, ${event.severity}`;
        case "trace-dump": return `trace written to ${event.path}`;
        case "dropped": return `this page was too slow for ${event.count} events`;
        case "reset": return "was reset";
        default: return event.type;
    }
}

const kTones: Record<string, string> = { error: "bad", fault: "warn", dropped: "warn", disconnected: "off", vfs: "ok", connected: "ok" };

export class EventLog {
    constructor(private readonly list: HTMLElement) {
        this.clear();
    }

    add(event: LiveEvent): void {
        this.list.querySelector(".placeholder")?.remove();
        const time = event.time_us ? event.time_us / 1000 : Date.now();
        const who = [event.machine, event.device].filter(Boolean).join(" / ");
        const item = h("li", { "data-type": event.type },
            h("time", {}, clock(time)), h("span", { class: "tag", "data-tone": kTones[event.type] ?? "idle" }, event.type),
            h("span", {}, h("b", {}, who), ` ${sentence(event)}`));
        this.list.prepend(item);
        while (this.list.childElementCount > kKept) this.list.lastElementChild!.remove();
    }

    clear(): void {
        this.list.replaceChildren(h("li", { class: "placeholder muted" }, "Nothing has happened since this page was opened."));
    }
}
