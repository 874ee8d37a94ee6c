#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""exit_codes_test.py BIN SOURCE: docs/reference/exit-codes.md is fresh, each row of its tables is true, and no environment
variable is missing there. Rows that need a guest name the test that has it."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BIN, SOURCE = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
SINGLE = str(SOURCE / "examples/single.yaml")
TRACE = str(SOURCE / "tests/replay/driver_session.jsonl")
# A fake QEMU that boots nothing, for ways to fail that come after its start.
SLEEPER = """#!/bin/sh
case $1 in
    --version) echo 'QEMU emulator version 11.1.3' ;;
    -device) echo 'name "vfio-user-pci"' ;;
    *) exec sleep 1000 ;;
esac
"""
# Rows that only a guest can show: the test, and words that it has.
IN_GUESTS = {
    ("exec", "126"): ("tests/cli/lifecycle_vm_test.sh", "run 126"),
    ("exec", "127"): ("tests/cli/lifecycle_vm_test.sh", "run 127"),
    ("exec", "128 + n"): ("tests/cli/lifecycle_vm_test.sh", "run 143"),
    ("exec", "any other"): ("tests/cli/lifecycle_vm_test.sh", "run 7"),
    ("run", "124"): ("tests/cli/run_vm_test.sh", "run 124"),
    ("kernel verify", "0"): ("tests/vm/kernel_bus_scenarios.py", "check(verdict.status == 0, f\"mimic kernel verify"),
    ("run", "126, 127"): ("tests/cli/run_vm_test.sh", "run 127"),
    ("run", "any other"): ("tests/cli/run_vm_test.sh", "run 3"),
    ("verify", "0"): ("tests/cli/lifecycle_vm_test.sh", 'run 0 "$mimic" verify single'),
    ("verify", "1"): ("tests/vm/vm_test.py", 'equal("verify without a driver", 1, done.status)'),
}
# Where variables are looked up, beside literals in C++: shell's ${MIMIC_X} and Python's environ.
SCRIPTS = ("tools", "tests", "bench", "guest", "integrations", "deploy", ".ci")


