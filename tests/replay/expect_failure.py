#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""expect_failure.py PATTERN PROGRAM: passes when the test program fails and says what PATTERN (a regular expression) matches.

Its words are printed behind "> ", so that nobody counts them as a failed case of ours.
"""
import re
import subprocess
import sys

pattern, program = sys.argv[1:]
done = subprocess.run([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                      text=True, errors="replace", timeout=100, check=False)
for line in done.stdout.splitlines():
    print("> " + line)
if done.returncode != 1:
    sys.exit("FAIL: exit status %d; a GoogleTest program with a failed case ends with 1" % done.returncode)
if not re.search(pattern, done.stdout, re.S):
    sys.exit("FAIL: nothing there matches %s" % pattern)
