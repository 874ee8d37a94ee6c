#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/kubernetes/extension-guide.md do what the page says.

guide_test.py SOURCE NAME=PROGRAM...: runs them with the programs under those names.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"(?:<!-- (run|not run): ([^\n]+?) -->\n)?```sh\n(.*?)```", re.S)
PAGES = ("extension-guide.md", "api-reference.md")


def main() -> int:
    source = pathlib.Path(sys.argv[1])
    ran = failures = 0
    with tempfile.TemporaryDirectory(prefix="mimic-guide.") as name:
        folder = pathlib.Path(name)
        (folder / "bin").mkdir()
        (folder / "work").mkdir()
        for word in sys.argv[2:]:
            program, _, path = word.partition("=")
            (folder / "bin" / program).symlink_to(path)
        environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "MIMIC": str(source)}
        for page in PAGES:
            for kind, what, commands in BLOCK.findall((source / "docs/kubernetes" / page).read_text()):
                if not kind or (kind == "run" and what != "tree"):
                    print(f"{page}: nobody says who runs:\n{commands}")
                    failures += 1
                if kind != "run":
                    continue
                ran += 1
                result = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", commands],
                    cwd=folder / "work", env=environment, capture_output=True, text=True, timeout=120, check=False,
                )
                if result.returncode:
                    print(f"{page}: status {result.returncode}:\n{commands}\n{result.stdout}\n{result.stderr}")
                    failures += 1
    print(f"{ran} blocks of commands, {failures} failed")
    return 1 if failures or ran < 4 else 0


if __name__ == "__main__":
    sys.exit(main())
