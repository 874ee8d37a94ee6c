#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py BIN FOLDER [ARGUMENT...]: pytest on the tests of a folder with the package of this tree and the programs of BIN. Ends with
77 if no Python here has pytest."""
import importlib.util
import os
import pathlib
import subprocess
import sys

PACKAGES = pathlib.Path(__file__).resolve().parents[1]


def interpreter():
    """This one, or Debian's, whichever has pytest."""
    if importlib.util.find_spec("pytest"):
        return sys.executable
    debian = "/usr/bin/python3"
    if os.path.exists(debian) and subprocess.run([debian, "-c", "import pytest"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
        return debian
    print("skipped: neither", sys.executable, "nor", debian, "has pytest (Debian: python3-pytest; tools/setup test)")
    sys.exit(77)


def main():
    folder = pathlib.Path(sys.argv[2]).resolve()
    environment = dict(os.environ, MIMIC=str(pathlib.Path(sys.argv[1]).resolve() / "mimic"), PYTHONPATH=str(PACKAGES),
                       PYTHONDONTWRITEBYTECODE="1")
    for name in ("MIMIC_QEMU", "MIMIC_KVM", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    # An installed package of the same name would bring the plugin twice.
    plugin = ["-p", "no:mimic", "-p", "mimic_test.plugin"]
    argv = [interpreter(), "-m", "pytest", "-p", "no:cacheprovider", *plugin, "-v", *sys.argv[3:], "."]
    os.chdir(folder)
    os.execve(argv[0], argv, environment)


if __name__ == "__main__":
    main()
