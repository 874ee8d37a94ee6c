#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_snippets.py DOCS: each code block under `<!-- file: PATH -->` must stand in that file, line for line."""

import pathlib
import re
import sys

SNIPPET = re.compile(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```", re.DOTALL)


def main() -> int:
    docs = pathlib.Path(sys.argv[1])
    checked = 0
    stale = []
    for page in sorted(docs.rglob("*.md")):
        for path, code in SNIPPET.findall(page.read_text()):
            checked += 1
            if code not in (page.parent / path).read_text():
                stale.append(f"{page.name}: this block is not in {path}:\n{code}")
    print("\n".join(stale))
    print(f"{checked} snippets, {len(stale)} stale")
    return 1 if stale or checked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
