#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""reference_test.py BIN_DIR SOURCE_DIR: manual pages, docs/reference/commands.md and completions, which are made from what
--help is made of, in mandoc, bash, zsh and fish."""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

BIN, SOURCE = (pathlib.Path(each).resolve() for each in sys.argv[1:3])
MIMIC = BIN / "mimic"
COMPLETIONS = SOURCE / "integrations/completions"
PAGE = SOURCE / "docs/reference/commands.md"
PATIENCE_S = 120  # only hangs take so long
failures = 0


def check(what, good, detail=""):
    global failures
    print("%s %s%s" % ("ok" if good else "FAILED", what, "" if good else ": %s" % (detail,)), flush=True)
    failures += 0 if good else 1


def run(*words, **options):
    return subprocess.run([str(each) for each in words], capture_output=True, text=True, check=False, timeout=PATIENCE_S, **options)


def complete(*words):
    """{word: description} and the orders for the shell, of the word after `words`."""
    done = run(MIMIC, "__complete", *words)
    lines = done.stdout.splitlines()
    check("__complete %s is quiet" % " ".join(words), done.returncode == 0 and not done.stderr, done.stderr)
    return dict((line.split("\t") + [""])[:2] for line in lines if line[0] != ":"), [line for line in lines if line[0] == ":"]


def commands_of(*path):
    """Names of the commands below `path`, as the help lists them."""
    listed = re.search(r"^Subcommands:\n((?:  .*\n)+)", run(MIMIC, *path, "--help").stdout, re.M)
    return re.findall(r"^  (\S+)", listed.group(1), re.M) if listed else []


def pages(folder):
    for program in ("mimic", "mimic-mediator", "mimic-mediator-load", "mimic-sim", "mimic-dra"):
        if (BIN / program).exists():
            done = run(BIN / program, "__reference", "man", folder)
            check("%s writes its pages" % program, done.returncode == 0, done.stderr)
    made = sorted(pathlib.Path(folder).glob("*.[18]"))
    for program in ("mimic-mediator", "mimic-sim", "mimic-dra"):
        check("the program %s has a page" % program, not (BIN / program).exists() or pathlib.Path(folder, program + ".8") in made, made)
    names = {page.stem for page in made if page.suffix == ".1"}
    wanted = {"mimic"}
    for command in commands_of():
        wanted.add("mimic-" + command)
        wanted.update("mimic-%s-%s" % (command, below) for below in commands_of(command))
    check("each command has a page", len(wanted) > 25 and wanted <= names, sorted(wanted - names))
    check("hidden commands have none", not any("__" in name or "supervise" in name for name in names), names)
    up = (pathlib.Path(folder) / "mimic-up.1").read_text()
    check("a page has the options", "\\-\\-timeout" in up and ".SH EXIT STATUS" in up, up)
    if not shutil.which("mandoc"):
        print("SKIP: pages are not checked: no mandoc (tools/setup test)")
        return
    # "base" is of the systems that mandoc knows; pages of ours are not in its index.
    done = run("mandoc", "-T", "lint", "-W", "warning", *made)
    check("mandoc finds nothing to warn of", done.returncode == 0 and not done.stdout, done.stdout)
    shown = run("mandoc", "-T", "ascii", pathlib.Path(folder) / "mimic-inject.1").stdout
    shown = re.sub(".\b", "", shown)
    check("a page can be read", "MACHINE" in shown and "Let something go wrong with a device, by name" in shown, shown)
    for odd in ((), ("man",), ("nothing",), ("man", folder, "more")):
        check("wrong words %r" % (odd,), run(MIMIC, "__reference", *odd).returncode == 2)
    missing = run(MIMIC, "__reference", "man", folder + "/none")
    check("a folder that is not there", missing.returncode == 1 and "mimic: error: " in missing.stderr, missing.stderr)


def words(sandbox):
    check("commands", {"up", "verify", "kernel"} <= set(complete("")[0]) and "supervise" not in complete("")[0], complete(""))
    check("their descriptions", complete("veri")[0] == {"verify": "Compare guests with what their files say"}, complete("veri"))
    check("of a command", complete("kernel", "")[0].keys() == {"up", "down", "status", "verify", "plan"}, complete("kernel", ""))
    check("options", "--timeout" in complete("up", "--t")[0], complete("up", "--t"))
    check("not those that were given", "--machine" not in complete("up", "--machine", "a", "--mach")[0], "")
    check("values", "svg" in complete("plan", "x.yaml", "--format", "")[0], complete("plan", "x.yaml", "--format", ""))
    check("values behind =", "--format=svg" in complete("plan", "--format=s")[0], complete("plan", "--format=s"))
    check("files", complete("up", "")[1] == [":file"] and complete("tree", "a.yaml", "")[1] == [":folder"], complete("up", ""))
    check("machines", complete("regs", "")[0].keys() == {"box", "other"}, complete("regs", ""))
    check("devices", complete("regs", "box", "")[0].keys() == {"gpu0", "gpu0-vf1"}, complete("regs", "box", ""))
    check("of no machine", complete("regs", "nobody", "")[0] == {} == complete("regs", "../box", "")[0], "")
    check("faults", "all-ones" in complete("inject", "box", "gpu0", "all")[0], complete("inject", "box", "gpu0", "all"))
    check("options of a fault", "delay=" in complete("inject", "box", "gpu0", "irq-late", "")[0],
          complete("inject", "box", "gpu0", "irq-late", ""))
    check("files of guests", "box:" in complete("cp", "b")[0] and complete("cp", "b")[1] == [":nospace", ":file"], complete("cp", "b"))
    check("machines that ended", complete("logs", "")[0].get("gone") == "ended", complete("logs", ""))
    check("nothing in a guest", complete("exec", "box", "--", "") == ({}, []), complete("exec", "box", "--", ""))
    check("behind an option of all", "box" in complete("--context", "x", "exec", "")[0], "")
    check("commands of help", "up" in complete("help", "kernel", "")[0], complete("help", "kernel", ""))
    for odd in ([], ["\x1b[2J"], ["no-such", ""], ["--"], ["up", "--no-such", ""], ["x" * 100000], ["kernel", "upp", ""], ["exec", "", ""]):
        complete(*odd)
    (sandbox / "run/mimic/box/plan.json").write_text('{"devices": [{"functions": [{"name": "a\\u001b[2J"}, 7]}, "x"]}')
    check("what a plan may hold", complete("regs", "box", "")[0] == {}, complete("regs", "box", ""))
    (sandbox / "run/mimic/box/plan.json").write_text("[" * 100000)
    check("a plan that is none", complete("regs", "box", "")[0] == {}, "")


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, argv, environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(environment)
            os.execvp(argv[0], argv)
        self.seen = ""

    def wait_for(self, text):
        end = time.monotonic() + PATIENCE_S
        while text not in self.seen and time.monotonic() < end:
            if not select.select([self.fd], [], [], 1)[0]:
                continue
            try:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                break
        return text in self.seen

    def type(self, text):
        self.seen = ""
        os.write(self.fd, text.encode())

    def close(self):
        os.close(self.fd)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


# A shell asks its terminal things (fish) or draws anew at each key (zsh): what came of a key is in the command's effect.
PROGRAM = """#!/bin/sh
case $1 in __complete) exec %s "$@" ;; esac
printf 'ran <%%s>\\n' "$*"
"""

# What is typed behind "mimic ", and what is run.
TYPED = (("verif\t", "verify"), ("regs othe\t", "regs other"), ("regs box gpu0-\t", "regs box gpu0-vf1"),
         ("inject box gpu0 all-\t", "inject box gpu0 all-ones"), ("plan --format=sv\t", "plan --format=svg"),
         ("cp othe\tetc/x", "cp other:etc/x"), ("kernel stat\t", "kernel status"))


def shells(sandbox):
    program = sandbox / "bin/mimic"
    program.parent.mkdir()
    program.write_text(PROGRAM % MIMIC)
    program.chmod(0o755)
    environment = {"PATH": "%s:%s" % (program.parent, os.environ["PATH"]), "HOME": str(sandbox), "TERM": "dumb",
                   "XDG_CONFIG_HOME": str(sandbox / "config"), "XDG_DATA_HOME": str(sandbox / "data"), "LC_ALL": "C.UTF-8"}
    start = {
        "bash": (["bash", "--norc", "--noprofile", "-i"], "source %s/mimic.bash" % COMPLETIONS),
        "zsh": (["zsh", "-f", "-i"], "fpath=(%s $fpath); autoload -Uz compinit && compinit -u -D" % COMPLETIONS),
        "fish": (["fish", "--no-config", "-i"], "source %s/mimic.fish" % COMPLETIONS),
    }
    for name, (argv, prepare) in start.items():
        if not shutil.which(name):
            print("SKIP: %s is not here (tools/setup test)" % name)
            continue
        shell = Terminal(argv, environment)
        # Two words of the echo, so that only the answer has it whole.
        shell.type(prepare + "; echo rea''dy\r")
        check("%s takes the completion" % name, shell.wait_for("ready"), shell.seen)
        for typed, wanted in TYPED:
            shell.type("mimic " + typed + "\r")
            check("%s: %r" % (name, typed), shell.wait_for("ran <%s>" % wanted), shell.seen)
        shell.close()


def main():
    done = run(MIMIC, "__reference", "markdown")
    check("docs/reference/commands.md is what mimic says (mimic __reference markdown)", done.stdout == PAGE.read_text(),
          "it differs; write it anew: build/ci/bin/mimic __reference markdown >%s" % PAGE.relative_to(SOURCE))
    # A name that complete() does not know would be completed with nothing, in silence.
    table = re.findall(r'\{"([A-Z]+)",\s*Kind::', (SOURCE / "src/cli/completion.cpp").read_text())
    arguments = set(re.findall(r"^\| `([A-Z]+)[ `]", done.stdout, re.M))
    check("arguments are known to completion.cpp", len(arguments) > 10 and arguments <= set(table), arguments - set(table))
    with tempfile.TemporaryDirectory(prefix="mimic-reference.") as name:
        sandbox = pathlib.Path(name)
        (sandbox / "man").mkdir()
        pages(str(sandbox / "man"))
        for folder in ("run/mimic/box", "run/mimic/other", "run/mimic/No Machine", "state/mimic/box", "state/mimic/gone"):
            (sandbox / folder).mkdir(parents=True)
        (sandbox / "run/mimic/.lock").touch()
        plan = '{"devices": [{"name": "gpu0", "model": "mock-accel", "functions": [{"name": "gpu0"}, {"name": "gpu0-vf1"}]}]}'
        (sandbox / "run/mimic/box/plan.json").write_text(plan)
        os.environ.update(XDG_RUNTIME_DIR=str(sandbox / "run"), XDG_STATE_HOME=str(sandbox / "state"))
        shells(sandbox)
        words(sandbox)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
