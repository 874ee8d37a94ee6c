# SPDX-License-Identifier: Apache-2.0
"""The files under check, read once, and what kind each is."""

import os
import re
from typing import NamedTuple

# Bytes that tests feed to parsers, or compare output with: no rule of style applies to them.
DATA = re.compile(r"(^|/)(cases|corpus|data|golden|samples|testdata)/|\.(png|svg|bin|golden|expected)$")
# Texts of others.
FOREIGN = re.compile(r"(^|/)(LICENSE|COPYING)[^/]*$|^kernel/.*/include/uapi/linux/")


class Breach(NamedTuple):
    path: str
    line: int
    message: str
    is_warning: bool = False


class Tree:
    """Tracked files of one checkout. Immutable."""

    def __init__(self, root, paths):
        self.root = root
        self.paths = paths
        self._texts = {}
        for path in paths:
            with open(os.path.join(root, path), "rb") as file:
                content = file.read()
            if b"\0" not in content:
                self._texts[path] = content.decode("utf-8", errors="replace")

    def text(self, path):
        """The content, or None of a binary file."""
        return self._texts.get(path)

    def lines(self, path):
        return self._texts[path].split("\n")

    def texts(self):
        """Paths of all text files that we wrote and that are no test data."""
        return [path for path in self._texts if not DATA.search(path) and not FOREIGN.search(path)]

    def sources(self):
        """Paths of code: C, C++, scripts, CMake, make."""
        return [path for path in self.texts() if self.is_source(path)]

    def is_source(self, path):
        name = os.path.basename(path)
        if name in ("CMakeLists.txt", "Makefile", "Kbuild", "dkms.conf"):
            return True
        if re.search(r"\.(h|c|cpp|cc|hpp|py|sh|cmake|cmake\.in|mk)$", name):
            return True
        return "." not in name and self._texts[path].startswith("#!")


def is_c(path):
    return re.search(r"\.(h|c|cpp|cc|hpp)$", path) is not None


def top(path):
    """The first folder of a path, "" for a file of the root."""
    return path.split("/", 1)[0] if "/" in path else ""
