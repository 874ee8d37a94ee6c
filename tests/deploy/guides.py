# SPDX-License-Identifier: Apache-2.0
"""Commands of docs/kubernetes: which a test runs, and which not and why."""

import re

import helm

GUIDES = helm.SOURCES / "docs/kubernetes"
# Pages whose every command says who runs it.
PAGES = ("installation-guide.md", "upgrade-guide.md", "compatibility.md", "integration-guide.md")
LEVELS = ("api", "node")
BLOCK = re.compile(r"(?:<!-- (run|not run): (.+?) -->\n)?```sh\n(.*?)```", re.S)


def blocks(page):
    """[(level or None, reason or None, commands)] in the page's order."""
    found = []
    for kind, what, commands in BLOCK.findall((GUIDES / page).read_text()):
        found.append((what if kind == "run" else None, what if kind == "not run" else None, commands))
    return found


def problems():
    """Commands of which nobody says who runs them, as texts."""
    found = []
    for page in PAGES:
        for level, reason, commands in blocks(page):
            if level is None and not reason:
                found.append("%s: nobody says who runs:\n%s" % (page, commands))
            elif level is not None and level not in LEVELS:
                found.append("%s: there is no level %s" % (page, level))
    return found


def script(page, level):
    """All commands of a page that run on a level, as one script, or an empty text."""
    return "".join(commands for each, _, commands in blocks(page) if each == level)
