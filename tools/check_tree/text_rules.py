# SPDX-License-Identifier: Apache-2.0
"""Rules on the text of a file: size, columns, white space, licence, to-do notes, host names."""

import os
import re

from tree import Breach, is_c, top

SIZED = {"src", "tests", "kernel", "guest", "tools", "bench"}
WARN_LINES = 500
MAX_LINES = 800
C_COLUMNS = 100
# Scripts and CMake: messages and paths of these are long and no formatter breaks them.
SCRIPT_COLUMNS = 140
# Kernel code is indented by tabs, eight columns each.
TAB = 8

# Package registries and mirrors, as (name, ending): the whole names must not stand in any file, this one included.
REGISTRIES = [
    ("debian", "org"), ("debian", "net"), ("ubuntu", "com"), ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com"),
    ("pypi", "org"), ("pythonhosted", "org"), ("crates", "io"), ("golang", "org"), ("rubygems", "org"),
    ("maven", "org"), ("anaconda", "org"), ("alpinelinux", "org"), ("fedoraproject", "org"),
]
REGISTRY = re.compile(r"\b(?:%s)\b" % "|".join(name + r"\." + ending for name, ending in REGISTRIES), re.I)

# Go names its modules by host: in Go's own files those names stand before a path, and a mere host does not.
GO_MODULE = re.compile(r"\b(?:google\.)?go""lang\.org/")

NOTE = re.compile(r"\b(?:TO" r"DO|FIX" r"ME)\b(?!\(#\d+\))")


# A "seed" is a number that random ones follow from, or cloud-init's; the documents that Mimic began with have names, and a reader
# knows those: mock-device, Linux SST, fake-sriov-vgpu, vgpu-stub.
FOUNDING = re.compile(r"\bseeds? 00\d\b|\bseed's\b", re.I)


def is_go(path):
    return path.endswith(".go") or os.path.basename(path) in ("go.mod", "go.sum")


def sizes(tree):
    for path in tree.sources():
        if top(path) not in SIZED:
            continue
        count = tree.text(path).count("\n")
        if count > MAX_LINES:
            yield Breach(path, count, "%d lines; the limit is %d. Split it." % (count, MAX_LINES))
        elif count > WARN_LINES:
            message = "%d lines; above %d, say in the review why it is one file" % (count, WARN_LINES)
            yield Breach(path, count, message, True)


def columns(tree):
    for path in tree.sources():
        limit = C_COLUMNS if is_c(path) else SCRIPT_COLUMNS
        for number, line in enumerate(tree.lines(path), 1):
            width = len(line.expandtabs(TAB))
            # A link or path cannot be broken.
            if width > limit and not re.search(r"https?://\S+$", line):
                yield Breach(path, number, "%d columns; the limit is %d" % (width, limit))


def white_space(tree):
    for path in tree.texts():
        text = tree.text(path)
        name = os.path.basename(path)
        tabs_allowed = (top(path) == "kernel" or name in ("Makefile", "Kbuild") or name.endswith(".mk")
                        or (top(path) == "guest" and is_c(path)) or is_go(path))
        if text and not text.endswith("\n"):
            yield Breach(path, text.count("\n") + 1, "no newline at the end of the file")
        for number, line in enumerate(text.split("\n"), 1):
            if line.endswith("\r"):
                yield Breach(path, number, "CRLF line end")
                line = line[:-1]
            if line != line.rstrip(" \t"):
                yield Breach(path, number, "white space at the end of the line")
            if "\t" in line and not tabs_allowed:
                yield Breach(path, number, "tab; indent with spaces")


def licences(tree):
    configured = (".clang-format", ".clang-tidy", ".editorconfig")
    for path in tree.texts():
        name = os.path.basename(path)
        if not (tree.is_source(path) or name in configured or re.search(r"\.ya?ml$", name)):
            continue
        head = "\n".join(tree.lines(path)[:4])
        match = re.search(r"SPDX-License-Identifier: (.+)", head)
        if not match:
            yield Breach(path, 1, "no SPDX-License-Identifier in the first lines")
        elif top(path) == "kernel" and "GPL-2.0" not in match.group(1):
            yield Breach(path, 1, "kernel/ is GPL-2.0, this says %s" % match.group(1))
        elif top(path) not in ("kernel", "guest") and "Apache-2.0" not in match.group(1):
            yield Breach(path, 1, "the project is Apache-2.0, this says %s" % match.group(1))


def pragma_once(tree):
    for path in tree.texts():
        if path.endswith((".h", ".hpp")) and top(path) not in ("kernel", "guest"):
            if not re.search(r"^#pragma once$", tree.text(path), re.M):
                yield Breach(path, 1, "no #pragma once")


def todos(tree):
    for path in tree.texts():
        for number, line in enumerate(tree.lines(path), 1):
            if NOTE.search(line):
                yield Breach(path, number, "a to-do note names its issue: TO" "DO(#123):")


def registries(tree):
    for path in tree.paths:
        text = tree.text(path)
        if text is None or not REGISTRY.search(text):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if is_go(path):
                line = GO_MODULE.sub("", line)
            if REGISTRY.search(line):
                yield Breach(path, number, "host name of a package registry; use what the system is configured with")


def founding(tree):
    for path in tree.texts():
        for number, line in enumerate(tree.lines(path) if not path.startswith("tools/check_tree/") else [], 1):
            if FOUNDING.search(line) and "cloud-init" not in line:
                yield Breach(path, number, "says seed of a project; name it: mock-device, Linux SST, fake-sriov-vgpu, vgpu-stub")


RULES = [founding, sizes, columns, white_space, licences, pragma_once, todos, registries]
