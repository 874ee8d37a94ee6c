# SPDX-License-Identifier: Apache-2.0
"""Rules on documents: tests that tables of features name exist, links lead to files, the picture of the layers is that of the includes,
versions of kernel modules are theirs, and generated text lies between pairs of markers."""

import os
import re

import include_rules
from tree import Breach

REGISTERED = re.compile(r"\b(?:mimic_test|mimic_fuzzer|mimic_vm_test|add_test)\(\s*(?:NAME\s+)?(?!NAME\s)([\w.-]+)")
LOOP = re.compile(r"\bforeach\(\s*(\w+)\s+([^)]*)\)((?:(?!\bforeach\().)*?)\bendforeach\(\)", re.S)
FUNCTION = re.compile(r"\bfunction\(\s*(\w+)\s*([^)]*)\)(.*?)\bendfunction\(\)", re.S)
NAMED_BY = re.compile(r"\b(?:mimic_test\(|add_test\(\s*NAME)\s*([\w.${}-]+)")
GOOGLE_TEST = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.M)
# `<!-- begin generated: COMMAND -->` ... `<!-- end generated -->`, in any comment style.
BEGIN = re.compile(r"(?:<!--|/\*|//|#)\s*begin generated\b", re.I)
END = re.compile(r"(?:<!--|/\*|//|#)\s*end generated\b", re.I)


def put_in(text, values):
    """`text` with `${name}` replaced, for each name and value."""
    for name, value in values:
        text = text.replace("${%s}" % name, value)
    return text


def registered(text):
    """Names of the ctest tests that a file of CMake registers itself, in loops and by functions of its own, too. What needs more of CMake
    to be known is left out."""
    while loop := LOOP.search(text):
        name, values, body = loop.groups()
        text = text[:loop.start()] + "".join(put_in(body, [(name, value)]) for value in values.split()) + text[loop.end():]
    names = set()
    calls = FUNCTION.sub("", text)
    for function, parameters, body in FUNCTION.findall(text):
        for arguments in re.findall(r"\b%s\(([^()]*)\)" % function, calls):
            values = list(zip(parameters.split(), arguments.split()))
            names.update(put_in(name, values) for name in NAMED_BY.findall(body))
    names.update(REGISTERED.findall(calls))
    return {name for name in names if "$" not in name}


def test_names(tree):
    """Names of ctest tests, "Suite.Case" and "Suite" of GoogleTest."""
    names = set()
    for path in tree.sources():
        if path.endswith(("CMakeLists.txt", ".cmake")):
            names.update(registered(tree.text(path)))
        elif path.endswith("_test.cpp"):
            for suite, case in GOOGLE_TEST.findall(tree.text(path)):
                names.update((suite, "%s.%s" % (suite, case)))
    return names


# Pages whose tables name tests.
FEATURE_PAGES = ("README.md", "docs/features.md", "docs/peers.md")


def feature_tests(tree):
    """In the FEATURE_PAGES, each `name` in a column headed "test" is a tracked file or folder, a ctest name or a
    GoogleTest name."""
    known = None
    for page in FEATURE_PAGES:
        column = None
        for number, line in enumerate(tree.lines(page) if tree.text(page) is not None else [], 1):
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
                    yield Breach(page, number, "names the test `%s`, which does not exist" % name)


MARKDOWN_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")


def page_links(tree):
    """Each relative link of a page leads to a file or folder of the tree. tools/site checks headings, too, of its pages."""
    folders = {"."}
    for path in tree.paths:
        while path := os.path.dirname(path):
            folders.add(path)
    files = set(tree.paths)
    for page in tree.texts():
        fenced = False
        for number, line in enumerate(tree.lines(page) if page.endswith(".md") else [], 1):
            if line.startswith("```"):
                fenced = not fenced
            for link in [] if fenced else MARKDOWN_LINK.findall(re.sub(r"`[^`]*`", "", line)):
                to = os.path.normpath(os.path.join(os.path.dirname(page), link))
                if not re.match(r"[a-z]+:", link) and to not in files and to not in folders:
                    yield Breach(page, number, "the link to %s leads to nothing" % link)


LAYER = re.compile(r"^\| `src/(?:(?:%s)/)?(\w+)(?:/<name>)?` \|.*\|([^|]*)\|$" % "|".join(include_rules.GROUPS))


def layers(tree):
    """ARCHITECTURE.md's table names each layer once; what it says that a layer may use is allowed, and all that is
    allowed is named there, for the layer or for one that it may use."""
    page = "ARCHITECTURE.md"
    if tree.text(page) is None:
        return
    rows = {}
    for number, line in enumerate(tree.lines(page), 1):
        row = LAYER.match(line)
        if row:
            rows[row.group(1)] = (number, row.group(2))
    if not rows:
        return
    allowed = include_rules.MAY_INCLUDE
    if set(rows) != set(allowed):
        yield Breach(page, 1, "the table of layers and include_rules.py differ in: %s" %
                     ", ".join(sorted(set(rows) ^ set(allowed))))
        return
    names = list(rows)
    named = {}
    for at, name in enumerate(names):
        text = re.sub(r"\([^)]*\)", "", rows[name][1])
        named[name] = set(names[at + 1:]) if "all below" in text else set(re.findall(r"\w+", text)) & set(rows)
    for name, (number, _) in rows.items():
        reached, waiting = set(), [name]
        while waiting:
            more = named[waiting.pop()] - reached
            reached |= more
            waiting += more
        for other in sorted(named[name] - allowed[name]):
            yield Breach(page, number, "%s may not use %s (include_rules.py)" % (name, other))
        for other in sorted(allowed[name] - reached):
            yield Breach(page, number, "%s may use %s (include_rules.py), which is not said" % (name, other))


def module_versions(tree):
    """Where a text names a version of a kernel module, it is the one of its dkms.conf."""
    for conf in tree.paths:
        if os.path.basename(conf) != "dkms.conf":
            continue
        values = dict(re.findall(r'^(PACKAGE_NAME|PACKAGE_VERSION)="([^"]+)"', tree.text(conf), re.M))
        name, version = values.get("PACKAGE_NAME", ""), values.get("PACKAGE_VERSION", "")
        if not name or not version:
            yield Breach(conf, 1, "has no PACKAGE_NAME and PACKAGE_VERSION")
            continue
        mention = re.compile(r"(?<![\w-])%s[-/](\d+\.\d+(?:\.\d+)*)" % re.escape(name))
        own = re.compile(r'^MODULE_VERSION\("([^"]+)"\)')
        folder = os.path.dirname(conf) + "/"
        for path in tree.texts():
            if path.endswith("CHANGELOG.md") or path.startswith("tools/check_tree/"):
                continue  # the first tells of older ones
            for number, line in enumerate(tree.lines(path), 1):
                found = mention.findall(line) + (own.findall(line) if path.startswith(folder) else [])
                for other in found:
                    if other != version:
                        yield Breach(path, number, "%s %s: dkms.conf says %s" % (name, other, version))


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


RULES = [feature_tests, page_links, layers, module_versions, markers]
