// SPDX-License-Identifier: Apache-2.0
// The list of what happened, newest first, and the sentence for each type of event.
import { h } from "./dom";
import { clock } from "./format";
import type { LiveEvent } from "./types";

const kKept = 200;
const kBatch_ms = 200; // a storm of events is shown in bursts, and only what stays in the list

function sentence(event: LiveEvent): string {
    switch (event.type) {
        case "machine": return `is ${event.state}${event.reason ? `: ${event.reason}` : ""}`;
        case "vfs": return `has ${event.count} virtual functions`;
        case "slot": return `${event.present ? "is in its slot" : "left its slot"}, link ${event.link_up ? "up" : "down"}`;
        case "fault": return `fault ${event.fault} is ${event.state}`;
        case "error": return `reported ${event.name}, ${event.severity}`;
        case "trace-dump": return `trace written to ${event.path}`;
        case "dropped": return `this page was too slow for ${event.count} events`;
        case "missed": return "more has happened than is told here";
        case "reset": return "was reset";
        default: return event.type;
    }
}

const kTones: Record<string, string> = { error: "bad", fault: "warn", dropped: "warn", missed: "warn", disconnected: "off", vfs: "ok", connected: "ok" };

export class EventLog {
    private waiting: LiveEvent[] = [];

    constructor(private readonly list: HTMLElement) {
        this.clear();
    }

    add(event: LiveEvent): void {
        if (this.waiting.length === 0) setTimeout(() => this.flush(), kBatch_ms);
        this.waiting.push(event);
        if (this.waiting.length > kKept) this.waiting.shift();
    }

    private flush(): void {
        this.list.querySelector(".placeholder")?.remove();
        this.list.prepend(...this.waiting.reverse().map(itemOf));
        this.waiting = [];
        while (this.list.childElementCount > kKept) this.list.lastElementChild!.remove();
    }

    clear(): void {
        this.list.replaceChildren(h("li", { class: "placeholder muted" }, "Nothing has happened since this page was opened."));
    }
}

function itemOf(event: LiveEvent): HTMLElement {
    const time = event.time_us ? event.time_us / 1000 : Date.now();
    const who = [event.machine, event.device].filter(Boolean).join(" / ");
    return h("li", { "data-type": event.type },
        h("time", {}, clock(time)), h("span", { class: "tag", "data-tone": kTones[event.type] ?? "idle" }, event.type),
        h("span", {}, h("b", {}, who), ` ${sentence(event)}`));
}
