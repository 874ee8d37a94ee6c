#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What no test can build: that the Containerfiles name what is there. And a kernel module's image without a container engine."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import guides
from helm import SOURCES


def output(*command, **options):
    result = subprocess.run([str(each) for each in command], stdout=subprocess.PIPE, text=True, check=True, **options)
    return result.stdout.strip()


def busybox():
    """Debian's busybox-static, which tools/debs has for guests."""
    return pathlib.Path(output(SOURCES / "tools/debs", "guest")) / "root/bin/busybox"


class ContainerfileTest(unittest.TestCase):
    def text(self, name):
        # Lines that a backslash continues, as one.
        return (SOURCES / "deploy" / name).read_text().replace("\\\n", " ")

    def test_names_what_is_there(self):
        for name in ("container/Containerfile", "kmm/Containerfile"):
            text = self.text(name)
            stages = re.findall(r"^FROM \S+ AS (\S+)$", text, re.M)
            for copied in re.findall(r"^COPY ([^-]\S*) ", text, re.M):
                self.assertTrue((SOURCES / copied).exists(), copied)
            for stage in re.findall(r"^COPY --from=(\S+) ", text, re.M):
                self.assertIn(stage, stages)
            for tool in re.findall(r"\btools/\w+", text):
                self.assertTrue(os.access(SOURCES / tool, os.X_OK), tool)
            # Which registry a base image comes from is the builder's to say.
            for base in re.findall(r"^(?:FROM|ARG BASE=)\s*(\S+)", text, re.M):
                self.assertNotIn("/", base)

    def test_module_image_has_all_modules(self):
        default, = re.findall(r'^ARG MODULES="(.*)"$', self.text("kmm/Containerfile"), re.M)
        for module in default.split():
            self.assertTrue((SOURCES / "kernel" / module / "Kbuild").exists(), module)
            self.assertTrue((SOURCES / "deploy/kmm" / (module + ".yaml")).exists(), module)

    def test_driver_is_a_target_of_the_build(self):
        wanted = re.findall(r"tools/build release (\S+)", self.text("container/Containerfile"))
        self.assertEqual(wanted, ["mimic-dra"])
        self.assertIn("mimic_program(mimic-dra", (SOURCES / "src/cli/CMakeLists.txt").read_text())


class GuidesTest(unittest.TestCase):
    def test_every_command_is_run_or_says_why_not(self):
        self.assertEqual(guides.problems(), [])
        # The pattern of the blocks finds all of them.
        for page in guides.PAGES:
            self.assertEqual(len(guides.blocks(page)), (guides.GUIDES / page).read_text().count("```sh\n"), page)

    def test_links_lead_somewhere(self):
        pages = [guides.GUIDES / name for name in ("README.md", *guides.PAGES)]
        for page in [*pages, *sorted((SOURCES / "deploy").rglob("*.md")), SOURCES / "examples/kubernetes/README.md"]:
            for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
                self.assertTrue((page.parent / link).exists(), "%s: %s" % (page, link))


class ModuleImageTest(unittest.TestCase):
    """deploy/kmm/README.md: an image for KMM from a module, and what KMM's worker does in it."""

    def test_worker_copies_a_module_out_of_it(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            release = (pathlib.Path(output(SOURCES / "tools/debs", "kernel", "6.1")) / "release").read_text().strip()
            output(SOURCES / "tools/debs", "module", "6.1", SOURCES / "kernel/mock-accel", folder / "built")
            modules = folder / "opt/lib/modules" / release
            modules.mkdir(parents=True)
            shutil.copy(folder / "built/mock-accel.ko", modules)
            subprocess.run(["depmod", "-b", folder / "opt", release], check=True, stderr=subprocess.DEVNULL)
            output(SOURCES / "tools/image", folder / "modules.tar", "--name", "mimic.local/mimic-kernel-modules:0.1.0-" + release,
                   "--busybox", busybox(), "--tree", "%s=/opt" % (folder / "opt"), "--no-certificates")
            root = folder / "root"
            self.unpack(folder / "modules.tar", root)
            # As KMM's init container "image-extractor" does it.
            script = "mkdir -p /tmp/opt/lib/modules; cp -R /opt/lib/modules/%s /tmp/opt/lib/modules" % release
            subprocess.run(["chroot", root, "/bin/sh", "-c", script], check=True)
            copied = root / "tmp/opt/lib/modules" / release
            self.assertEqual(output("modinfo", "-F", "vermagic", copied / "mock-accel.ko").split()[0], release)
            self.assertIn("mock-accel.ko:", (copied / "modules.dep").read_text())

    @staticmethod
    def unpack(image, root):
        with tempfile.TemporaryDirectory() as layout:
            subprocess.run(["tar", "-xf", image, "-C", layout], check=True)
            layer = max(pathlib.Path(layout, "blobs/sha256").iterdir(), key=lambda file: file.stat().st_size)
            root.mkdir()
            subprocess.run(["tar", "-xf", layer, "-C", root], check=True)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("SKIP: an image is looked into by chroot, which needs root")
        sys.exit(77)
    unittest.main()
