# SPDX-License-Identifier: Apache-2.0
"""Rules on kernel modules: the files of one need each other in one direction."""

import os
import re

from tree import Breach

INCLUDE = re.compile(r'^#include "(\w+)\.h"', re.M)


def needs(tree):
    """By module folder, the files (without suffix) that each file with a .c of its own includes a header of."""
    folders = {}
    for path in tree.texts():
        folder, name = os.path.split(path)
        stem, suffix = os.path.splitext(name)
        if suffix in (".c", ".h") and "%s/Kbuild" % folder in tree.paths and folder.startswith("kernel/"):
            folders.setdefault(folder, {}).setdefault(stem, set()).update(INCLUDE.findall(tree.text(path)))
    for folder, files in folders.items():
        files = {stem: others - {stem} for stem, others in files.items()}
        yield folder, {stem: others & set(files) for stem, others in files.items()}


def circle(files):
    """The names of a circle, the first of them twice, or None."""
    done = set()
    for start in sorted(files):
        stack = [(start, iter(sorted(files[start])))]
        names = [start]
        while stack and start not in done:
            other = next(stack[-1][1], None)
            if other is None:
                done.add(stack.pop()[0])
                names.pop()
            elif other in names:
                return names[names.index(other):] + [other]
            elif other not in done:
                stack.append((other, iter(sorted(files[other]))))
                names.append(other)
    return None


def circles(tree):
    for folder, files in needs(tree):
        found = circle(files)
        if found:
            path = next(p for p in ("%s/%s.c" % (folder, found[0]), "%s/%s.h" % (folder, found[0])) if p in tree.paths)
            yield Breach(path, 1, "files need each other in a circle: %s" % " -> ".join(found))


def shared_files(tree):
    """A file of kernel/common stands in a module as a link: a copy would go its own way."""
    shared = {os.path.basename(path) for path in tree.paths
              if os.path.dirname(path) == "kernel/common" and path.endswith((".c", ".h"))}
    for path in tree.paths:
        folder, name = os.path.split(path)
        if name in shared and folder.startswith("kernel/") and folder != "kernel/common" \
                and not os.path.islink(os.path.join(tree.root, path)):
            yield Breach(path, 1, "a copy of kernel/common/%s; make it a link" % name)


RULES = [circles, shared_files]
