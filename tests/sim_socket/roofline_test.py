#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""examples/simulators/roofline_sweep.py, with the Python model and with the built-in one: the numbers are those of the
formula, both simulators agree, and the pictures show them.

usage: roofline_test.py BIN SOURCE"""

import csv
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

BIN, SOURCE = (os.path.abspath(path) for path in sys.argv[1:3])
SWEEP = os.path.join(SOURCE, "examples/simulators/roofline_sweep.py")
PEAK, BANDWIDTH, LAUNCH = 1e12, 100e9, 5e-6


def plotting_python():
    """A python3 that has matplotlib: the one on the PATH may be another than Debian's, for which tools/setup has it."""
    for python in (sys.executable, "/usr/bin/python3"):
        if not os.path.exists(python):
            continue
        if subprocess.run([python, "-c", "import matplotlib"], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    print("SKIP: no python3 with matplotlib (python3-matplotlib)")
    sys.exit(77)


class Sweep(unittest.TestCase):
    def sweep(self, *options):
        with tempfile.TemporaryDirectory(prefix="roofline-") as folder:
            out = os.path.join(folder, "roofline")
            environment = dict(os.environ, MPLCONFIGDIR=folder)
            done = subprocess.run([PYTHON, SWEEP, "--out", out, *options], env=environment,
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(out + ".csv", newline="") as file:
                rows = list(csv.DictReader(file))
            with open(out + ".png", "rb") as file:
                png = file.read()
            svg = xml.etree.ElementTree.parse(out + ".svg")
        return rows, png, svg

    def check_numbers(self, rows):
        self.assertEqual(len(rows), 30)
        sizes = {"large": 1e9, "small": 1e6}
        for row in rows:
            intensity, model, achieved = (float(row[key]) for key in list(row)[1:])
            operations = sizes[row["size"]]
            self.assertEqual(model, min(PEAK, intensity * BANDWIDTH))
            self.assertLess(achieved, model)
            # Times come in whole ns.
            expected = LAUNCH + max(operations / PEAK, operations / intensity / BANDWIDTH)
            self.assertAlmostEqual(operations / achieved, expected, delta=2e-9)
            if row["size"] == "large":
                self.assertGreater(achieved, 0.99 * model)
        # A small request is a launch, mostly.
        self.assertLess(float(rows[-1]["achieved_per_second"]), 0.2 * PEAK)

    def check_pictures(self, png, svg):
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">II", png[16:24]), (960, 600))
        name = "{http://www.w3.org/2000/svg}"
        for series in ("modelled", "achieved-large", "achieved-small"):
            (group,) = [each for each in svg.iter(name + "g") if each.get("id") == series]
            path = group.find(name + "path").get("d")
            self.assertEqual(len(re.findall("[ML]", path)), 15, series)

    def test_python_and_builtin_models_agree(self):
        rows, png, svg = self.sweep()
        self.check_numbers(rows)
        self.check_pictures(png, svg)
        others, png, svg = self.sweep("--builtin", os.path.join(BIN, "mimic-sim"))
        self.check_numbers(others)
        self.check_pictures(png, svg)
        for one, other in zip(rows, others):
            first, second = float(one["achieved_per_second"]), float(other["achieved_per_second"])
            self.assertLess(abs(first / second - 1), 1e-3)


if __name__ == "__main__":
    PYTHON = plotting_python()
    unittest.main(argv=sys.argv[:1])
