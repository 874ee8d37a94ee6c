#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_commands.py TREE BIN: each command that a page of the tree names is known by the program, with its options.

Looked at is code, in blocks and between backquotes: `mimic COMMAND ... --option`, and the same of the other programs in BIN. What a
guest or another program gets, behind ` -- `, `|`, `;` or `&&`, is not. Fails, too, if it finds hardly anything. A page that says how many
faults there are (`43 faults by name`) is right about it.
"""

import functools
import pathlib
import re
import subprocess
import sys

PROGRAMS = ("mimic", "mimic-dra", "mimic-mediator", "mimic-mediator-load", "mimic-sim", "mock-accel-server")
# What may stand before a program: a prompt, another command, variables of its environment, sudo, a folder.
START = re.compile(r"(?:^|[|;&(]\s*|\$\()(?:\$ )?(?:(?:sudo|env|time|\w+=\S+)\s+)*(?:[\w.$-]*/)*(%s)(?=\s|$)(.*)" % "|".join(PROGRAMS))
STOP = re.compile(r"\s--(?=\s).*|\s*(?:[|;#<>]|&&).*")
SPAN = re.compile(r"`([^`\n]+)`")
FAULTS = re.compile(r"\b(\d+) faults by name")
FEWEST = 100  # commands; there are more, and none at all would be found if this file were wrong


def code(text):
    """(line number, code) of a page: lines of blocks, and what stands between backquotes."""
    fence = None
    before = ""
    for number, line in enumerate(text.split("\n"), 1):
        mark = re.match(r" {0,3}(```+|~~~+)", line)
        if mark and fence in (None, mark.group(1)):
            fence = None if fence else mark.group(1)
            continue
        if fence or line.startswith("    "):
            before += line.strip()
            if before.endswith("\\"):
                before = before[:-1]
                continue
            yield number, before
            before = ""
        else:
            for span in SPAN.findall(line):
                yield number, span


def named(text):
    """(line number, program, its words) of each command in a page."""
    for number, line in code(text):
        found = START.search(line)
        if found:
            yield number, found.group(1), STOP.sub("", " " + found.group(2)).split()


class Help:
    """What the programs say of themselves."""

    def __init__(self, programs):
        self.programs = programs

    @functools.lru_cache(maxsize=None)
    def of(self, program, *command):
        """(options, those that take a value, subcommands) of a command."""
        done = subprocess.run([self.programs / program, *command, "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{program} {' '.join(command)} --help: {done.stdout}")
        options, _, below = done.stdout.partition("\nSubcommands:\n")
        return (set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", options)),
                set(re.findall(r"(?<![\w-])(--?[A-Za-z][\w-]*) (?:[A-Z]|\{)", options)),
                set(re.findall(r"^  ([a-z][\w-]*)", below, re.M)))

    @functools.lru_cache(maxsize=None)
    def faults(self):
        """How many faults `mimic inject --list` has; `clear` is none."""
        done = subprocess.run([self.programs / "mimic", "inject", "--list"], stdout=subprocess.PIPE, text=True, timeout=120, check=True)
        return sum(bool(re.match(r"[a-z][\w-]* ", line)) and not line.startswith("clear ") for line in done.stdout.split("\n"))

    def wrong(self, program, words):
        """What is unknown in the words of a command, or None."""
        command, skip = [], False
        # A program of its own behind one name: `mimic-dra --simulate FILE`.
        known, valued, below = self.of(program, *(["--simulate", "FILE"] if "--simulate" in words else []))
        for word in words:
            if skip:
                skip = False
            elif re.match(r"--?[A-Za-z]", word):
                name = re.match(r"--?[\w-]+", word).group(0)
                # Short ones may stand together: -it.
                if name not in known and not (name[1] != "-" and all("-" + letter in known for letter in name[1:])):
                    return f"{' '.join([program, *command])} has no option {name}"
                skip = name in valued and "=" not in word
            elif word in below:
                command.append(word)
                more, valued, below = self.of(program, *command)
                known = known | more
            elif below and re.fullmatch(r"[a-z][a-z-]*", word):
                return f"{' '.join([program, *command])} has no command {word}"
            elif below:
                return None  # a placeholder: `mimic COMMAND`
        return None


def pages(tree):
    for path in sorted(tree.rglob("*.md")):
        parts = path.relative_to(tree).parts
        if parts[0] not in ("build", ".git", "web") and "node_modules" not in parts and path.name != "CHANGELOG.md":
            yield path


def main():
    tree, programs = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    told = Help(programs)
    count, numbers, errors, absent = 0, 0, [], set()
    for page in pages(tree):
        text = page.read_text()
        for said in FAULTS.findall(text):
            numbers += 1
            if int(said) != told.faults():
                errors.append(f"{page.relative_to(tree)}: {said} faults by name; mimic inject --list has {told.faults()}")
        for number, program, words in named(text):
            if not (programs / program).is_file():
                absent.add(program)
                continue
            count += 1
            problem = told.wrong(program, words)
            if problem:
                errors.append(f"{page.relative_to(tree)}:{number}: {problem}")
    print("\n".join(errors))
    for program in sorted(absent):
        print(f"not checked, for it is not built: {program}")
    print(f"{count} commands and {numbers} numbers of faults, {len(errors)} wrong")
    return 1 if errors or count < FEWEST or numbers == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
