#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""alter.py FROM TO: copies a trace with one bit of the last STATUS that was read changed."""
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    lines = file.read().splitlines()
at = max(i for i, line in enumerate(lines) if '"kind":"bar-read"' in line and '"reg":"STATUS"' in line)
event = json.loads(lines[at])
event["value"] = hex(int(event["value"], 16) ^ 1)
lines[at] = json.dumps(event, separators=(",", ":"))
with open(sys.argv[2], "w", encoding="utf-8") as file:
    file.write("\n".join(lines) + "\n")
