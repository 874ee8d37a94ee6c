#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""examples_test.py SOURCE BIN: each example of examples/mediator runs without guests, all its VMs get answers, and a picture
of them is drawn."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

SOURCE, BIN = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
EXAMPLES = {"three-priorities": {1, 2, 3}, "two-pools": {1, 2, 3}, "noisy-neighbour": {1, 2}}


class Examples(unittest.TestCase):
    def run_one(self, name):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            done = subprocess.run([SOURCE / "examples/mediator/run", name, "--without-guests", "--bin", BIN, "--out", out,
                                   "--seconds", "3"], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=200, check=False)
            self.assertEqual(done.returncode, 0, done.stdout)
            samples = [json.loads(line) for line in out.with_suffix(".jsonl").read_text().splitlines()]
            served = {vm["id"] for vm in samples[-1]["vms"] if vm["counters"]["done"] > 0}
            self.assertEqual(served, EXAMPLES[name])
            self.assertEqual([vm["id"] for vm in samples[-1]["vms"] if vm["waiting"] or vm["running"]], [])
            picture = xml.etree.ElementTree.parse(out.with_suffix(".svg")).getroot()
            self.assertTrue(picture.tag.endswith("svg"))
            self.assertEqual(out.with_suffix(".png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")

    def test_each_runs_and_is_drawn(self):
        described = {path.name.removesuffix(".mediator.yaml") for path in (SOURCE / "examples/mediator").glob("*.mediator.yaml")}
        self.assertEqual(described, set(EXAMPLES))
        for name in EXAMPLES:
            with self.subTest(name):
                self.run_one(name)

    def test_machines_are_valid(self):
        for name in EXAMPLES:
            done = subprocess.run([BIN / "mimic", "plan", SOURCE / f"examples/mediator/{name}.yaml", "--format", "tree"], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_files_of_the_mediator_are_valid(self):
        for name in EXAMPLES:
            done = subprocess.run([BIN / "mimic-mediator", "--check", "--config", SOURCE / f"examples/mediator/{name}.mediator.yaml"],
                                  text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
