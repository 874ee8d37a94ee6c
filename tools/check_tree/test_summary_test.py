# SPDX-License-Identifier: Apache-2.0
"""Self-test of tools/test_summary on results as ctest 3.25 writes them."""

import os
import subprocess
import sys
import tempfile
import unittest

SUMMARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test_summary")

PASSED = '<testcase name="plain" status="run"><system-out>fine</system-out></testcase>'
FAILED = '<testcase name="bad" status="fail"><failure message=""/><system-out>oh</system-out></testcase>'
SKIPPED = ('<testcase name="absent" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/>'
           "<system-out>SKIP: no /dev/kvm here\n</system-out></testcase>")
NOT_RUN = ('<testcase name="unbuilt" status="notrun"><skipped message="Unable to find executable"/>'
           "<system-out></system-out></testcase>")
CACHED = ('<testcase name="vm" status="run"><system-out>CACHED: single on 6.1: passed with the same inputs at noon\n'
          "</system-out></testcase>")
GOOGLE = """<testcase name="suite" status="run"><system-out>[ RUN      ] A.B
[       OK ] A.B (0 ms)
[ RUN      ] A.C
/x/a_test.cpp:9: Skipped
needs hugepages

[  SKIPPED ] A.C (0 ms)
[----------] 2 tests from A (0 ms total)
[  SKIPPED ] 1 test, listed below:
[  SKIPPED ] A.C
</system-out></testcase>"""
GOOGLE_FAILED = """<testcase name="suite" status="fail"><failure message=""/><system-out>[ RUN      ] A.B
[       OK ] A.B (0 ms)
[ RUN      ] P/A.C/0
[  FAILED  ] P/A.C/0, where GetParam() = 3 (1 ms)
[  FAILED  ] 1 test, listed below:
[  FAILED  ] P/A.C/0, where GetParam() = 3
</system-out></testcase>"""


def summary(*cases):
    """(exit status, lines) of the tool on these cases; no cases: on a file that does not exist."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "junit.xml")
        if cases:
            with open(path, "w", encoding="utf-8") as file:
                file.write("<testsuite>%s</testsuite>" % "".join(cases))
        run = subprocess.run([sys.executable, SUMMARY, path], stdout=subprocess.PIPE, text=True)
        return run.returncode, run.stdout.splitlines()


class Summary(unittest.TestCase):
    def test_counts_plain_tests(self):
        status, lines = summary(PASSED, FAILED, SKIPPED)
        self.assertEqual(status, 1)
        self.assertEqual(lines, ["Failed: bad", "Skipped: absent: no /dev/kvm here", "1 passed, 1 failed, 1 skipped"])

    def test_names_how_many_did_not_run_again(self):
        status, lines = summary(PASSED, CACHED)
        self.assertEqual((status, lines[-1]), (0, "2 passed, 0 failed, 0 skipped"))
        self.assertIn("1 of the passed VM tests", lines[0])

    def test_unbuilt_test_is_a_failure(self):
        status, lines = summary(PASSED, NOT_RUN)
        self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed, 0 skipped"))

    def test_counts_google_cases(self):
        status, lines = summary(GOOGLE)
        self.assertEqual(status, 0)
        self.assertEqual(lines, ["Skipped: suite: A.C: needs hugepages", "1 passed, 0 failed, 1 skipped"])

    def test_google_failure_counts_once(self):
        status, lines = summary(GOOGLE_FAILED)
        self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed, 0 skipped"))

    def test_no_results_is_a_failure(self):
        status, lines = summary()
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"))


if __name__ == "__main__":
    unittest.main()
