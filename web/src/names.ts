// SPDX-License-Identifier: Apache-2.0
// What the ids of devices are called, as lspci says: asked of the server once per id, and kept. Where it has no pci.ids,
// the numbers have to do.
import type { Api } from "./api";
import type { Device, PciIds } from "./types";

const kMost = 100; // in a request

export class Names {
    private readonly known = new Map<string, string>(); // "id=8086:28c0" or "class=010802" -> words, perhaps none
    private is_offered = true;

    constructor(private readonly api: Api) {}

    /** "Intel Corporation, Volume Management Device"; empty: it is not known (yet). */
    deviceOf(device: Device): string {
        return this.known.get(idOf(device)) ?? "";
    }

    classOf(device: Device): string {
        return this.known.get(classOf(device)) ?? "";
    }

    /** Asks for what `devices` have and is not known. Errors are those of Api; a server without names is none. */
    async learn(devices: Iterable<Device>, signal: AbortSignal): Promise<void> {
        const wanted = new Set<string>();
        for (const device of devices)
            for (const key of [idOf(device), classOf(device)]) if (key !== "" && !this.known.has(key)) wanted.add(key);
        if (!this.is_offered || wanted.size === 0) return;
        const asked = [...wanted].slice(0, kMost);
        let answer: PciIds;
        try {
            answer = await this.api.get<PciIds>(`/v1/pci-ids?${asked.join("&")}`, signal);
        } catch (error) {
            if ((error as { status?: number }).status !== 404) throw error;
            this.is_offered = false; // a server that is older than this page
            return;
        }
        for (const key of asked) this.known.set(key, "");
        for (const one of answer.ids) this.known.set(`id=${one.id}`, [one.vendor, one.device].filter(Boolean).join(", "));
        for (const one of answer.classes) {
            const words = one.sub ?? one.base ?? "";
            this.known.set(`class=${one.class}`, one.interface ? `${words}, ${one.interface}` : words);
        }
    }
}

// As the query has it; empty for what is no id.
function idOf({ vendor_id, device_id }: Device): string {
    const text = `${vendor_id}:${device_id}`.replace(/0x/g, "");
    return /^[0-9a-f]{4}:[0-9a-f]{4}$/.test(text) ? `id=${text}` : "";
}

function classOf({ class_code }: Device): string {
    const text = (class_code ?? "").replace("0x", "");
    return /^[0-9a-f]{6}$/.test(text) ? `class=${text}` : "";
}
