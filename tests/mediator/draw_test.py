#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""examples/mediator/draw.py: what it reads out of simulations and samples, that its pictures are there and name the VMs,
and what it says of input that is none.

usage: draw_test.py SOURCE MIMIC"""
import importlib.util
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

SOURCE = pathlib.Path(sys.argv[1]).resolve()
DRAW = SOURCE / "examples/mediator/draw.py"
MIMIC = pathlib.Path(sys.argv[2]).resolve()


def plotting_python():
    """A python3 that has matplotlib: the one on the PATH may be another than Debian's, for which tools/setup has it."""
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and not subprocess.run([python, "-c", "import matplotlib"], stderr=subprocess.DEVNULL,
                                                         check=False).returncode:
            return python
    print("SKIP: no python3 with matplotlib (python3-matplotlib)")
    sys.exit(77)


def module():
    spec = importlib.util.spec_from_file_location("draw", DRAW)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def vm(number, series):
    return {"vm": number, "weight": 10 * number, "series": series}


def rule(name, first, second):
    return {"rule": name, "min_max": 1.0, "jain": 1.0, "vms": [vm(1, first), vm(2, second)]}


SIMULATION = {"mimic_simulation": 1, "piece_ns": 500_000_000,
              "rules": [rule("fair", [[100, 1_000_000, 2_000_000], [0, 0, 0]], [[300, 1_000_000, 4_000_000], [0, 0, 0]]),
                        rule("fifo", [[200, 0, 0], [1, 1, 1]], [[200, 0, 0], [3, 1, 1]])]}


def sample(time_s, *vms):
    return {"time_s": time_s, "vms": [
        {"id": number, "weight": 50, "priority": "high", "counters": {"service_ns": service},
         "latency": {"count": count, "mean_us": mean}} for number, service, count, mean in vms]}


# VM 2 comes later, and the mediator begins anew before the last sample.
SAMPLES = [sample(0, (1, 0, 0, 0)), sample(1, (1, 100, 10, 1000), (2, 300, 5, 2000)),
           sample(2, (1, 200, 20, 2000), (2, 600, 5, 2000)), sample(3, (1, 70, 1, 5000), (2, 30, 1, 1000))]


class Draw(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="draw-")
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def write(self, text):
        path = self.path / "input"
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path

    def run_draw(self, text, *options):
        environment = dict(os.environ, MPLCONFIGDIR=self.folder.name)
        return subprocess.run([PYTHON, DRAW, self.write(text), "--out", self.path / "out", *options], env=environment, text=True,
                              capture_output=True, check=False)

    def test_reads_shares_and_latencies_of_a_simulation(self):
        fair, fifo = module().read(self.write(SIMULATION), None)
        self.assertEqual(fair.times, [0, 0.5, 1.0])
        self.assertEqual(fair.shares(), {1: [25, 0], 2: [75, 0]})
        self.assertEqual(fair.latency, {1: [2, None], 2: [4, None]})
        self.assertEqual(fifo.shares(), {1: [50, 25], 2: [50, 75]})

    def test_reads_only_the_rules_that_were_asked_for(self):
        self.assertEqual(["fifo"], [panel.title.split(":")[0] for panel in module().read(self.write(SIMULATION), ["fifo"])])
        draw = module()
        with self.assertRaisesRegex(draw.BadInput, "no rule lifo"):
            draw.read(self.write(SIMULATION), ["lifo"])

    def test_reads_differences_of_samples(self):
        panel, = module().read(self.write("\n".join(map(json.dumps, SAMPLES))), None)
        self.assertEqual(panel.times, [0, 1, 2, 3])
        self.assertEqual(panel.service, {1: [100, 100, 70], 2: [300, 300, 30]})
        self.assertEqual(panel.latency, {1: [1, 3, 5], 2: [2, None, 1]})

    def test_joins_samples_that_are_too_many(self):
        many = [sample(i, (1, 10 * i, i, 1000)) for i in range(1000)]
        panel, = module().read(self.write("\n".join(map(json.dumps, many))), None)
        self.assertLessEqual(len(panel.times), 102)
        self.assertEqual(sum(panel.service[1]), 9990)
        self.assertEqual(panel.times[-1], 999)

    def check_pictures(self, words):
        png = (self.path / "out.png").read_bytes()
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", png[16:24])
        self.assertGreater(width, 500)
        self.assertGreater(height, 400)
        root = xml.etree.ElementTree.parse(self.path / "out.svg").getroot()
        text = " ".join("".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text"))
        for word in words:
            self.assertIn(word, text)

    def test_draws_a_simulation_the_same_each_time(self):
        done = self.run_draw(SIMULATION, "--title", "two rules")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_pictures(["two rules", "fair", "fifo", "VM 1, weight 10", "VM 2, weight 20", "p99 latency"])
        first = (self.path / "out.svg").read_bytes()
        self.run_draw(SIMULATION, "--title", "two rules")
        self.assertEqual(first, (self.path / "out.svg").read_bytes())

    def test_draws_what_mimic_simulates(self):
        done = subprocess.run([MIMIC, "mediator", "simulate", "--json", SOURCE / "examples/mediator/loads/depth-1-and-64.jsonl"],
                              text=True, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        drawn = self.run_draw(done.stdout)
        self.assertEqual(drawn.returncode, 0, drawn.stderr)
        self.check_pictures(["fair", "fifo", "strict", "urgency", "drm-fair", "VM 1", "VM 2"])

    def test_draws_samples(self):
        done = self.run_draw("\n".join(map(json.dumps, SAMPLES)) + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_pictures(["VM 1, weight 50, high", "mean latency"])

    def test_says_what_is_wrong_with_its_input(self):
        cut = json.loads(json.dumps(SIMULATION))
        cut["rules"][0]["vms"][0]["series"].pop()
        for text, problem in [
                ("", "neither a simulation nor two samples"), ("{", "line 1"), ("[]\n[]\n", "time_s is missing"),
                ({"mimic_simulation": 2}, "another format"), ({"mimic_simulation": 1, "piece_ns": "x"}, "piece_ns is no number"),
                ({"mimic_simulation": 1, "piece_ns": 1, "rules": []}, "no VM"), (cut, "differ in length"),
                ('{"time_s": 1, "vms": []}\n{"time_s": 1, "vms": []}\n', "time_s goes back"),
                ('{"time_s": 1, "vms": []}\n{"time_s": 2, "vms": 3}\n', "vms is no list"),
                ('{"time_s": 1, "vms": []}\n{"time_s": 2, "vms": [{"id": 1}]}\n', "latency.count is missing"),
                ('{"time_s": 1, "vms": []}\n{"time_s": 2, "vms": []}\n', "no VM")]:
            done = self.run_draw(text)
            self.assertEqual(done.returncode, 2, text)
            self.assertIn(problem, done.stderr)
            self.assertNotIn("Traceback", done.stderr)
        self.assertFalse((self.path / "out.png").exists())


if __name__ == "__main__":
    PYTHON = plotting_python()
    unittest.main(argv=sys.argv[:1])