class Tables(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="mimic-exit-")
        self.addCleanup(self.folder.cleanup)
        self.at = pathlib.Path(self.folder.name)
        (self.at / "run").mkdir(mode=0o700)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(self.at / "run"), "XDG_STATE_HOME": str(self.at / "state")}
        for name in ("MIMIC_QEMU", "MIMIC_KVM"):
            self.env.pop(name, None)
        self.tables = json.loads(self.mimic("reference", "--json").stdout)

    def mimic(self, *words, **env):
        return subprocess.run([BIN / "mimic", *map(str, words)], env={**self.env, **env}, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=300, check=False)

    def sleeper(self):
        path = self.at / "qemu"
        path.write_text(SLEEPER)
        path.chmod(0o755)
        return {"MIMIC_QEMU": str(path)}

    def interrupted(self, *words, number=signal.SIGTERM):
        """Exit status of a command that boots a guest of the fake QEMU and gets a signal."""
        with subprocess.Popen([BIN / "mimic", *words], env={**self.env, **self.sleeper()}, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as child:
            deadline = time.monotonic() + 240
            while not (self.at / "run/mimic/single/gpu0.sock").exists() and child.poll() is None:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
            child.send_signal(number)
            return child.wait(timeout=240)

    def kernel(self, *words):
        (self.at / "config/fake-sriov-vgpu").mkdir(parents=True, exist_ok=True)
        return self.mimic("kernel", *words, MIMIC_CONFIGFS=self.at / "config", MIMIC_PCI_DEVICES=self.at, MIMIC_NODES=self.at)

    def verify_here(self, text):
        (self.at / "probe").write_text(text)
        return self.kernel("verify", SINGLE, "--probe", self.at / "probe")

    def changed_trace(self):
        text, count = re.subn(r'("kind":"config-read",[^\n]*?"value":")0x406"', r'\g<1>0x407"', pathlib.Path(TRACE).read_text(), count=1)
        self.assertEqual(count, 1)
        (self.at / "changed.jsonl").write_text(text)
        return self.at / "changed.jsonl"

    def cases(self):
        """By row of the table: what gives that status."""
        failing = {"MIMIC_QEMU": "/nowhere/qemu"}
        return {
            ("", "0"): lambda: self.mimic("ps").returncode,
            ("", "1"): lambda: self.mimic("logs", "nobody").returncode,
            ("", "2"): lambda: self.mimic("upp").returncode,
            ("", "128 + n"): lambda: self.interrupted("up", SINGLE, "--accel", "tcg") - signal.SIGTERM,
            ("doctor", "1"): lambda: self.mimic("doctor", **failing).returncode,
            ("down", "1"): lambda: self.mimic("down", "nobody").returncode,
            ("exec", "125"): lambda: self.mimic("exec", "nobody", "true").returncode,
            ("kernel status", "1"): lambda: self.kernel("status", SINGLE).returncode,
            ("kernel verify", "1"): lambda: self.verify_here("mimic-probe=1\nkernel=1.2.3\n@end\n").returncode,
            ("kernel verify", "2"): lambda: self.verify_here("nonsense").returncode,
            ("ps", "1"): lambda: self.mimic("ps", "--ready").returncode,
            ("replay", "0"): lambda: self.mimic("replay", TRACE).returncode,
            ("replay", "1"): lambda: self.mimic("replay", self.changed_trace()).returncode,
            ("replay", "2"): lambda: self.mimic("replay", SINGLE).returncode,
            ("rm", "1"): lambda: self.mimic("rm", "nobody").returncode,
            ("run", "125"): lambda: self.mimic("run", SINGLE, "--accel", "tcg", "--", "true", **failing).returncode,
            ("run", "128 + n"): lambda: self.interrupted("run", SINGLE, "--accel", "tcg", "--", "true") - signal.SIGTERM,
            ("up", "1"): lambda: self.mimic("up", SINGLE, "--accel", "tcg", **failing).returncode,
            ("verify", "2"): lambda: self.mimic("verify", "nobody").returncode,
        }

    def test_every_status_is_what_a_command_gives(self):
        cases = self.cases()
        rows = {(row["command"], row["status"]) for row in self.tables["exit_statuses"]}
        self.assertEqual(rows, set(cases) | set(IN_GUESTS))
        for row, case in cases.items():
            with self.subTest(row):
                self.assertEqual(case(), 128 if row[1] == "128 + n" else int(row[1]))
        for row, (test, words) in IN_GUESTS.items():
            self.assertIn(words, (SOURCE / test).read_text(), row)

    def test_wrong_usage_is_no_status_of_a_command_in_a_guest(self):
        for words in (("run",), ("run", SINGLE, "--nope", "--", "true"), ("exec",), ("exec", "nobody")):
            self.assertEqual(self.mimic(*words).returncode, 125, words)
        done = self.mimic("__reference", "man", self.folder.name)
        self.assertEqual(done.returncode, 0, done)
        for page, has in (("mimic-run", False), ("mimic-exec", False), ("mimic-ps", True)):
            text = (self.at / f"{page}.1").read_text()
            self.assertEqual(".B 2\nWrong usage" in text, has, page)
            self.assertIn(".B 128 + n", text)

    def test_help_has_them(self):
        for row in self.tables["exit_statuses"]:
            done = self.mimic(*row["command"].split(), "--help")
            self.assertIn("Exit status:", done.stdout, row)
            self.assertIn(row["meaning"].split()[-1], done.stdout, row)

    def test_the_page_is_fresh(self):
        page = (SOURCE / "docs/reference/exit-codes.md").read_text()
        self.assertEqual(page, self.mimic("reference").stdout, "run: mimic reference > docs/reference/exit-codes.md")

    def read_variables(self):
        """Names that sources and scripts look up."""
        names = {}
        for path in (SOURCE / "src").rglob("*.cpp"):
            if path.name.endswith("_test.cpp") or "testing" in path.parts or path.name == "exit_table.cpp":
                continue
            text = path.read_text()
            # An alternation behind getenv( as in qemu_locate.cpp, envname("X") and our own helpers' env("X").
            for name in re.findall(r'"(MIMIC_[A-Z0-9_]+)"', text):
                names.setdefault(name, path)
            for name in re.findall(r'(?:getenv|envname|env|non_empty_environment|environment)\(\s*"([A-Z][A-Z0-9_]+)"', text):
                names.setdefault(name, path)
        for path in (SOURCE / "src").rglob("kernel_script.cpp"):
            for name in re.findall(r"\$\{(MIMIC_[A-Z_]+)", path.read_text()):
                names.setdefault(name, path)
        for folder in SCRIPTS:
            for path in (SOURCE / folder).rglob("*"):
                if not path.is_file() or path.suffix in (".txt", ".cmake", ".md") or path == pathlib.Path(__file__).resolve():
                    continue
                try:
                    text = path.read_text()
                except UnicodeDecodeError:
                    continue
                found = re.findall(r'environ(?:\.get\(|\[)"(MIMIC_[A-Z_]+)"', text)
                if text.startswith("#!/bin/") or path.suffix == ".sh":
                    found += re.findall(r"\$\{(MIMIC_[A-Z_]+):?[-+]", text)
                for name in found:
                    names.setdefault(name, path)
        return names

    def test_no_variable_is_missing_and_none_is_too_many(self):
        told = {row["name"] for row in self.tables["environment"]}
        read = self.read_variables()
        self.assertGreater(len(read), 20)
        self.assertEqual({name: str(path) for name, path in read.items() if name not in told}, {})
        everything = "".join(path.read_text(errors="replace") for folder in ("src", *SCRIPTS)
                             for path in (SOURCE / folder).rglob("*")
                             if path.is_file() and path.name != "exit_table.cpp" and path != pathlib.Path(__file__).resolve())
        self.assertEqual({name for name in told if name not in everything}, set())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
