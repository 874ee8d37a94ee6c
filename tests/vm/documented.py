# SPDX-License-Identifier: Apache-2.0
"""Commands as the documents give them, so that a test runs what a reader would type."""
from guest import TREE, check


def commands(document, heading):
    """The indented lines between a heading (without its #) and the next one, without comments."""
    section = None
    found = []
    for line in (TREE / document).read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            section = line.lstrip("#").strip()
        elif section == heading and line.startswith("    ") and line.strip():
            found.append(line.split("  #")[0].strip())
    check(found, f"{document} has no commands below '{heading}'")
    return found
