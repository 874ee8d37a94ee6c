# SPDX-License-Identifier: Apache-2.0
"""Checks the tracked files against the rules of the house: python3 tools/check_tree [--root FOLDER] [FILE...]

Prints "file:line: message" for each breach and exits 1 if there is one. Warnings do not count. The rules are in
text_rules.py (sizes, columns, licences, host names), include_rules.py (which folder may include which), kernel_rules.py
(circles in a kernel module), doc_rules.py (tests that tables of features name, markers of generated text) and unity_rules.py (names that
collide where files are compiled together).
"""

import argparse
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import doc_rules  # noqa: E402  (needs the path above)
import include_rules  # noqa: E402
import kernel_rules  # noqa: E402
import text_rules  # noqa: E402
import unity_rules  # noqa: E402
from tree import Tree  # noqa: E402

RULES = text_rules.RULES + include_rules.RULES + kernel_rules.RULES + doc_rules.RULES + unity_rules.RULES


def tracked_files(root):
    """Paths relative to root; without git (a release archive) those of the whole folder but build/."""
    # CI containers often run as another user than the one who owns the checkout.
    command = ["git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z"]
    try:
        listed = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        paths = [os.fsdecode(path) for path in listed.split(b"\0") if path]
    except (OSError, subprocess.CalledProcessError):
        paths = []
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if name not in ("build", ".git", "__pycache__")]
            paths += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(path for path in paths if os.path.isfile(os.path.join(root, path)))


def check(tree):
    """(errors, warnings) of all rules, as sorted "path:line: message" strings."""
    errors, warnings = [], []
    for rule in RULES:
        for found in rule(tree):
            (warnings if found.is_warning else errors).append(found)
    return sorted(errors), sorted(warnings)


def main():
    default_root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    parser = argparse.ArgumentParser(prog="tools/check_tree", description="Checks the tree's house rules.")
    parser.add_argument("--root", default=os.path.normpath(default_root))
    parser.add_argument("files", nargs="*", help="report on these files only")
    options = parser.parse_args()
    tree = Tree(options.root, tracked_files(options.root))
    if not tree.paths:
        print("check_tree: error: no files in %s" % options.root)
        return 2
    errors, warnings = check(tree)
    if options.files:
        named = {os.path.relpath(path, options.root) for path in options.files}
        errors = [found for found in errors if found.path in named]
        warnings = [found for found in warnings if found.path in named]
    for found in warnings:
        print("%s:%d: warning: %s" % (found.path, found.line, found.message))
    for found in errors:
        print("%s:%d: %s" % (found.path, found.line, found.message))
    print("check_tree: %d files, %d errors, %d warnings" % (len(tree.paths), len(errors), len(warnings)))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
