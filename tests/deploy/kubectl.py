# SPDX-License-Identifier: Apache-2.0
"""kubectl of the test cluster, as its administrator or by a token."""

import subprocess


def kubectl(*arguments, text=None, token=None):
    command = ["kubectl", *arguments] + (["--token", token] if token else [])
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def must(*arguments, **options):
    result = kubectl(*arguments, **options)
    if result.returncode != 0:
        raise AssertionError("kubectl %s: %s" % (" ".join(arguments), result.stderr))
    return result.stdout
