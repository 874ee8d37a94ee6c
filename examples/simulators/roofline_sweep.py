#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Achieved against modelled performance: asks a simulator for work of ever more operations a byte, and plots what it
achieved below the roof that the model promises. Without a guest; the same requests work from one (guest/sst-test).

    examples/simulators/roofline_sweep.py --out /tmp/roofline            # the Python model beside this file
    examples/simulators/roofline_sweep.py --builtin build/release/bin/mimic-sim --out /tmp/roofline
    examples/simulators/roofline_sweep.py --socket /tmp/sst.sock         # one that is there

Writes OUT.csv, OUT.png and OUT.svg.
"""

import argparse
import contextlib
import csv
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(HERE, "..", "..", "integrations", "python")
sys.path[:0] = [PACKAGE, HERE]

import mimic_sim  # noqa: E402
import roofline_model as roof  # noqa: E402
from mimic_sim import protocol  # noqa: E402

INTENSITIES = [2.0**exponent for exponent in range(-4, 11)]  # operations a byte
SIZES = {"large": 10**9, "small": 10**6}  # operations of a request


def modelled(intensity):
    """Operations a second that the roofline allows."""
    return min(roof.PEAK, intensity * roof.BANDWIDTH)


def command_of(arguments, path):
    if not arguments.builtin:
        model = os.path.join(HERE, "roofline_model.py:latency")
        return [sys.executable, "-m", "mimic_sim", "--socket", path, model]
    model = "roofline:peak=%d,bandwidth=%d,latency=%dns" % (roof.PEAK, roof.BANDWIDTH, roof.LAUNCH)
    return [arguments.builtin, "serve", "--quiet", "-s", path, "--model", model]


@contextlib.contextmanager
def simulator(arguments):
    """A connection to the simulator that was asked for."""
    if arguments.socket:
        with mimic_sim.Client(arguments.socket) as client:
            yield client
        return
    with tempfile.TemporaryDirectory(prefix="roofline-") as folder:
        path = os.path.join(folder, "sst.sock")
        process = subprocess.Popen(command_of(arguments, path), env=dict(os.environ, PYTHONPATH=PACKAGE))
        try:
            with connect(path, process) as client:
                yield client
        finally:
            process.terminate()
            process.wait()


def connect(path, process):
    while True:
        try:
            return mimic_sim.Client(path)
        except (FileNotFoundError, ConnectionRefusedError):
            if process.poll() is not None:
                sys.exit("the simulator ended with status %d" % process.returncode)
            time.sleep(0.02)


def sweep(client):
    """Rows of (size, operations a byte, operations a second modelled, achieved)."""
    rows = []
    if not client.timed:
        sys.exit("this simulator tells no simulated times; there is nothing to plot")
    clock = 0
    for name, operations in SIZES.items():
        for intensity in INTENSITIES:
            work = protocol.Work(operations=operations, bytes=round(operations / intensity))
            answer = client.compute(1, work=work, submitted=clock)
            if answer.status != mimic_sim.Status.OK:
                sys.exit("a COMPUTE was answered %d" % answer.status)
            clock = max(clock, answer.finished)
            rows.append((name, intensity, modelled(intensity), operations / (answer.latency * 1e-9)))
    return rows


def write_csv(rows, path):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("size", "operations_per_byte", "modelled_per_second", "achieved_per_second"))
        writer.writerows(rows)


def plot(rows, paths):
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        sys.exit("no matplotlib to plot with (Debian: python3-matplotlib); the numbers are in the CSV file")
    figure, axes = pyplot.subplots(figsize=(8, 5))
    axes.loglog(INTENSITIES, [modelled(x) / 1e9 for x in INTENSITIES], "k-", label="modelled", gid="modelled")
    for (name, operations), marker in zip(SIZES.items(), "os"):
        points = [(row[1], row[3] / 1e9) for row in rows if row[0] == name]
        label = "achieved, %.0e operations a request" % operations
        axes.loglog(*zip(*points), marker + "--", label=label, gid="achieved-" + name)
    axes.set_xlabel("operations a byte")
    axes.set_ylabel("10$^9$ operations a second")
    axes.set_title("Roofline: %.0f GB/s, %.0f G operations/s, %.0f us a launch"
                   % (roof.BANDWIDTH / 1e9, roof.PEAK / 1e9, roof.LAUNCH / 1e3))
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    for path in paths:
        figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="roofline", help="where, without an ending (default: %(default)s)")
    parser.add_argument("--socket", help="a simulator that is there")
    parser.add_argument("--builtin", metavar="MIMIC-SIM", help="the program, for its built-in roofline")
    arguments = parser.parse_args()
    with simulator(arguments) as client:
        rows = sweep(client)
    write_csv(rows, arguments.out + ".csv")
    for row in rows:
        print("%-6s %10.4f operations/byte: modelled %8.1f G/s, achieved %8.1f G/s"
              % (row[0], row[1], row[2] / 1e9, row[3] / 1e9))
    plot(rows, [arguments.out + ".png", arguments.out + ".svg"])


if __name__ == "__main__":
    main()
