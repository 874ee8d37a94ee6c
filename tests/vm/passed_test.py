# SPDX-License-Identifier: Apache-2.0
"""Self-test of passed.py: a changed program, argument or script is another key; CI remembers nothing."""
import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import passed  # noqa: E402


class Remembers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = pathlib.Path(folder.name)
        self.program = self.tree / "build" / "bin" / "mimic"
        self.program.parent.mkdir(parents=True)
        self.program.write_text("program")
        self.script = self.tree / "tests" / "vm" / "vm_test.py"
        self.script.parent.mkdir(parents=True)
        self.script.write_text("script")
        environment = {"MIMIC_CACHE": str(self.tree / "cache"), "CI": "", "MIMIC_TEST_CACHE": ""}
        for patch in (mock.patch.object(passed, "TREE", self.tree), mock.patch.dict(os.environ, environment)):
            patch.start()
            self.addCleanup(patch.stop)

    def memory(self, scenario="single"):
        return passed.Passed(self.program, "6.1", scenario)

    def test_same_inputs(self):
        self.assertIsNone(self.memory().when())
        self.memory().note()
        self.assertIsNotNone(self.memory().when())
        self.assertIsNone(self.memory("sriov").when())

    def test_a_change_of_any_input_forgets(self):
        self.memory().note()
        for path in (self.program, self.script, self.tree / "kernel" / "driver.c", self.tree / "README.md"):
            before = path.read_text() if path.exists() else None
            path.parent.mkdir(exist_ok=True)
            path.write_text("changed")
            self.assertIsNone(self.memory().when(), path)
            path.write_text(before) if before is not None else path.unlink()
        self.assertIsNotNone(self.memory().when())

    def test_another_kernel_in_the_cache_forgets(self):
        self.memory().note()
        (self.tree / "cache" / "kernels" / "6.1").mkdir(parents=True)
        self.assertIsNone(self.memory().when())

    def test_never_on_ci_or_when_told(self):
        self.memory().note()
        for variable, value in (("CI", "true"), ("MIMIC_TEST_CACHE", "0")):
            with mock.patch.dict(os.environ, {variable: value}):
                self.assertIsNone(self.memory().when())
                self.memory().note()  # nothing to write to


if __name__ == "__main__":
    unittest.main()
