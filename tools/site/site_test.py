# SPDX-License-Identifier: Apache-2.0
"""Self-test of tools/site: what it stages of a small tree, and each fault that it must find. Needs no mkdocs."""

import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import links  # noqa: E402
import stage  # noqa: E402

NAV = "site_name: x\nnav:\n  - Start: README.md\n  - Part:\n      - docs/a.md\nplugins: [search]\n"
TREE = {"docs/site.yml": NAV, "README.md": "# x\n[a](docs/a.md#b)\n", "docs/a.md": "# a\n",
        "src/one/README.md": "# one\n", "src/two/x.h": "int x;\n", "src/two/y.json": "{}\n", "src/unseen.h": "int y;\n"}


def written(folder, files):
    for path, text in files.items():
        to = pathlib.Path(folder, path)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text)


class Stage(unittest.TestCase):
    def stage(self, **changed):
        """(texts of the staged files, errors) of the TREE with files changed; None is one removed."""
        files = {path: text for path, text in {**TREE, **changed.get("tree", {})}.items() if text is not None}
        with tempfile.TemporaryDirectory() as folder:
            root, out = pathlib.Path(folder, "tree"), pathlib.Path(folder, "out")
            written(root, files)
            out.mkdir()
            _, errors = stage.stage(root, out)
            return {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}, errors

    def test_pages_of_nav(self):
        staged, errors = self.stage()
        self.assertEqual(errors, [])
        self.assertEqual(sorted(staged), ["README.md", "docs/a.md"])
        self.assertEqual(staged["README.md"], TREE["README.md"])

    def test_style_sheets(self):
        tree = {"docs/site.yml": NAV + "extra_css: [docs/x.css]\n"}
        self.assertEqual(self.stage(tree=tree)[1], ["docs/site.yml:1: names docs/x.css, which is not in the tree"])
        staged, errors = self.stage(tree=dict(tree, **{"docs/x.css": "a {}\n"}))
        self.assertEqual((staged["docs/x.css"], errors), ("a {}\n", []))

    def test_what_pages_link_to(self):
        page = "[r](../src/one) [h](../src/two/x.h) [f](../src/two/) [j](../src/two/y.json#k) [web](https://x.example/y)\n"
        staged, errors = self.stage(tree={"docs/a.md": page})
        self.assertEqual(errors, [])
        self.assertEqual(staged["docs/a.md"], "[r](../src/one/README.md) [h](../src/two/x.h.md) [f](../src/two/README.md) "
                                              "[j](../src/two/y.json#k) [web](https://x.example/y)\n")
        self.assertEqual(sorted(staged), ["README.md", "docs/a.md", "src/one/README.md", "src/two/README.md", "src/two/x.h.md",
                                          "src/two/y.json"])
        self.assertIn("```c\nint x;\n```", staged["src/two/x.h.md"])
        self.assertIn("[x.h](x.h.md)", staged["src/two/README.md"])
        self.assertEqual(staged["src/two/y.json"], "{}\n")

    def test_code_is_left_alone(self):
        page = "```\n[a](nothing)\n```\n    [a](nothing)\n"
        staged, errors = self.stage(tree={"docs/a.md": page})
        self.assertEqual((staged["docs/a.md"], errors), (page, []))

    def test_a_source_file_with_fences(self):
        staged, errors = self.stage(tree={"docs/a.md": "[x](x.txt)\n", "docs/x.txt": "```\nx\n```\n"})
        self.assertEqual(errors, [])
        self.assertIn("````text\n```\nx\n```\n````", staged["docs/x.txt.md"])

    def test_links_to_nothing(self):
        for link in ("b.md", "../../outside.md", "/etc/passwd", "../src/one/absent/"):
            _, errors = self.stage(tree={"docs/a.md": f"# a\n[x]({link})\n"})
            self.assertEqual(errors, [f"docs/a.md:2: the link to {link} leads to no file of the tree"])

    def test_pages_that_nobody_finds(self):
        _, errors = self.stage(tree={"docs/more/b.md": "# b\n"})
        self.assertEqual(errors, ["docs/more/b.md:1: no reader finds this page: name it in `nav` of docs/site.yml"])

    def test_a_nav_that_is_wrong(self):
        _, errors = self.stage(tree={"docs/a.md": None, "README.md": "# x\n"})
        self.assertEqual(errors, ["docs/site.yml:1: names docs/a.md, which is not in the tree"])
        _, errors = self.stage(tree={"docs/site.yml": "site_name: x\n", "docs/a.md": None, "README.md": "# x\n"})
        self.assertEqual(errors, ["docs/site.yml:1: has no `nav` with pages"])


class Links(unittest.TestCase):
    def check(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            written(folder, files["site"])
            return links.check(pathlib.Path(folder))

    def test_good(self):
        site = {"index.html": '<a href="a/b.html#c">', "a/b.html": '<h1 id="c"><a href="..">x</a><img src="../x.png"><a href="#c">',
                "x.png": "x", "404.html": '<a href="/a/b.html">'}
        self.assertEqual(self.check(site=site), (4, []))

    def test_bad(self):
        for link, why in (("b.html", "file"), ("#c", "heading of index.html"), ("a.html#c", "heading of a.html"),
                          ("../index.html", "file"), ("x%20y.png", "file")):
            site = {"index.html": f'<a href="{link}">', "a.html": "<h1 id='d'>"}
            self.assertEqual(self.check(site=site), (1, [f"index.html:1: {link} leads to no {why}"]))


if __name__ == "__main__":
    unittest.main()
