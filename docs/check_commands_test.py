# SPDX-License-Identifier: Apache-2.0
"""Self-test of check_commands.py: which commands it finds in a page, and what it says of wrong ones."""

import pathlib
import tempfile
import unittest

import check_commands

PROGRAM = """#!/bin/sh
case "$*" in
--help) printf 'Options:\\n  --context VALUE  x\\n  -V,--version  x\\n\\nSubcommands:\\n  up  x\\n  kernel  x\\n' ;;
'up --help') printf 'Options:\\n  -h,--help  x\\n  --timeout N  x\\n  --accel {tcg,kvm}  x\\n  --foreground  x\\n' ;;
'kernel --help') printf 'Options:\\n\\nSubcommands:\\n  down  x\\n' ;;
'inject --list') printf 'remove  x\\nall-ones  x [delay=0ms]\\nclear  x\\n' ;;
*) printf 'Options:\\n' ;;
esac
"""


class Finds(unittest.TestCase):
    def test_commands(self):
        page = "Say `mimic up FILE --x -- ls --y`, or `env A=1 build/bin/mimic ps`.\n\n    sudo mimic down; ls --z   # mimic no\n" \
               "```console\n$ mimic exec m -- sh -c 'mimic --no'\n$ echo x | mimic cp - \\\n    m:/x --more\n```\n" \
               "The mimic --prose; `mimic.h`, `mimic-x --y`, `kubectl wait a/b mimic`, `apt install mimic`\n"
        found = [(number, program, " ".join(words)) for number, program, words in check_commands.named(page)]
        self.assertEqual(found, [(1, "mimic", "up FILE --x"), (1, "mimic", "ps"), (3, "mimic", "down"), (5, "mimic", "exec m"),
                                 (7, "mimic", "cp - m:/x --more")])


class Wrong(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        program = pathlib.Path(folder.name, "mimic")
        program.write_text(PROGRAM)
        program.chmod(0o755)
        self.help = check_commands.Help(pathlib.Path(folder.name))

    def test_good(self):
        for words in ("up FILE --timeout 3 --accel=kvm --foreground", "--context up up FILE", "kernel down", "COMMAND --version",
                      "--context X kernel down", "...", "up -hh"):
            self.assertIsNone(self.help.wrong("mimic", words.split()), words)

    def test_faults_are_counted(self):
        self.assertEqual(self.help.faults(), 2)
        self.assertEqual(check_commands.FAULTS.findall("yes, 38 faults by name; 3 faults"), ["38"])

    def test_bad(self):
        for words, problem in (("upp FILE", "mimic has no command upp"), ("up --timout 3", "mimic up has no option --timout"),
                               ("kernel up", "mimic kernel has no command up"), ("up FILE --down", "mimic up has no option --down"),
                               ("--timeout 3 up", "mimic has no option --timeout"), ("up -hx", "mimic up has no option -hx")):
            self.assertEqual(self.help.wrong("mimic", words.split()), problem)


if __name__ == "__main__":
    unittest.main()
