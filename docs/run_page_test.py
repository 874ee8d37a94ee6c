# SPDX-License-Identifier: Apache-2.0
"""Self-test of run_page.py: what a page says is typed, and other output than it shows is found."""

import contextlib
import io
import pathlib
import subprocess
import sys
import tempfile
import unittest

import run_page

PAGE = """# x
<!-- write: a/b.txt -->
```text
one
two
```

text `$ false`

<!-- run -->
```console
$ cat a/b.txt
one
two
$ mimic up x
x: up after 1.0 s
$ cd / && \\
  pwd
/
$ ls -d a
%s
```

```console
$ never typed
```
"""
MIMIC = """#!/bin/sh
echo 'mimic: no KVM, guests run on TCG'
echo 'mimic: x: init after 12.1 s'
[ "$1" = down ] || echo 'x: up after 23.4 s'
"""


class RunPage(unittest.TestCase):
    def run_page(self, text, *options):
        with tempfile.TemporaryDirectory() as folder:
            page, mimic = pathlib.Path(folder, "page.md"), pathlib.Path(folder, "mimic")
            page.write_text(text)
            mimic.write_text(MIMIC)
            mimic.chmod(0o755)
            done = subprocess.run([sys.executable, run_page.__file__, str(page), "--mimic", str(mimic), *options],
                                  stdout=subprocess.PIPE, text=True, check=False)
            return done.returncode, done.stdout, page.read_text()

    def test_as_printed(self):
        status, said, after = self.run_page(PAGE % "a")
        self.assertEqual((status, after), (0, PAGE % "a"), said)
        self.assertIn("page.md: 4 commands, 0 with other", said)

    def test_other_output(self):
        for wrong in ("b", "a\nb", ""):
            status, said, _ = self.run_page(PAGE % wrong)
            self.assertEqual(status, 1, said)
            self.assertIn("1 with other output", said)

    def test_update(self):
        status, _, after = self.run_page(PAGE % "b", "--update")
        self.assertEqual((status, after), (1, PAGE % "a"))

    def test_a_page_without_commands_is_no_test(self):
        self.assertEqual(self.run_page("# x\n")[0], 1)

    def test_matches(self):
        for page, came in ((["..."], []), (["a", "...", "c"], ["a", "b", "b", "c"]), (["up 1.5 s"], ["up 10.25 s"]),
                           (["[    1.25] x"], ["[   33.125000] x"]), (["a", "..."], ["a"])):
            self.assertTrue(run_page.matches(page, came), (page, came))
        for page, came in (([], ["a"]), (["a"], []), (["a", "...", "c"], ["a", "b"]), (["1 VF"], ["2 VF"])):
            self.assertFalse(run_page.matches(page, came), (page, came))

    def test_a_block_that_begins_with_output(self):
        with self.assertRaises(SystemExit), contextlib.redirect_stdout(io.StringIO()):
            run_page.steps("out\n$ ls\n")


if __name__ == "__main__":
    unittest.main()
