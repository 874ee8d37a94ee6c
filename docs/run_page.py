#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run_page.py PAGE --mimic PROGRAM [--update]: types what a page tells its reader to type, and compares what comes back.

In the source of a page `<!-- write: NAME -->` stands before a block that is written to the file NAME, and `<!-- run -->` before
one whose lines `$ COMMAND` are run, in order, in one folder of the page's own. What stands below a command is its output, all
of it, errors included: a line `...` stands for any lines. Numbers that differ from run to run (seconds, times, process ids after
"pid") match any; notes on what this machine lacks, on waiting and on building are left out. Commands find mimic in PATH and this
tree in MIMIC. --update writes what came back into the page. Exit status 0: all as printed; 1: something differs.
"""

import argparse
import contextlib
import difflib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

TREE = pathlib.Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^<!-- (?:write: (?P<name>\S+)|(?P<run>run)) -->\n```\w*\n(?P<text>.*?)^```$", re.M | re.S)
NOTES = re.compile(r"^(mimic: (no KVM|waiting for|booting|making|building|fetching|note:|[\w.-]+: [\w ]+ after \d)|debs: |setup: )")
VARIES = ((re.compile(r"\d+\.\d+ s\b"), "N s"), (re.compile(r"^\[ *\d+\.\d+\]"), "[N]"), (re.compile(r"\+\d+\.\d+ "), "+N "),
          (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"), (re.compile(r"\bpid \d+"), "pid N"),
          (re.compile(r"\b\d+\.\d+\.\d+-\d+-amd64"), "KERNEL"), (re.compile(r"mimic-page\.\w+"), "FOLDER"))
LIMIT_S = 600  # of one command


def steady(line):
    """The line without what differs from run to run."""
    for pattern, word in VARIES:
        line = pattern.sub(word, line)
    return line.rstrip()


def matches(expected, got):
    """Whether the lines that came are those of the page, where "..." is any number of lines."""
    if not expected:
        return not got
    if expected[0] == "...":
        return any(matches(expected[1:], got[at:]) for at in range(len(got) + 1))
    return bool(got) and steady(expected[0]) == steady(got[0]) and matches(expected[1:], got[1:])


def steps(text):
    """[(command, lines of output)] of a block; a command that ends in a backslash goes on in the next line."""
    found = []
    for line in text.splitlines():
        if found and found[-1][0].endswith("\\") and not found[-1][1]:
            found[-1][0] += "\n" + line
        elif line.startswith("$ "):
            found.append([line[2:], []])
        elif found:
            found[-1][1].append(line)
        else:
            raise SystemExit(f"run_page: a block begins with output: {line}")
    return found


class Reader:
    """Somebody who does what the page says, in a folder and with machines of their own."""

    def __init__(self, mimic):
        # Short: a socket's path has 107 bytes.
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="mimic-page.", dir="/tmp"))
        self.work = self.base / "work"
        self.mimic = os.path.abspath(mimic)
        self.groups = []
        for name in ("work", "bin", "run"):
            (self.base / name).mkdir(mode=0o700)
        (self.base / "bin" / "mimic").symlink_to(self.mimic)
        for tool in pathlib.Path(self.mimic).parent.glob("mimic-*"):
            (self.base / "bin" / tool.name).symlink_to(tool)
        self.environment = dict(os.environ, PATH=f"{self.base}/bin:{os.environ['PATH']}", MIMIC=str(TREE), TERM="dumb",
                                XDG_RUNTIME_DIR=str(self.base / "run"), XDG_STATE_HOME=str(self.base / "state"))

    def type(self, command):
        """The lines that a command printed; notes are left out."""
        with subprocess.Popen(["bash", "-c", command], cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as shell:
            self.groups.append(shell.pid)
            out, _ = shell.communicate(timeout=LIMIT_S)
        return [line for line in out.decode(errors="replace").splitlines() if not NOTES.match(line)]

    def close(self):
        # What a command left in the background, as "&" does, is still of its process group.
        for group in self.groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        subprocess.run([self.mimic, "down", "--all"], env=self.environment, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.base, ignore_errors=True)


def run(text, reader, say):
    """(the page with the output that came, commands run, commands whose output differs)."""
    parts, at, count, wrong = [], 0, 0, 0
    for block in BLOCK.finditer(text):
        if block.group("name"):
            to = reader.work / block.group("name")
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text(block.group("text"))
            continue
        lines = []
        for command, expected in steps(block.group("text")):
            say(f"$ {command}")
            got = reader.type(command)
            count += 1
            same = matches(expected, got)
            if not same:
                wrong += 1
                say("\n".join(difflib.unified_diff(expected, got, "the page", "what came", lineterm="")))
            lines += [f"$ {command}", *(expected if same else got)]
        parts += [text[at:block.start("text")], "".join(line + "\n" for line in lines)]
        at = block.end("text")
    return "".join(parts) + text[at:], count, wrong


def main():
    parser = argparse.ArgumentParser(description="Types what a page says and compares what comes back.")
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--mimic", required=True)
    parser.add_argument("--update", action="store_true", help="write what came back into the page")
    options = parser.parse_args()
    text = options.page.read_text()
    # So that a time limit's signal, too, leaves no machine behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    reader = Reader(options.mimic)
    try:
        after, count, wrong = run(text, reader, lambda line: print(line, flush=True))
    finally:
        reader.close()
    if options.update:
        options.page.write_text(after)
    print(f"{options.page.name}: {count} commands, {wrong} with other output than the page says")
    return 1 if wrong or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
