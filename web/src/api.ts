// SPDX-License-Identifier: Apache-2.0
// The control API over HTTP with the token of this session: requests, and the stream of events.
import { fragment, readPlace, writePlace } from "./place";
import type { LiveEvent } from "./types";

/** What the API, or the way to it, said is wrong; the message is for people. `status` 0: no answer came. */
export class ApiError extends Error {
    constructor(readonly status: number, readonly code: string, message: string) {
        super(message);
    }
}

export function messageOf(error: unknown): string {
    return error instanceof Error ? error.message : String(error);
}

const kTokenKey = "mimic-token";
const kSilence_ms = 20_000; // the server says something every 5 s

/** Takes the token from `#token=...`, once: it does not stay in the address bar, nor in the history. What else stands
 * there does. */
export function takeToken(): string {
    const token = fragment().get("token");
    if (token) {
        sessionStorage.setItem(kTokenKey, token);
        writePlace(readPlace());
    }
    return sessionStorage.getItem(kTokenKey) ?? "";
}

export function keepToken(token: string): void {
    sessionStorage.setItem(kTokenKey, token);
}

async function refusal(response: Response): Promise<ApiError> {
    const fallback = `The server answered ${response.status} ${response.statusText}`;
    try {
        const { error } = await response.json();
        const nearest = error.nearest?.length ? ` (did you mean ${error.nearest.join(", ")}?)` : "";
        return new ApiError(response.status, String(error.code), `${error.message}${nearest}`);
    } catch {
        return new ApiError(response.status, "", fallback);
    }
}

export class Api {
    token = "";
    private last_event = ""; // who comes back with it gets what was missed

    get<T>(path: string, signal?: AbortSignal): Promise<T> {
        return this.ask<T>("GET", path, undefined, signal);
    }

    send<T>(method: "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<T> {
        return this.ask<T>(method, path, body);
    }

    /** Reads events until the stream ends (throws ApiError too then) or `signal` aborts. */
    async events(path: string, on_open: () => void, on_event: (event: LiveEvent) => void,
                 signal: AbortSignal): Promise<void> {
        const silence = new AbortController();
        const stop = () => silence.abort();
        signal.addEventListener("abort", stop);
        let timer = setTimeout(stop, kSilence_ms);
        try {
            const headers = this.headers("text/event-stream");
            if (this.last_event) headers["Last-Event-ID"] = this.last_event;
            const response = await this.fetch(path, { headers, signal: silence.signal });
            on_open();
            const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
            let text = "";
            for (;;) {
                const { value, done } = await reader.read();
                if (done) break;
                clearTimeout(timer);
                timer = setTimeout(stop, kSilence_ms);
                const blocks = (text + value).split("\n\n");
                text = blocks.pop()!;
                for (const block of blocks) this.last_event = parseEvent(block, on_event) || this.last_event;
            }
        } finally {
            clearTimeout(timer);
            signal.removeEventListener("abort", stop);
        }
        throw new ApiError(0, "ended", "The stream of events ended");
    }

    private headers(accept: string): Record<string, string> {
        return { Accept: accept, Authorization: `Bearer ${this.token}` };
    }

    private async fetch(path: string, init: RequestInit): Promise<Response> {
        let response: Response;
        try {
            response = await fetch(path, { ...init, cache: "no-store", credentials: "omit" });
        } catch (error) {
            if (init.signal?.aborted) throw error;
            throw new ApiError(0, "no_answer", "The server does not answer. Does mimic web still run?");
        }
        if (!response.ok) throw await refusal(response);
        return response;
    }

    private async ask<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
        const headers = this.headers("application/json");
        if (body !== undefined) headers["Content-Type"] = "application/json";
        const response = await this.fetch(path, { method, headers, signal, body: body === undefined ? null : JSON.stringify(body) });
        return (await response.json()) as T;
    }
}

// One block of the stream: "id:", "event:" and "data:" lines; comments keep the connection alive. Its id, or "".
function parseEvent(block: string, on_event: (event: LiveEvent) => void): string {
    let id = "";
    let type = "message";
    let data = "";
    for (const line of block.split("\n")) {
        if (line.startsWith("event:")) type = line.slice(6).trim();
        else if (line.startsWith("data:")) data += line.slice(5);
        else if (line.startsWith("id:")) id = line.slice(3).trim();
    }
    let event: LiveEvent | null = null;
    try {
        if (data) event = { ...JSON.parse(data), type };
    } catch {
        // A line that is no JSON tells the page nothing.
    }
    if (event) on_event(event);
    return id;
}

export const machinePath = (machine: string) => `/v1/machines/${encodeURIComponent(machine)}`;
export const mediatorPath = (mediator: string) => `/v1/mediators/${encodeURIComponent(mediator)}`;
export const devicePath = (machine: string, device: string) =>
    `${machinePath(machine)}/devices/${encodeURIComponent(device)}`;
