#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""junit_test.py BIN SOURCE: the reports of mimic verify --junit, read with an XML parser; also those of a hostile guest. Boots
nothing: the guest is a probe's text. lifecycle_vm_test has the report of a real one."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import junit_shape

BIN, SOURCE = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


class Reports(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="mimic-junit-")
        self.addCleanup(self.folder.cleanup)
        self.at = pathlib.Path(self.folder.name)
        self.report = self.at / "report.xml"
        (self.at / "run").mkdir(mode=0o700)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(self.at / "run"), "XDG_STATE_HOME": str(self.at / "state")}

    def mimic(self, status, *words):
        done = subprocess.run([BIN / "mimic", *words], env=self.env, capture_output=True, stdin=subprocess.DEVNULL, timeout=300,
                              check=False)
        self.assertEqual(done.returncode, status, done)
        return done

    def verify_probe(self, probe):
        (self.at / "probe").write_bytes(probe)
        self.mimic(1, "kernel", "verify", SOURCE / "examples/dual-numa.yaml", "--probe", self.at / "probe", "--junit", self.report)
        return junit_shape.cases(self.report)

    def test_what_differs_is_a_failure_with_its_words(self):
        cases = self.verify_probe(b"mimic-probe=1\nkernel=1.2.3\n@end\n")
        self.assertGreater(len(cases), 2)
        self.assertEqual({suite for suite, *_ in cases}, {"dual-numa"})
        failed = {name: text for _, name, outcome, text in cases if outcome == "failure"}
        self.assertTrue(any("PCI function: expected present, got nothing" in text for text in failed.values()), cases)

    def test_a_hostile_guest_writes_no_markup_and_no_control(self):
        evil = b'1.2"><testcase name="x"/><!--\x1b[2J\x01\x7f\xc2\x9b\xff]]>&amp;' + b"z" * 100_000
        self.verify_probe(b"mimic-probe=1\nkernel=" + evil + b"\n@end\n")
        raw = self.report.read_bytes()
        self.assertFalse([byte for byte in raw if byte < 0x20 and byte != 0x0a or byte == 0x7f])
        raw.decode("utf-8")
        self.assertNotIn("\u009b", raw.decode("utf-8"))
        self.assertLess(len(raw), 100_000)
        root = xml.etree.ElementTree.parse(self.report).getroot()
        kernel = root.find(".//property[@name='kernel']").get("value")
        self.assertTrue(kernel.startswith('1.2"><testcase name="x"/>'), kernel[:100])

    def test_a_machine_that_cannot_be_asked_is_an_error(self):
        self.mimic(2, "verify", "nobody", "other", "--junit", self.report)
        self.assertEqual([case[:3] for case in junit_shape.cases(self.report)],
                         [("nobody", "machine", "error"), ("other", "machine", "error")])

    def test_a_report_that_cannot_be_written(self):
        done = self.mimic(2, "verify", "nobody", "--junit", self.at / "none/report.xml")
        self.assertIn(b"none/report.xml", done.stderr)

    def test_the_shape_can_be_wrong(self):
        for bad in ("<testsuites/>", "<a/>", "<testsuites"):
            self.report.write_text(bad)
            with self.assertRaises((AssertionError, xml.etree.ElementTree.ParseError)):
                junit_shape.cases(self.report)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
