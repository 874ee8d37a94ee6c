# SPDX-License-Identifier: Apache-2.0
"""Checks a commit message: python3 tools/check_tree/commit_title.py FILE (as git's commit-msg hook calls it)."""

import re
import sys

MAX_TITLE = 72
# Messages that git itself writes.
BY_GIT = re.compile(r'^(Merge |Revert "|fixup! |squash! |amend! )')


def problems(message):
    lines = [line for line in message.split("\n") if not line.startswith("#")]
    title = lines[0] if lines else ""
    if BY_GIT.match(title):
        return []
    found = []
    if not re.match(r"^[a-z0-9_./-]+(: [a-z0-9_./-]+)*: \S", title):
        found.append('the title is not "area: imperative summary"')
    if len(title) > MAX_TITLE:
        found.append("the title has %d characters; the limit is %d" % (len(title), MAX_TITLE))
    if title.endswith("."):
        found.append("the title ends with a full stop")
    if len(lines) > 1 and lines[1].strip():
        found.append("the second line is not empty")
    if not any(line.strip() for line in lines[1:]):
        found.append("there is no body: why, and how it was tested")
    return found


def main(arguments):
    if len(arguments) != 1:
        sys.exit(__doc__)
    with open(arguments[0], encoding="utf-8", errors="replace") as file:
        found = problems(file.read())
    for problem in found:
        print("commit message: %s" % problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
