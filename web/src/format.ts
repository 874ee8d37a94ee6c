// SPDX-License-Identifier: Apache-2.0
// Numbers and times as people read them.

const kDecimal = ["", "k", "M", "G", "T"];
const kBinary = ["B", "KiB", "MiB", "GiB", "TiB"];

function scaled(value: number, step: number, units: string[]): string {
    let unit = 0;
    while (value >= step && unit < units.length - 1) {
        value /= step;
        ++unit;
    }
    const digits = value < 10 && value % 1 !== 0 ? 1 : 0;
    return `${value.toFixed(digits)}\u2009${units[unit]}`.trim();
}

/** 12345 -> "12 k". */
export function amount(value: number): string {
    return scaled(value, 1000, kDecimal);
}

/** 65536 -> "64 KiB". */
export function bytes(value: number): string {
    return scaled(value, 1024, kBinary);
}

/** A rate; what is idle shows as a quiet dot. */
export function rate(value: number, format: (value: number) => string = amount): string {
    return value > 0 ? format(value) : "\u00b7";
}

/** 12345 -> "12,345", the same everywhere. */
export function count(value: number): string {
    return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

export function clock(time_ms: number): string {
    return new Date(time_ms).toTimeString().slice(0, 8);
}

/** Microseconds as the shortest exact text: "250us", "20ms", "1.5s". */
export function duration(us: number): string {
    if (us < 1000) return `${us}us`;
    return us < 1_000_000 ? `${us / 1000}ms` : `${us / 1_000_000}s`;
}

export function uptime(seconds: number): string {
    const whole = Math.max(0, Math.floor(seconds));
    const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    return parts.map((part) => String(part).padStart(2, "0")).join(":");
}
