// SPDX-License-Identifier: Apache-2.0
// The last minute of a number: a ring of samples, and the line that shows it.

const kSamples = 60;

/** The newest kSamples values, one a poll. */
export class History {
    private readonly values = new Float64Array(kSamples);
    private end = 0;

    push(value: number): void {
        this.values[this.end++ % kSamples] = value;
    }

    get last(): number {
        return this.end === 0 ? 0 : this.values[(this.end - 1) % kSamples]!;
    }

    /** Those that there are, oldest first. */
    *[Symbol.iterator](): Generator<number> {
        for (let i = Math.max(0, this.end - kSamples); i < this.end; ++i) yield this.values[i % kSamples]!;
    }
}

/** Draws into `canvas`, whose size in CSS pixels the style sheet gives. The colour is the element's `color`. */
export function drawSparkline(canvas: HTMLCanvasElement, history: History, width: number, height: number): void {
    const scale = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale)) {
        canvas.width = Math.round(width * scale);
        canvas.height = Math.round(height * scale);
    }
    const context = canvas.getContext("2d");
    if (!context) return;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const values = [...history];
    // A line of noughts is no news, and at the foot of its row it looks like a stray dash.
    if (values.length < 2 || values.every((value) => value === 0)) return;
    const top = Math.max(1, ...values);
    const colour = getComputedStyle(canvas).color;
    // The newest at the right edge.
    const x = (index: number) => ((kSamples - values.length + index) * (width - 1)) / (kSamples - 1) + 0.5;
    const y = (value: number) => height - 1.5 - (value / top) * (height - 3);
    context.beginPath();
    values.forEach((value, index) => context.lineTo(x(index), y(value)));
    context.strokeStyle = colour;
    context.lineWidth = 1.25;
    context.stroke();
    context.lineTo(x(values.length - 1), height);
    context.lineTo(x(0), height);
    context.globalAlpha = 0.15;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
}
