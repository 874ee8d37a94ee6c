#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws who got how much of a pool and how long it took, over time, as OUT.png and OUT.svg.

    mimic mediator simulate --json examples/mediator/loads/mixed-depth-64.jsonl > /tmp/rules.json
    examples/mediator/draw.py /tmp/rules.json --out /tmp/rules            # a column a rule
    examples/mediator/draw.py /tmp/rules.json --rule fair --rule fifo --out /tmp/two
    examples/mediator/run three-priorities --out /tmp/three
    examples/mediator/draw.py /tmp/three.jsonl --out /tmp/three           # a mediator that ran

The input is what `mimic mediator simulate --json` printed, or lines of JSON, one a sample of a mediator that runs:
{"time_s": seconds, "vms": what GET /v1/mediator/vms says}. Latency is the 99th percentile of each part of the time in the
first case and the mean in the second, for a mediator counts its latencies from its start on."""
import argparse
import json
import math
import sys


class BadInput(Exception):
    """The input is not what it should be."""


def whole_number(value, what):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise BadInput(f"{what} is no number")
    return value


def member(value, *names):
    """value[name][name]..., which must be there."""
    for name in names:
        if not isinstance(value, dict) or name not in value:
            raise BadInput(f"{'.'.join(names)} is missing")
        value = value[name]
    return value


def list_of(value, *names):
    found = member(value, *names)
    if not isinstance(found, list):
        raise BadInput(f"{'.'.join(names)} is no list")
    return found


class Panel:
    """A column of the picture: for each VM its service in each part of the time, and its latency there (None: no job)."""

    def __init__(self, title, latency):
        self.title = title
        self.latency_name = latency
        self.times = []  # where parts begin, in seconds, and where the last one ends
        self.service = {}
        self.latency = {}
        self.names = {}

    def shares(self):
        """Per cent of what all VMs got in each part; where nobody got anything, 0."""
        totals = [sum(parts) for parts in zip(*self.service.values())]
        return {vm: [100 * part / total if total else 0 for part, total in zip(parts, totals)]
                for vm, parts in self.service.items()}


def simulated(document, rules):
    if member(document, "mimic_simulation") != 1:
        raise BadInput("it is of another format than 1")
    piece = whole_number(member(document, "piece_ns"), "piece_ns") / 1e9
    panels = []
    for rule in list_of(document, "rules"):
        name = member(rule, "rule")
        if rules and name not in rules:
            continue
        panel = Panel(f"{name}: min/max {whole_number(member(rule, 'min_max'), 'min_max'):.3f}, "
                      f"Jain {whole_number(member(rule, 'jain'), 'jain'):.3f}", "p99 latency, ms")
        for vm in list_of(rule, "vms"):
            series = list_of(vm, "series")
            if any(not isinstance(part, list) or len(part) != 3 for part in series):
                raise BadInput("a part of a series is not [service, p50, p99]")
            number = member(vm, "vm")
            panel.names[number] = f"VM {number}, weight {member(vm, 'weight')}"
            panel.service[number] = [whole_number(part[0], "service") for part in series]
            panel.latency[number] = [whole_number(part[2], "p99") / 1e6 or None for part in series]
            panel.times = [piece * i for i in range(len(series) + 1)]
        if len({len(parts) for parts in panel.service.values()}) > 1:
            raise BadInput("series of a rule differ in length")
        panels.append(panel)
    if rules and len(panels) != len(set(rules)):
        raise BadInput(f"it has no rule {', '.join(sorted(set(rules) - {member(r, 'rule') for r in document['rules']}))}")
    return panels


def counters_of(vm):
    """What a VM has had since its mediator began: service in ns, requests that ended, the sum of their latencies in us."""
    count = whole_number(member(vm, "latency", "count"), "latency.count")
    mean = whole_number(member(vm, "latency", "mean_us"), "latency.mean_us")
    return whole_number(member(vm, "counters", "service_ns"), "counters.service_ns"), count, count * mean


def recorded(samples, parts):
    """Samples in at most so many parts of about the same length."""
    step = max(1, math.ceil((len(samples) - 1) / parts))
    samples = samples[::step] + ([samples[-1]] if (len(samples) - 1) % step else [])
    panel = Panel("", "mean latency, ms")
    panel.times = [whole_number(member(sample, "time_s"), "time_s") for sample in samples]
    if any(after <= before for before, after in zip(panel.times, panel.times[1:])):
        raise BadInput("time_s goes back")
    values = []
    for sample in samples:
        values.append({member(vm, "id"): counters_of(vm) for vm in list_of(sample, "vms")})
        for vm in list_of(sample, "vms"):
            panel.names[vm["id"]] = f"VM {vm['id']}, weight {member(vm, 'weight')}, {member(vm, 'priority')}"
    for number in sorted(panel.names):
        panel.service[number], panel.latency[number] = [], []
        for before, after in zip(values, values[1:]):
            old, new = before.get(number, (0, 0, 0)), after.get(number, (0, 0, 0))
            if any(a > b for a, b in zip(old[:2], new[:2])):
                old = (0, 0, 0)  # the mediator began anew
            ended = new[1] - old[1]
            panel.service[number].append(max(0, new[0] - old[0]))
            panel.latency[number].append((new[2] - old[2]) / ended / 1e3 if ended > 0 and new[2] > old[2] else None)
    return [panel]


def read(path, rules, parts=100):
    """The panels of a file. Raises BadInput."""
    with (sys.stdin if path == "-" else open(path, encoding="utf-8")) as source:
        text = source.read()
    try:
        document = json.loads(text)
        if isinstance(document, dict) and "mimic_simulation" in document:
            return simulated(document, rules)
    except json.JSONDecodeError:
        pass
    samples = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            samples.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise BadInput(f"line {number}: {error}") from error
    if len(samples) < 2:
        raise BadInput("it is neither a simulation nor two samples of a mediator")
    if rules:
        raise BadInput("a mediator has one rule")
    return recorded(samples, parts)


def draw(panels, title, out):
    import matplotlib

    matplotlib.use("Agg")
    # The same file for the same input.
    matplotlib.rcParams.update({"svg.hashsalt": "mimic", "svg.fonttype": "none"})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(panels), figsize=(max(7, 4 * len(panels)), 6.5), sharex="col", sharey="row",
                                   squeeze=False)
    for column, panel in enumerate(panels):
        top, bottom = axes[0][column], axes[1][column]
        numbers = list(panel.service)
        shares = panel.shares()
        # Steps: a part's last value stands until the part ends.
        top.stackplot(panel.times, [shares[vm] + shares[vm][-1:] for vm in numbers], step="post",
                      labels=[panel.names[vm] for vm in numbers], alpha=0.8)
        top.set_title(panel.title, fontsize=10)
        top.set_ylim(0, 100)
        for vm in numbers:
            middles = [(a + b) / 2 for a, b in zip(panel.times, panel.times[1:])]
            points = [(at, value) for at, value in zip(middles, panel.latency[vm]) if value is not None]
            bottom.plot([at for at, _ in points], [value for _, value in points], marker=".", markersize=3, linewidth=1)
        bottom.set_yscale("log")
        bottom.set_xlabel("s")
        bottom.grid(alpha=0.3)
    axes[0][0].set_ylabel("share of the service, %")
    axes[1][0].set_ylabel(panels[0].latency_name)
    axes[0][0].legend(loc="lower left", fontsize=8)
    if title:
        figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(out + ".png", dpi=110)
    figure.savefig(out + ".svg", metadata={"Date": None})
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", help="what `mimic mediator simulate --json` printed, or samples; - for standard input")
    parser.add_argument("--out", required=True, help="where to write, without an ending")
    parser.add_argument("--rule", action="append", help="of a simulation: only this rule; may be repeated")
    parser.add_argument("--title", default="")
    arguments = parser.parse_args()
    try:
        panels = read(arguments.input, arguments.rule)
        if not panels or not any(panel.service for panel in panels):
            raise BadInput("no VM is in it")
        draw(panels, arguments.title, arguments.out)
    except (BadInput, OSError, UnicodeDecodeError) as error:
        print(f"draw.py: {arguments.input}: {error}", file=sys.stderr)
        return 2
    except ImportError:
        print("draw.py: matplotlib is missing (python3-matplotlib)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
