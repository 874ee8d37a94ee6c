# SPDX-License-Identifier: Apache-2.0
"""Rules on #include lines: dependencies of src/ point down only, and a file includes its own header first."""

import os
import re

from tree import Breach

# Which folders of src/ the files of a folder may include besides their own. ARCHITECTURE.md has the picture; doc_rules.py
# sees to it that the two agree.
LOWEST = {"base"}
REG = LOWEST | {"reg"}
FRAMEWORK = {"pci", "trace", "control", "vfio_user"}
MAY_INCLUDE = {
    "base": set(),
    "reg": LOWEST,
    "pci": REG,
    "trace": REG | {"pci"},
    "control": REG | {"pci", "trace"},
    "vfio_user": REG | {"pci"},
    # A device model knows neither its transport nor its process.
    "devices": REG | {"pci"},
    "topology": REG | {"pci"},
    "kernelbus": LOWEST | {"topology"},
    # Files of a page as bytes.
    "web": set(),
    # What is in a guest, and what serves its devices: neither knows how the other is started.
    "guest": LOWEST | {"topology"},
    "host": REG | FRAMEWORK | {"devices", "topology"},
    "machine": REG | FRAMEWORK | {"devices", "topology", "kernelbus", "guest", "host"},
    "gateway": REG | {"pci", "trace", "control", "machine"},
    "replay": REG | FRAMEWORK | {"devices", "topology", "host"},
    "instruments": REG | FRAMEWORK | {"web", "gateway", "replay", "machine", "host"},
    # Dumps of real devices in, topology files out.
    "clone": REG | {"pci", "topology"},
    "cli": REG | FRAMEWORK | {
        "devices", "topology", "kernelbus", "web", "guest", "host", "machine", "gateway", "replay", "instruments",
        "clone"},
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes(tree, path):
    """(line number, "<" or '"', name) of each #include."""
    for number, line in enumerate(tree.lines(path), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def source_files(tree):
    for path in tree.sources():
        if path.startswith("src/") and re.search(r"\.(h|cpp)$", path):
            yield path


def arrows(tree):
    for path in source_files(tree):
        layer = path.split("/")[1]
        if layer not in MAY_INCLUDE:
            yield Breach(path, 1, "src/%s is no known layer; add it to tools/check_tree/include_rules.py" % layer)
            continue
        for number, quote, name in includes(tree, path):
            parts = name.split("/")
            if quote == '"' and len(parts) == 1:
                yield Breach(path, number, '"%s" is not rooted at src/' % name)
            elif name.startswith(("src/", "../", "./")):
                yield Breach(path, number, '"%s": write the path below src/' % name)
            elif parts[0] not in MAY_INCLUDE:
                continue
            elif quote == "<":
                yield Breach(path, number, "<%s>: our own headers go in quotes" % name)
            elif layer == "devices" and parts[0] == "devices":
                if parts[1] != path.split("/")[2]:
                    yield Breach(path, number, '"%s": a device may not include another device' % name)
            elif parts[0] != layer and parts[0] not in MAY_INCLUDE[layer]:
                yield Breach(path, number, '"%s": src/%s may not depend on src/%s' % (name, layer, parts[0]))


def own_header_first(tree):
    known = set(tree.paths)
    for path in source_files(tree):
        stem, ending = os.path.splitext(path)
        if ending != ".cpp" or stem + ".h" not in known:
            continue
        own = stem[len("src/"):] + ".h"
        first = next(includes(tree, path), None)
        if first and first[2] != own:
            yield Breach(path, first[0], 'the first #include is not "%s"' % own)


RULES = [arrows, own_header_first]
