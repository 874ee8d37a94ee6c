#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""json_shape.py SOURCE FORMAT: whether standard input is one document of that format, as docs/schema/cli-v1.schema.json has it,
with no member that the schema does not name."""

import json
import pathlib
import sys

try:
    import jsonschema
except ImportError:  # an interpreter that is not Debian's
    sys.path.append("/usr/lib/python3/dist-packages")
    import jsonschema


def closed(schema):
    """The same without room for members that it does not name."""
    if isinstance(schema, dict):
        schema = {key: closed(value) for key, value in schema.items()}
        if "properties" in schema and schema.get("type") == "object":
            schema["additionalProperties"] = False
        return schema
    return [closed(item) for item in schema] if isinstance(schema, list) else schema


class Shapes:
    def __init__(self, source):
        self.schema = json.loads((pathlib.Path(source) / "docs/schema/cli-v1.schema.json").read_text())
        self.formats = {name for name in self.schema["$defs"] if name.startswith("mimic-")}
        self._strict = closed(self.schema)["$defs"]

    def check(self, document):
        """By the rule of its own format: a message that names what is wrong. Returns the document."""
        rule = {**self._strict[document["format"]], "$defs": self._strict}
        jsonschema.Draft202012Validator(rule).validate(document)
        return document


if __name__ == "__main__":
    told = Shapes(sys.argv[1]).check(json.load(sys.stdin))
    sys.exit(0 if told["format"] == sys.argv[2] else f"{told['format']}, expected {sys.argv[2]}")
