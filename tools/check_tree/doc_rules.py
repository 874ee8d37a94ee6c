# SPDX-License-Identifier: Apache-2.0
"""Rules on documents: tests that the README's table names exist, and generated text lies between pairs of markers."""

import re

from tree import Breach

REGISTERED = re.compile(r"\b(?:mimic_test|mimic_fuzzer|mimic_vm_test|add_test)\(\s*(?:NAME\s+)?([\w.-]+)")
GOOGLE_TEST = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.M)
# `<!-- begin generated: COMMAND -->` ... `<!-- end generated -->`, in any comment style.
BEGIN = re.compile(r"(?:<!--|/\*|//|#)\s*begin generated\b", re.I)
END = re.compile(r"(?:<!--|/\*|//|#)\s*end generated\b", re.I)


def test_names(tree):
    """Names of ctest tests, "Suite.Case" and "Suite" of GoogleTest."""
    names = set()
    for path in tree.sources():
        if path.endswith(("CMakeLists.txt", ".cmake")):
            names.update(REGISTERED.findall(tree.text(path)))
        elif path.endswith("_test.cpp"):
            for suite, case in GOOGLE_TEST.findall(tree.text(path)):
                names.update((suite, "%s.%s" % (suite, case)))
    return names


def readme_tests(tree):
    """Each `name` in a column headed "test" is a tracked file or folder, a ctest name or a GoogleTest name."""
    if tree.text("README.md") is None:
        return
    known = None
    column = None
    for number, line in enumerate(tree.lines("README.md"), 1):
        if not line.startswith("|"):
            column = None
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if column is None:
            # -1: a table without such a column.
            heads = [cell.lower() for cell in cells]
            column = next((at for at, head in enumerate(heads) if head in ("test", "tests")), -1)
            continue
        if column < 0 or column >= len(cells):
            continue
        for name in re.findall(r"`([^`]+)`", cells[column]):
            known = known or test_names(tree)
            as_path = name.rstrip("/")
            if name not in known and not any(p == as_path or p.startswith(as_path + "/") for p in tree.paths):
                yield Breach("README.md", number, "names the test `%s`, which does not exist" % name)


def markers(tree):
    for path in tree.texts():
        if path.startswith("tools/"):
            continue  # Generators hold the markers that they print.
        begun = 0
        for number, line in enumerate(tree.lines(path), 1):
            if BEGIN.search(line):
                if begun:
                    yield Breach(path, number, "generated text begins inside that of line %d" % begun)
                begun = number
            elif END.search(line):
                if not begun:
                    yield Breach(path, number, "generated text ends that never began")
                begun = 0
        if begun:
            yield Breach(path, begun, "generated text has no end marker")


RULES = [readme_tests, markers]
