#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of tools/image: what is in an image, that it runs there, that it is the same twice, and what is refused."""

import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

IMAGE = pathlib.Path(__file__).resolve().parent / "image"
# Dynamic and there on every Debian; no test depends on what else it needs than a libc.
PROGRAM = shutil.which("sort")


def run(*arguments, **environment):
    return subprocess.run([str(IMAGE), *map(str, arguments)], capture_output=True, text=True, check=False,
                          env={**os.environ, "SOURCE_DATE_EPOCH": "0", **environment})


class Image:
    """An archive as a consumer reads it: by digests, each of which is checked."""

    def __init__(self, path):
        with tarfile.open(path) as tar:
            self.blobs = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
        self.manifest_descriptor = json.loads(self.blobs["index.json"])["manifests"][0]
        self.manifest = json.loads(self.blob(self.manifest_descriptor))
        self.config = json.loads(self.blob(self.manifest["config"]))
        self.layer = self.blob(self.manifest["layers"][0])
        with tarfile.open(fileobj=io.BytesIO(self.layer)) as tar:
            self.members = {member.name: member for member in tar}

    def blob(self, descriptor):
        data = self.blobs["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]
        assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"]
        assert len(data) == descriptor["size"]
        return data

    def unpack(self, folder):
        with tarfile.open(fileobj=io.BytesIO(self.layer)) as tar:
            tar.extractall(folder)


class ImageTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.out = self.folder / "image.tar"

    def make(self, *arguments):
        words = list(arguments)
        at = words.index("--") if "--" in words else len(words)
        result = run(self.out, "--name", "mimic.local/test:1", *words[:at], *words[at:])
        self.assertEqual(result.returncode, 0, result.stderr)
        image = Image(self.out)
        self.assertEqual(result.stdout.strip(), image.manifest_descriptor["digest"])
        return image

    def test_program_comes_with_its_loader_and_libraries(self):
        image = self.make("--program", PROGRAM, "--", "/usr/bin/sort", "--version")
        names = list(image.members)
        self.assertIn("usr/bin/sort", names)
        self.assertTrue([name for name in names if name.endswith("/libc.so.6")], names)
        self.assertTrue([name for name in names if "/ld-linux" in name or "/ld64" in name], names)
        self.assertEqual(image.config["config"]["Entrypoint"], ["/usr/bin/sort", "--version"])
        self.assertEqual(image.config["rootfs"]["diff_ids"], ["sha256:" + hashlib.sha256(image.layer).hexdigest()])

    def test_program_runs_with_nothing_but_the_image(self):
        image = self.make("--program", PROGRAM)
        root = self.folder / "root"
        image.unpack(root)
        command = ["chroot", str(root), "/usr/bin/sort"]
        if os.geteuid() != 0:
            command = ["unshare", "--map-root-user", *command]
        if subprocess.run([*command[:-3], "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("neither root nor user namespaces")
        result = subprocess.run(command, input="b\na\n", capture_output=True, text=True, check=False)
        self.assertEqual((result.returncode, result.stdout), (0, "a\nb\n"), result.stderr)

    def test_same_inputs_give_the_same_bytes(self):
        text = self.folder / "text"
        text.write_text("x")
        self.make("--program", PROGRAM, "--file", "%s=/etc/text" % text)
        first = self.out.read_bytes()
        os.utime(text, (1, 1))
        self.make("--program", PROGRAM, "--file", "%s=/etc/text" % text)
        self.assertEqual(first, self.out.read_bytes())

    def test_source_date_epoch_dates_everything(self):
        result = run(self.out, "--name", "a:1", SOURCE_DATE_EPOCH="86400")
        self.assertEqual(result.returncode, 0, result.stderr)
        image = Image(self.out)
        self.assertEqual(image.config["created"], "1970-01-02T00:00:00Z")
        self.assertEqual({member.mtime for member in image.members.values()}, {86400})

    def test_docker_reads_the_same_blobs(self):
        image = self.make("--program", PROGRAM)
        entry, = json.loads(image.blobs["manifest.json"])
        self.assertEqual(entry["RepoTags"], ["mimic.local/test:1"])
        self.assertEqual(image.blobs[entry["Layers"][0]], image.layer)
        self.assertEqual(json.loads(image.blobs[entry["Config"]]), image.config)

    def test_oci_folder_is_what_the_archive_holds(self):
        image = self.make("--program", PROGRAM)
        folder = self.folder / "oci"
        for _ in range(2):  # the second one replaces the first
            self.assertEqual(run(folder, "--name", "mimic.local/test:1", "--program", PROGRAM).returncode, 0)
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.assertEqual(files, image.blobs)

    def test_users_links_trees_environment_and_user(self):
        tree = self.folder / "tree"
        (tree / "below").mkdir(parents=True)
        (tree / "below/script").write_text("#!/bin/sh\n")
        (tree / "below/script").chmod(0o700)
        (tree / "link").symlink_to("below/script")
        image = self.make("--tree", "%s=/opt/tree" % tree, "--link", "/usr/bin/sort=/bin/s", "--env", "A=b=c", "--label", "l=m",
                          "--user", "65532:65532", "--cmd", "x", "--cmd=-y")
        members = image.members
        self.assertEqual(members["opt/tree/link"].linkname, "below/script")
        self.assertEqual(members["opt/tree/below/script"].mode, 0o755)
        self.assertEqual(members["bin/s"].linkname, "/usr/bin/sort")
        self.assertEqual(members["tmp"].mode, 0o1777)
        self.assertEqual({(member.uid, member.gid) for member in members.values()}, {(0, 0)})
        self.assertEqual(list(members), sorted(members))
        config = image.config["config"]
        self.assertIn("A=b=c", config["Env"])
        self.assertEqual((config["User"], config["Cmd"], config["Labels"]), ("65532:65532", ["x", "-y"], {"l": "m"}))
        self.assertIn("etc/passwd", members)

    def test_library_outside_the_loaders_folders_is_found_in_the_image(self):
        (self.folder / "lib").mkdir()
        (self.folder / "l.c").write_text("int answer(void) { return 42; }\n")
        (self.folder / "p.c").write_text("int answer(void); int main(void) { return answer() - 42; }\n")
        lib = self.folder / "lib/libanswer.so"
        compiler = shutil.which("gcc") or shutil.which("cc")
        if not compiler:
            self.skipTest("no compiler")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", lib, self.folder / "l.c"], check=True)
        subprocess.run([compiler, "-o", self.folder / "p", self.folder / "p.c", lib], check=True)
        image = self.make("--program", self.folder / "p")
        self.assertIn(str(lib).lstrip("/"), image.members)
        self.assertIn("LD_LIBRARY_PATH=%s" % lib.parent, image.config["config"]["Env"])
        lib.unlink()
        result = run(self.out, "--name", "a:1", "--program", self.folder / "p")
        self.assertEqual(result.returncode, 1)
        self.assertIn("libanswer.so", result.stderr)

    def test_refused(self):
        fifo = self.folder / "tree/fifo"
        fifo.parent.mkdir()
        os.mkfifo(fifo)
        (self.folder / "keep").mkdir()
        (self.folder / "keep/precious").write_text("")
        cases = [
            (self.out, ["--name", "No Good"], "NAME:TAG"),
            (self.out, ["--name", "a:1", "--program", "/nowhere"], "not there"),
            (self.out, ["--name", "a:1", "--file", PROGRAM + "=relative"], "absolute"),
            (self.out, ["--name", "a:1", "--file", PROGRAM + "=/a/../b"], "'..'"),
            (self.out, ["--name", "a:1", "--file", PROGRAM + "=/x", "--file", str(IMAGE) + "=/x"], "twice"),
            (self.out, ["--name", "a:1", "--tree", fifo.parent], "neither file"),
            (self.out, ["--name", "a:1", "--link", "x"], "TARGET=PATH"),
            (self.out, ["--name", "a:1", "--env", "x"], "NAME=VALUE"),
            (self.folder / "keep", ["--name", "a:1"], "no image of ours"),
        ]
        for out, arguments, message in cases:
            with self.subTest(arguments=arguments):
                result = run(out, *arguments)
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertIn(message, result.stderr)
                self.assertNotIn("Traceback", result.stderr)
        self.assertFalse(self.out.exists())
        self.assertTrue((self.folder / "keep/precious").exists())
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".image-")], [])


if __name__ == "__main__":
    if PROGRAM is None:
        print("SKIP: no sort")
        sys.exit(77)
    unittest.main()
