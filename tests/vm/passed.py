# SPDX-License-Identifier: Apache-2.0
"""Remembers which VM tests passed with which inputs, so that `make test` boots only guests for which something
changed. The key covers all that a scenario runs: the program, these scripts, topologies, the sources of modules and
guest programs, the tools that make the guest, and the kernel and QEMU that the cache holds."""
import hashlib
import os
import pathlib
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ("examples", "guest", "kernel", "tests/load", "tests/vm", "tests/web", "tools", "web")
PAGES = ("README.md", "docs/kernel-bus.md", "docs/kubevirt.md")  # whose commands or output scenarios compare
PROGRAMS = ("mimic-mediator",)  # that scenarios start beside `mimic`
# Found where the sources of a module are, and no inputs.
BUILT = {"__pycache__", "node_modules", ".mypy_cache"}


def cache_root():
    default = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "mimic"
    return pathlib.Path(os.environ.get("MIMIC_CACHE") or default)


def input_files():
    for page in PAGES:
        if (TREE / page).is_file():
            yield TREE / page
    for folder in SOURCES:
        for path in sorted((TREE / folder).rglob("*")):
            if path.is_file() and not BUILT.intersection(path.parts):
                yield path


def key(mimic, arguments):
    """A name for everything that decides how the test ends, as far as we know it."""
    digest = hashlib.sha256()
    for argument in arguments:
        digest.update(str(argument).encode() + b"\0")
    beside = [path for path in (pathlib.Path(mimic).with_name(name) for name in PROGRAMS) if path.is_file()]
    for path in [pathlib.Path(mimic), *beside, *input_files()]:
        digest.update(str(path).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    # What was downloaded is in folders that are named by versions.
    for folder in ("kernels", "qemu", "guest", "qemu-riscv64", "guest-riscv64"):
        for path in sorted((cache_root() / folder).glob("*")):
            digest.update(os.path.realpath(path).encode() + b"\0")
    return digest.hexdigest()


def wanted():
    """False on CI, and with MIMIC_TEST_CACHE=0: then every guest boots."""
    return not os.environ.get("CI") and os.environ.get("MIMIC_TEST_CACHE") != "0"


class Passed:
    """The memory of one test. Kept beside the program: a new build folder knows nothing."""

    def __init__(self, mimic, *arguments):
        self.path = None
        if wanted():
            self.path = pathlib.Path(mimic).resolve().parents[1] / "vm-passed" / key(mimic, arguments)

    def when(self):
        """The time at which the same inputs passed, or None."""
        if self.path is None or not self.path.exists():
            return None
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.path.stat().st_mtime))

    def note(self):
        if self.path is not None:
            self.path.parent.mkdir(exist_ok=True)
            self.path.touch()
