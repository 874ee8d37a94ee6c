#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_schema.py SOURCE: docs/schema/mimic-v1.schema.json is a JSON Schema that accepts every topology file that the parser
accepts, and refuses those of the bad ones whose mistake a schema can see."""

import json
import pathlib
import re
import sys
import unittest

try:
    import jsonschema
    import yaml
except ImportError:  # an interpreter that is not Debian's
    sys.path.append("/usr/lib/python3/dist-packages")
    import jsonschema
    import yaml

SOURCE = pathlib.Path(sys.argv.pop(1))
FILES = SOURCE / "src/plan/topology/testdata"
# The parser refuses all files in bad/; a schema cannot see that two names are equal, or that a CPU is in two nodes.
SEEN = ("attach-fabric", "both-machine-forms", "capabilities", "cpus", "hotplug", "kernel", "link", "memory-bar", "no-machine",
        "no-version", "sriov", "switch-names", "switches", "template-unknown", "top-level-list", "unknown-keys", "version", "vfs",
        "wrong-types")
ANNOTATIONS = {"$schema", "$id", "$defs", "$comment", "title", "description"}


def value_of(text):
    """A plain scalar, as an editor's validator sees it: YAML's core schema, in which `on` is a word."""
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"[0-9]+|0[xX][0-9a-fA-F]+", text):
        return int(text, 16 if text[:2] in ("0x", "0X") else 10)
    if re.fullmatch(r"[0-9]+\.[0-9]+", text):
        return float(text)
    return None if text in ("", "~", "null") else text


def plain(node):
    if isinstance(node, yaml.MappingNode):
        return {key.value: plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    return node.value if node.style else value_of(node.value)


def load(path):
    return plain(yaml.compose(path.read_text(), yaml.SafeLoader))


def unknown_keywords(schema, known):
    """Keywords that the validator would skip in silence."""
    if not isinstance(schema, dict):
        return set()
    found = set(schema) - known
    for keyword, rule in schema.items():
        if keyword in ("properties", "$defs"):
            children = rule.values()
        elif keyword in ("anyOf", "oneOf", "allOf"):
            children = rule
        else:
            children = [rule]
        for child in children:
            if keyword not in ("enum", "const", "required"):
                found |= unknown_keywords(child, known)
    return found


class Schema(unittest.TestCase):
    def setUp(self):
        self.schema = json.loads((SOURCE / "docs/schema/mimic-v1.schema.json").read_text())
        self.validator = jsonschema.Draft202012Validator(self.schema)

    def test_is_a_schema(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)
        known = set(self.validator.VALIDATORS) | ANNOTATIONS
        self.assertEqual(unknown_keywords(self.schema, known), set())
        self.assertEqual(unknown_keywords({"$defs": {"a": {"tpye": "object"}}}, known), {"tpye"})

    def test_accepts_every_good_file(self):
        files = sorted((SOURCE / "examples").glob("*.yaml")) + sorted((FILES / "good").glob("*.yaml"))
        self.assertGreater(len(files), 8)
        for file in files:
            with self.subTest(file.name):
                self.validator.validate(load(file))

    def test_refuses_what_a_schema_can_see(self):
        for name in SEEN:
            with self.subTest(name):
                self.assertFalse(self.validator.is_valid(load(FILES / "bad" / f"{name}.yaml")))


class MediatorSchema(unittest.TestCase):
    """docs/schema/mediator-v1.schema.json, of what mimic-mediator reads."""

    def setUp(self):
        self.schema = json.loads((SOURCE / "docs/schema/mediator-v1.schema.json").read_text())
        self.validator = jsonschema.Draft202012Validator(self.schema)

    def test_is_a_schema(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)
        self.assertEqual(unknown_keywords(self.schema, set(self.validator.VALIDATORS) | ANNOTATIONS), set())

    def test_accepts_the_examples_and_the_page(self):
        files = sorted((SOURCE / "examples/mediator").glob("*.mediator.yaml"))
        self.assertGreater(len(files), 2)
        for file in files:
            with self.subTest(file.name):
                self.validator.validate(load(file))
        page = (SOURCE / "docs/vgpu.md").read_text()
        example = re.search(r"\n    version: 1\n    mediator:\n(?:    .*\n)+", page)
        self.validator.validate(plain(yaml.compose(example.group(0), yaml.SafeLoader)))

    def test_refuses_what_a_schema_can_see(self):
        good = {"version": 1, "pools": [{"id": "A", "backends": [{"kind": "cpu"}]}], "others": {"weight": 1}}
        self.validator.validate(good)
        for bad in ({"version": 2}, {"pools": []}, {"others": {"weight": 0}}, {"mediator": {"rule": "fairest"}}, {"more": 1},
                    {"pools": [{"id": "AB", "backends": [{"kind": "cpu"}]}]}, {"mediator": {"session_patience": "10"}},
                    {"vms": [{"weight": 1}]}):
            self.assertFalse(self.validator.is_valid(dict(good, **bad)), bad)


if __name__ == "__main__":
    unittest.main()
