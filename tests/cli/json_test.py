#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""json_test.py BIN SOURCE: what commands print with --json is what docs/reference/json.md and docs/schema/cli-v1.schema.json
say. Boots nothing; lifecycle_vm_test and inject_test hold those of machines that run against the schema."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import json_shape
from json_shape import jsonschema

BIN, SOURCE = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
SHAPES = json_shape.Shapes(SOURCE)
check = SHAPES.check
PAGE = (SOURCE / "docs/reference/json.md").read_text()
SINGLE = SOURCE / "examples/single.yaml"


class Page(unittest.TestCase):
    def test_the_schema_is_one(self):
        jsonschema.Draft202012Validator.check_schema(SHAPES.schema)
        self.assertEqual({rule["$ref"].rsplit("/", 1)[1] for rule in SHAPES.schema["anyOf"]}, SHAPES.formats)

    def test_every_format_has_an_example_that_is_right(self):
        examples = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", PAGE, re.M | re.S)]
        for example in examples:
            with self.subTest(example["format"]):
                check(example)
        self.assertEqual({example["format"] for example in examples}, SHAPES.formats)

    def test_the_rules_can_fail(self):
        for bad in ({"format": "mimic-ps", "version": 2, "machines": []}, {"format": "mimic-ps", "version": 1},
                    {"format": "mimic-ps", "version": 1, "machines": [], "more": 1}):
            with self.assertRaises(jsonschema.ValidationError):
                check(bad)


