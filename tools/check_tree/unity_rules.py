# SPDX-License-Identifier: Apache-2.0
"""What unity builds need: files of a library are compiled together, so the names in their anonymous namespaces differ. How many
come together is a preset's business; two that collide may meet in one of them only (the one that nobody builds in CI)."""

import os
import re

from tree import Breach

# A library a folder, but here: programs.
PROGRAMS = ("src/cli",)
LABEL = re.compile(r"(public|protected|private):$")
TYPE = re.compile(r"(?:class|struct|enum class|enum|union)\s+(?:\[\[\w+\]\]\s+)?(\w+)\b")
CONSTANT = re.compile(r"(?:inline |static )*(?:constexpr|const)\b[^(]*?\b(\w+)\s*(?:\[[^\]]*\]\s*)*[={;]")
FUNCTION = re.compile(r"[^=]*?[\s&*>](\w+)\(([^{]*)\)[^(){]*\{")


def declarations(lines):
    """(line, text up to the brace or semicolon) of what begins in the first column of an anonymous namespace."""
    depth = 0  # of an anonymous namespace: 1 in it
    number = 0
    while number < len(lines):
        line = lines[number]
        begin = number
        number += 1
        if line == "namespace {":
            depth = 1
        elif line.startswith("}  // namespace"):
            depth = 0
        elif depth and re.match(r"[A-Za-z_\[]", line) and not LABEL.match(line):
            text = line
            while not re.search(r"[{;]", text) and number < len(lines):
                text += " " + lines[number].strip()
                number += 1
            yield begin + 1, text


def types_of(parameters):
    """Of a function: overloads may have the same name."""
    parts = [re.sub(r"\s*=.*", "", part).strip() for part in parameters.split(",")]
    return tuple(re.sub(r"(?<=[\s&*])\w+$", "", part).strip() if " " in part else part for part in parts)


def name_of(text):
    """What must not be there twice in a library, or None."""
    constant = CONSTANT.match(text)
    if constant:
        return constant.group(1)
    kind = TYPE.match(text)
    if kind and "(" not in text.split("{")[0] and "{" in text:
        return kind.group(1)
    function = FUNCTION.match(text)
    if function and "::" not in text[: function.start(1)].split(" ")[-1]:
        return "%s(%s)" % (function.group(1), ", ".join(types_of(function.group(2))))
    return None


def anonymous_names(tree):
    seen = {}
    for path in sorted(tree.texts()):
        folder = os.path.dirname(path)
        if not path.startswith("src/") or not path.endswith(".cpp") or folder in PROGRAMS:
            continue
        for line, text in declarations(tree.lines(path)):
            name = name_of(text)
            if name is None:
                continue
            key = (folder, path.endswith("_test.cpp"), name)
            first = seen.setdefault(key, path)
            if first != path:
                yield Breach(path, line, "%s is in the anonymous namespace of %s, too" % (name, os.path.basename(first)))


RULES = [anonymous_names]
