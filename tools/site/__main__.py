# SPDX-License-Identifier: Apache-2.0
"""Builds the documentation as a site and checks it: python3 tools/site [--root FOLDER] [OUT]

OUT (build/site without it) becomes plain files that a browser opens from the disk or any web server serves. The pages are
those of `nav` in docs/site.yml and whatever they link to in this tree: READMEs as they are, source files as pages that show
them, folders as their README or a list of their files. It fails if a page of docs/ is not in `nav`, if a link leads to
nothing (a file, a heading, a picture), and on all that `mkdocs build --strict` warns of. Links to other hosts are not
followed: nothing here uses a network. Needs mkdocs with the theme material (tools/setup docs); without it exit status 77.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import links  # noqa: E402  (needs the path above)
import stage  # noqa: E402


def fail(message):
    print(f"site: error: {message}", file=sys.stderr)
    return 1


def mkdocs(root, staged, out):
    """Runs mkdocs on the staged pages; its output and whether it was content."""
    config = staged.parent / (staged.name + ".yml")
    config.write_text(f"INHERIT: {root / stage.CONFIG}\ndocs_dir: {staged}\nsite_dir: {out}\n")
    # Old versions of the parsers that it uses print warnings of Python's about themselves.
    environment = dict(os.environ, PYTHONWARNINGS="ignore", PYTHONDONTWRITEBYTECODE="1")
    # By its own name, not as a module: the Python of this program need not be the one that it is installed for.
    done = subprocess.run(["mkdocs", "build", "--quiet", "--strict", "--clean", "--config-file", str(config)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False)
    return done.stdout, done.returncode == 0


def build(root, out):
    """(pages, links, errors) of the site of the tree at `root`, built into `out`."""
    staged = out.parent / (out.name + "-pages")
    for folder in (staged, out):
        shutil.rmtree(folder, ignore_errors=True)
    staged.mkdir(parents=True)
    pages, errors = stage.stage(root, staged)
    if errors:
        return len(pages), 0, errors
    output, content = mkdocs(root, staged, out)
    if not content:
        return len(pages), 0, [line for line in output.splitlines() if line.strip()] or ["mkdocs failed and did not say why"]
    count, errors = links.check(out)
    return len(pages), count, errors


def main():
    default_root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(prog="tools/site", description="Builds and checks the documentation as a site.")
    parser.add_argument("--root", type=pathlib.Path, default=default_root)
    parser.add_argument("out", nargs="?", type=pathlib.Path)
    options = parser.parse_args()
    root = options.root.resolve()
    out = (options.out or root / "build" / "site").resolve()
    if not (root / stage.CONFIG).is_file():
        return fail(f"{root} has no {stage.CONFIG}")
    # Ours, and it may be replaced, also where an earlier run was interrupted: it has its pages beside it.
    ours = (out / "index.html").is_file() or out.with_name(out.name + "-pages").is_dir()
    if out == root or out in root.parents or (out.exists() and any(out.iterdir()) and not ours):
        return fail(f"{out} is no site, and would be overwritten; name another folder")
    if shutil.which("mkdocs") is None:
        print("SKIP: no mkdocs (Debian: mkdocs-material, with its theme); tools/setup docs installs it")
        return 77
    pages, count, errors = build(root, out)
    for error in errors:
        print(error)
    print(f"site: {pages} pages, {count} links, {len(errors)} errors, in {out}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