class Commands(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="mimic-json-")
        self.addCleanup(self.folder.cleanup)
        self.run_dir, self.state = pathlib.Path(self.folder.name, "run"), pathlib.Path(self.folder.name, "state")
        self.run_dir.mkdir(mode=0o700)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(self.run_dir), "XDG_STATE_HOME": str(self.state)}
        for name in ("MIMIC_QEMU", "MIMIC_KVM"):
            self.env.pop(name, None)

    def mimic(self, status, *words, **env):
        done = subprocess.run([BIN / "mimic", *map(str, words)], env={**self.env, **env}, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=300, check=False)
        self.assertEqual(done.returncode, status, done)
        return done

    def document(self, status, expected, *words, **env):
        done = self.mimic(status, *words, **env)
        told = check(json.loads(done.stdout))
        self.assertEqual(told["format"], expected, done)
        if expected == "mimic-error":
            self.assertEqual(told["status"], status)
            self.assertTrue(told["error"] and all(error in done.stderr for error in told["errors"]), done)
        return told

    def ended(self, name, reason="stopped on request"):
        folder = self.state / "mimic" / name
        folder.mkdir(parents=True)
        (folder / "exit-reason").write_text(reason + "\n")
        (folder / "console.log").write_text("x\n")

    def test_wrong_usage(self):
        for words in (("up", "--json"), ("upp", "--json"), ("ps", "--json", "--nope"), ("kernel", "upp", "--json"),
                      ("inject", "--json"), ("rm", "--json"), ("down", "--json", "--all", "x")):
            with self.subTest(words):
                told = self.document(2, "mimic-error", *words)
                self.assertEqual(told["command"], "kernel" if words[0] == "kernel" else "" if words[0] == "upp" else words[0])

    def test_no_json_was_asked_for(self):
        self.assertEqual(self.mimic(2, "up").stdout, "")
        # Behind -- it is a word of the guest's command.
        self.assertEqual(self.mimic(125, "exec", "nobody", "--", "ls", "--json").stdout, "")

    def test_no_machine(self):
        self.assertEqual(self.document(0, "mimic-ps", "ps", "--json")["machines"], [])
        self.assertEqual(self.document(0, "mimic-down", "down", "--json")["machines"], [])
        self.assertIn("no machine runs", self.document(2, "mimic-error", "verify", "--json")["error"])
        self.document(2, "mimic-error", "verify", "nobody", "--json")
        self.document(1, "mimic-error", "inject", "nobody", "gpu0", "irq-lost", "--json")
        self.document(1, "mimic-error", "inject", "nobody", "--active", "--json")
        self.document(1, "mimic-error", "regs", "nobody", "gpu0", "--json")
        self.document(1, "mimic-error", "ps", "--json", XDG_RUNTIME_DIR="/nowhere/at/all")

    def test_ended(self):
        self.ended("lab")
        self.ended("other", "QEMU was killed by signal 9 (Killed) \x1b[2J")
        self.assertEqual(self.document(0, "mimic-ps", "ps", "--json")["machines"], [])
        machines = {one["name"]: one for one in self.document(0, "mimic-ps", "ps", "--all", "--json")["machines"]}
        self.assertEqual(machines["lab"]["phase"], "ended")
        self.assertEqual(machines["other"]["reason"], "QEMU was killed by signal 9 (Killed) ")
        self.assertTrue(machines["lab"]["ended"])
        told = self.document(0, "mimic-logs", "logs", "lab", "--json")
        self.assertEqual((told["runs"], told["reason"], told["lines"]), (False, "stopped on request", ["x"]))
        self.document(1, "mimic-error", "logs", "nobody", "--json")
        self.document(2, "mimic-error", "logs", "lab", "--json", "--raw")
        table = self.mimic(0, "ps", "--all").stdout
        self.assertRegex(table, r"(?m)^lab +ended .*stopped on request$")
        down = self.document(1, "mimic-down", "down", "lab", "lbb", "../x", "--json")["machines"]
        self.assertEqual([one["result"] for one in down], ["was-down", "unknown", "failed"])
        self.document(0, "mimic-down", "down", "lbb", "--ignore-missing", "--json")
        removed = self.document(1, "mimic-rm", "rm", "lab", "otehr", "--json")["machines"]
        self.assertEqual([one["result"] for one in removed], ["removed", "missing"])
        self.assertIn("did you mean other?", removed[1]["message"])
        self.assertFalse((self.state / "mimic/lab").exists())
        self.document(0, "mimic-rm", "rm", "--all", "--json")
        self.assertEqual(self.document(0, "mimic-ps", "ps", "--all", "--json")["machines"], [])

    def test_up_and_run_that_fail(self):
        bad = pathlib.Path(self.folder.name, "bad.yaml")
        bad.write_text("version: 1\nmachine: {name: x, memroy: 1G}\n")
        self.assertIn("bad.yaml:2:", self.document(1, "mimic-error", "up", bad, "--json")["error"])
        self.document(1, "mimic-error", "up", SINGLE, "--machine", "sinlge", "--json")
        self.document(1, "mimic-error", "up", SINGLE, "--json", "--accel", "tcg", MIMIC_QEMU="/nowhere/qemu")
        record = self.document(125, "mimic-run", "run", SINGLE, "--json", "--accel", "tcg", "--", "true", MIMIC_QEMU="/nowhere/qemu")
        self.assertIn("/nowhere/qemu", record["problem"])
        file = pathlib.Path(self.folder.name, "record.json")
        both = self.document(125, "mimic-run", "run", SINGLE, "--json", "--record", file, "--accel", "tcg", "--", "true",
                             MIMIC_QEMU="/nowhere/qemu")
        self.assertEqual(json.loads(file.read_text()), both)
        self.document(125, "mimic-error", "run", SINGLE, "--json", "--nope", "--", "true")

    def test_new_and_snapshot(self):
        self.assertIn("dual-numa", [shape["name"] for shape in self.document(0, "mimic-shapes", "new", "--list", "--json")["shapes"]])
        file = pathlib.Path(self.folder.name, "new.yaml")
        told = self.document(0, "mimic-new", "new", "--shape", "dual-numa", file, "--json")
        self.assertEqual((told["file"], len(told["machines"])), (str(file), 1))
        self.document(1, "mimic-error", "new", "--shape", "dual-numa", file, "--json")  # it is there already
        self.document(1, "mimic-error", "plan", pathlib.Path(self.folder.name, "none.yaml"), "--json")

    def test_plan(self):
        for file in ("single", "dual-numa", "two-node-cluster"):
            told = self.document(0, "mimic-tree", "plan", SOURCE / f"examples/{file}.yaml", "--json")
            self.assertTrue(told["machines"][0]["devices"])

    def test_faults_replay_doctor(self):
        faults = self.document(0, "mimic-faults", "inject", "--list", "--json")["faults"]
        self.assertIn("irq-lost", [fault["fault"] for fault in faults])
        trace = SOURCE / "tests/replay/driver_session.jsonl"
        self.assertEqual(self.document(0, "mimic-replay", "replay", trace, "--json")["result"], "same")
        changed = pathlib.Path(self.folder.name, "changed.jsonl")
        text, count = re.subn(r'("kind":"config-read",[^\n]*?"value":")0x406"', r'\g<1>0x407"', trace.read_text(), count=1)
        self.assertEqual(count, 1)
        changed.write_text(text)
        told = self.document(1, "mimic-replay", "replay", changed, "--json")
        self.assertEqual((told["result"], told["difference"]["device"]), ("different", "gpu0"))
        self.document(2, "mimic-error", "replay", SINGLE, "--json")
        done = self.mimic_any("doctor", "--json")
        told = check(json.loads(done.stdout))
        self.assertEqual(done.returncode, {"ok": 0, "missing": 1}[told["result"]])

    def mimic_any(self, *words):
        return subprocess.run([BIN / "mimic", *words], env=self.env, text=True, capture_output=True, timeout=300, check=False)

    def test_kernel(self):
        tree = pathlib.Path(self.folder.name, "config/fake-sriov-vgpu")
        tree.mkdir(parents=True)
        env = {"MIMIC_CONFIGFS": str(tree.parent), "MIMIC_PCI_DEVICES": self.folder.name, "MIMIC_NODES": self.folder.name}
        told = self.document(1, "mimic-kernel", "kernel", "status", SINGLE, "--json", **env)
        self.assertEqual({bus["state"] for bus in told["buses"]}, {"absent"})
        self.document(0, "mimic-kernel", "kernel", "down", SINGLE, "--json", **env)
        self.document(1, "mimic-error", "kernel", "up", SINGLE, "--json", "--machine", "nobody", **env)
        told = self.document(0, "mimic-kernel", "kernel", "up", SINGLE, "--json", **env)
        self.assertEqual({bus["state"] for bus in told["buses"]}, {"up"})
        self.document(0, "mimic-kernel", "kernel", "status", SINGLE, "--json", **env)
        # What is there already is in the way.
        error = self.document(1, "mimic-error", "kernel", "up", SINGLE, "--json", **env)
        self.assertIn("exists", error["error"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
