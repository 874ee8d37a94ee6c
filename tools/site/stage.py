# SPDX-License-Identifier: Apache-2.0
"""Copies the pages of the site, and all of the tree that they link to, into one folder for mkdocs."""

import os
import pathlib
import re
import subprocess

CONFIG = "docs/site.yml"
# Shown as pages with their text. Others are copied as they are: pictures, and JSON that programs read.
SHOWN = {".c": "c", ".cpp": "cpp", ".go": "go", ".h": "c", ".py": "python", ".sh": "bash", ".txt": "text", ".yaml": "yaml",
         ".yml": "yaml", "": "text"}
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
CODE = re.compile(r"^ {0,3}(```|~~~)")


def nav_pages(config):
    """Paths of the pages in `nav` of the text of a configuration, in its order. The list has one `- Title: path.md` or
    `- path.md` a line, so it is read without a parser of YAML, which the configuration's own tags would stop."""
    block = re.search(r"^nav:\n((?:[ -].*\n|\n)*)", config, re.M)
    return re.findall(r"^\s*-\s+(?:.*:\s+)?(\S+\.md)\s*$", block.group(1), re.M) if block else []


def style_sheets(config):
    """Paths of the style sheets that a configuration names."""
    found = re.search(r"^extra_css: \[(.*)\]$", config, re.M)
    return re.split(r",\s*", found.group(1)) if found else []


def tracked(root):
    """Paths of the tree's files: git's, or all but build/ where there is no git."""
    done = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(root), "ls-files", "-z", "--cached", "--others",
                           "--exclude-standard"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if done.returncode == 0 and done.stdout:
        return sorted(os.fsdecode(path) for path in done.stdout.split(b"\0") if path)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*")
                  if path.is_file() and path.relative_to(root).parts[0] not in ("build", ".git"))


class Stage:
    """The pages of one site. A target is a path of the tree; what it becomes is its place in the site."""

    def __init__(self, root, out):
        self.root, self.out = root, out
        self.files = set(tracked(root))
        self.waiting, self.seen, self.errors = [], set(), []

    def place(self, target):
        """Where a link to `target` leads to in the site, or None if it is not in the tree; it is staged, too."""
        if target in self.files:
            shown = pathlib.PurePosixPath(target).suffix in SHOWN
            self.want(target)
            return target + ".md" if shown else target
        if any(path.startswith(target + "/") for path in self.files):
            readme = target + "/README.md"
            self.want(readme if readme in self.files else target)
            return readme
        return None

    def want(self, target):
        if target not in self.seen:
            self.seen.add(target)
            self.waiting.append(target)

    def write(self, path, text):
        to = self.out / path
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text)

    def run(self):
        while self.waiting:
            target = self.waiting.pop()
            if target not in self.files:
                self.list_folder(target)
            elif target.endswith(".md"):
                self.write(target, self.page(target))
            elif pathlib.PurePosixPath(target).suffix in SHOWN:
                self.show(target)
            else:
                to = self.out / target
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes((self.root / target).read_bytes())

    def show(self, target):
        """A page with the text of a source file."""
        text = (self.root / target).read_text(errors="replace")
        fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall(r"^`{3,}", text, re.M))])
        language = SHOWN[pathlib.PurePosixPath(target).suffix]
        self.write(target + ".md", f"# {target}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n")

    def list_folder(self, folder):
        """A page with links to the files of a folder that has no README."""
        inside = sorted(path for path in self.files if path.startswith(folder + "/"))
        lines = [f"# {folder}", ""]
        for path in inside:
            place = self.place(path)
            lines.append(f"- [{path[len(folder) + 1:]}]({os.path.relpath(place, folder)})")
        self.write(folder + "/README.md", "\n".join(lines) + "\n")

    def page(self, target):
        """The text of a page, with links that lead to places of the site."""
        lines, fenced = [], False
        for number, line in enumerate((self.root / target).read_text().split("\n"), 1):
            if CODE.match(line):
                fenced = not fenced
            elif not fenced and not line.startswith("    "):
                line = LINK.sub(lambda match, at=number: self.link(target, at, match), line)
            lines.append(line)
        return "\n".join(lines)

    def link(self, page, number, match):
        path, mark, anchor = match.group(2).partition("#")
        if not path or re.match(r"[a-z]+:", path):
            return match.group(0)
        folder = os.path.dirname(page)
        to = os.path.normpath(os.path.join(folder, path))
        place = None if os.path.isabs(path) or to.startswith("..") else self.place(to)
        if place is None:
            self.errors.append(f"{page}:{number}: the link to {path} leads to no file of the tree")
            return match.group(0)
        return match.group(1) + os.path.relpath(place, folder or ".") + mark + anchor + match.group(3)


def stage(root, out):
    """Fills `out` with the pages of the tree at `root`; (pages staged, errors as "path:line: message")."""
    text = (root / CONFIG).read_text()
    pages = nav_pages(text)
    site = Stage(root, out)
    if not pages:
        site.errors.append(f"{CONFIG}:1: has no `nav` with pages")
    for page in pages + style_sheets(text):
        if page in site.files:
            site.want(page)
        else:
            site.errors.append(f"{CONFIG}:1: names {page}, which is not in the tree")
    for path in sorted(site.files):
        if path.startswith("docs/") and path.endswith(".md") and path not in pages:
            site.errors.append(f"{path}:1: no reader finds this page: name it in `nav` of {CONFIG}")
    site.run()
    return sorted(site.seen), site.errors
