# SPDX-License-Identifier: Apache-2.0
"""A driver author's loop: a module is edited, built and tried in a guest through a shared folder, twice; the same with a
kernel of one's own, given by its path with its modules and hooks; and what is refused of the host's files. The seconds
of the loops are printed and not judged."""
import os
import pathlib
import subprocess
import time

from guest import TREE, check, equal

SOURCE = """// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
static int __init tried_init(void) { pr_info("tried: %d\\n", ANSWER); return 0; }
static void __exit tried_exit(void) { }
module_init(tried_init);
module_exit(tried_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("what an author edits");
"""
FILE = """version: 1
machine:
  name: author
  share:
    - {host: work, guest: /src}
    - {host: "kept, safe", guest: /kept, readonly: true}
  devices:
    - {name: gpu0, model: mock-accel}
"""
OWN = """version: 1
machine:
  name: own
  kernel: ./vmlinuz
  modules: [./modules, ./work]
  initrd: [./hook.sh, ./more.cpio.gz]
  share:
    - {host: work, guest: /src, readonly: true}
  devices:
    - {name: gpu0, model: mock-accel}
"""


class Work:
    """The folder of the topology files, with the author's module in it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.module = self.folder / "work"
        found = subprocess.run([str(TREE / "tools/debs"), "kernel", "6.1"], stdout=subprocess.PIPE, text=True, check=True)
        self.kernel = pathlib.Path(found.stdout.strip())

    def fill(self):
        self.module.mkdir()
        (self.folder / "kept, safe").mkdir()
        (self.folder / "kept, safe" / "file").write_text("kept\n")
        (self.module / "Makefile").write_text("obj-m := tried.o\n")
        (self.folder / "vmlinuz").symlink_to((self.kernel / "vmlinuz").resolve())
        (self.folder / "modules").symlink_to((self.kernel / "modules").resolve())
        (self.folder / "author.yaml").write_text(FILE)
        (self.folder / "own.yaml").write_text(OWN)
        (self.folder / "hook.sh").write_text(
            "#!/bin/sh\n[ -e /sys/module/virtio_console ] || echo none >/root/loaded-before\necho '<1>hook ran' >/dev/kmsg\n")
        (self.folder / "extra").mkdir()
        (self.folder / "extra" / "from-archive").write_text("archive\n")
        subprocess.run("cd extra && find . -mindepth 1 | cpio -o -H newc --quiet | gzip >../more.cpio.gz", shell=True,
                       cwd=self.folder, check=True)

    def edit_and_build(self, answer):
        (self.module / "tried.c").write_text(SOURCE.replace("ANSWER", str(answer)))
        arguments = (self.kernel / "make-args").read_text().split("\n")
        build = (self.kernel / "build").resolve()
        clean = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "CFLAGS", "ARCH")}
        done = subprocess.run(["make", "-s", "-C", str(build), f"M={self.module}", *filter(None, arguments), "modules"],
                              env=clean, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        check(done.returncode == 0, f"the module does not build: {done.stdout}")


def loop_in_a_running_machine(vm, work):
    """Edit, build, insmod through the share: the new effect shows each time."""
    for answer in (41, 42):
        start = time.monotonic()
        work.edit_and_build(answer)
        said = vm.shell("author", "insmod /src/tried.ko && dmesg | tail -n 5; rmmod tried")
        print(f"edit, build, insmod in a running machine: {time.monotonic() - start:.1f} s", flush=True)
        check(f"tried: {answer}" in said, f"expected 'tried: {answer}' of {said}")


def shares_keep_their_rights(vm, work):
    vm.shell("author", "echo from-guest >/src/written")
    equal("what the guest wrote", "from-guest\n", (work.module / "written").read_text())
    equal("a file of the host", "kept", vm.shell("author", "cat /kept/file"))
    # QEMU refuses, whatever the guest mounts.
    done = vm.exec("author", "sh", "-c", "mount -o remount,rw /kept; echo x >/kept/new || echo x >>/kept/file")
    check(done.status != 0, f"a read-only share was written to: {done}")
    equal("files of it", ["file"], [path.name for path in (work.folder / "kept, safe").iterdir()])
    equal("its content", "kept\n", (work.folder / "kept, safe" / "file").read_text())
    (work.module / "link").symlink_to("/etc/hostname")
    equal("a link", "/etc/hostname", vm.shell("author", "readlink /src/link"))
    leaves = vm.exec("author", "cat", "/src/link")
    check(leaves.status != 0 or leaves.out != pathlib.Path("/etc/hostname").read_text(),
          "a link in a share led to a file of the host")


def own_kernel_boots(vm, work):
    """The kernel by its path; the module of `modules` is loaded; the loop with a boot in it."""
    start = time.monotonic()
    work.edit_and_build(43)
    up = vm.run("up", str(work.folder / "own.yaml"))
    check(up.status == 0, f"up with a kernel of one's own: {up}")
    said = vm.shell("own", "dmesg | grep tried:")
    print(f"edit, build, boot of one's own kernel, try: {time.monotonic() - start:.1f} s", flush=True)
    check("tried: 43" in said, f"the module was not loaded: {said}")
    check("no driver mock-accel" in up.err, f"up does not say what is not verified: {up}")
    equal("release", (work.kernel / "release").read_text().strip(), vm.shell("own", "uname -r"))
    equal("hook", "none", vm.shell("own", "cat /root/loaded-before"))
    equal("archive", "archive", vm.shell("own", "cat /from-archive"))
    vm.shell("own", "modprobe dummy && [ -d /sys/module/dummy ] && ! touch /src/x")
    verdict = vm.verify("own")
    check(any("gpu0" in line for line in verdict["unverified"]), f"nothing is called unverified: {verdict}")
    table = vm.run("verify", "own")
    check("not verified: gpu0" in table.out, f"table: {table}")
    # The driver that the kernel came without is compared once it is there.
    subprocess.run([str(TREE / "tools/debs"), "module", "6.1", str(TREE / "kernel/mock-accel"), str(work.module)],
                   stdout=subprocess.DEVNULL, check=True)
    vm.shell("own", "insmod /src/mock-accel.ko")
    equal("unverified", [], vm.verify("own")["unverified"])
    down = vm.run("down", "own")
    check(down.status == 0, f"down: {down}")
    left = [path.name for path in (pathlib.Path(vm.environment["XDG_STATE_HOME"]) / "mimic/own").iterdir()
            if path.name in ("vmlinux", "initrd")]
    equal("files that were made for the machine", [], left)


def what_is_refused(vm, work):
    """Files that are none of what they are called: file, line, what was expected; nothing starts."""
    whole = (work.folder / "vmlinuz").read_bytes()
    (work.folder / "text").write_text("CONFIG_PCI=y\n")
    (work.folder / "short").write_bytes(whole[:len(whole) // 2])
    (work.folder / "arm64").write_bytes(b"MZ" + bytes(54) + b"ARM\x64" + bytes(8192))
    other = work.folder / "other"
    other.mkdir()
    (other / "tried.ko").write_bytes((work.module / "tried.ko").read_bytes().replace(b"vermagic=6", b"vermagic=5"))
    base = OWN.replace("name: own", "name: refused")
    for text, line, reason in (
            (base.replace("./vmlinuz", "./text"), 4, "it is a text file; expected a kernel for x86_64"),
            (base.replace("./vmlinuz", "./short"), 4, "the bzImage is cut short"),
            (base.replace("./vmlinuz", "./arm64"), 4, "an Image for arm64"),
            (base.replace("./vmlinuz", "./none"), 4, "No such file or directory"),
            (base.replace("./work]", "./other]"), 5, "was built for Linux 5"),
            (base.replace("./work]", "./extra]"), 5, "neither modules.dep nor a .ko file"),
            (base.replace("./more.cpio.gz", "./text"), 6, "neither a cpio archive"),
            (base.replace("./hook.sh", "/etc/hostname"), 6, "--allow-shares"),
            (base.replace("host: work", "host: none"), 8, "expected a folder to share"),
            (base.replace("host: work", "host: .."), 8, "--allow-shares"),
            (base.replace("host: work", "host: /proc"), 8, "what the host's kernel shows of itself"),
            (base.replace("host: work", "host: vmlinuz"), 8, "is no folder")):
        path = work.folder / "refused.yaml"
        path.write_text(text)
        done = vm.run("up", str(path))
        check(done.status == 1 and reason in done.err and f"{path}:{line}:" in done.err,
              f"expected {path}:{line} and {reason!r}: {done}")
    for arguments, reason in ((("--kernel", "bzImage"), "with a '/' in it (./bzImage)"),
                              (("--kernel", "./text"), "No such file"),
                              (("--share", "work"), "expected HOST:GUEST"),
                              (("--share", f"{work.folder}:/usr"), "which its own system needs")):
        done = vm.run("up", str(work.folder / "own.yaml"), *arguments)
        check(done.status != 0 and reason in done.err, f"{arguments}: expected {reason!r}: {done}")


def make_author(_mimic, folder):
    work = Work(folder)
    work.fill()
    return str(work.folder / "author.yaml")


def author(vm):
    work = Work(pathlib.Path(vm.example).parent)
    loop_in_a_running_machine(vm, work)
    shares_keep_their_rights(vm, work)
    vm.verify("author")
    own_kernel_boots(vm, work)
    what_is_refused(vm, work)
    vm.check_dmesg("author")


SCENARIOS = {"own-kernel": (author, make_author)}
