#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots a Debian cloud image by `image:` and checks seed, agent, ssh, verify, clean shutdown, and that the image stays
as it was. Makes the image first (make_image.sh), once; needs root for that and the network."""
import argparse
import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from guest import TREE, Failure, Topology, check, equal

HERE = pathlib.Path(__file__).resolve().parent
SKIP = 77
NODE = "cloudy"
FILE = f"""version: 1
machine:
  name: {NODE}
  memory: 1G
  image: cloud.qcow2
  devices:
    - name: gpu0
      model: mock-accel
      vfs: {{count: 2}}
"""
# A qcow2 header of version 3 whose backing file's name, of 11 bytes, stands at 512.
BACKED = b"QFI\xfb\0\0\0\3" + (512).to_bytes(8, "big") + (11).to_bytes(4, "big") + bytes(492) + b"/etc/shadow"


class ImageTopology(Topology):
    """A topology whose file and image lie in a folder of the test; `up` is given time for a cloud image."""

    def __init__(self, mimic, folder):
        super().__init__(mimic, "", "6.1")
        self.file = folder / "cloud.yaml"

    def __enter__(self):
        try:
            self.up = self.run("up", "--timeout", "900", str(self.file), timeout=1000)
            check(self.up.status == 0, f"mimic up failed: {self.up}")
            return self
        except BaseException:
            self.close(show_logs=True)
            raise


def output(*command):
    """Stdout of a tool of the tree; SystemExit if it skips."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == SKIP:
        print(f"SKIP: {command[0]} cannot do its work here", flush=True)
        sys.exit(SKIP)
    check(done.returncode == 0, f"{command} failed")
    return done.stdout.strip()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused(vm, folder):
    """Files that cannot boot are refused before anything starts, with what to do."""
    for name, content, reason in (("missing", None, "does not exist (a relative 'image' starts at"),
                                  ("text", b"no disk", "is no qcow2 file"),
                                  ("evil", BACKED, "names another file as its base")):
        if content is not None:
            (folder / name).write_bytes(content)
        (folder / "bad.yaml").write_text(FILE.replace("cloud.qcow2", name).replace(NODE, "bad"))
        done = vm.run("up", str(folder / "bad.yaml"))
        check(done.status == 1 and reason in done.err and str(folder / name) in done.err, f"image {name}: {done}")


def seed_is_applied(vm):
    done = vm.exec(NODE, "cloud-init", "status", "--wait", "--long")
    check("status: done" in done.out, f"cloud-init: {done}")
    check("DataSourceNoCloud" in vm.shell(NODE, "cat /run/cloud-init/result.json"), "another data source was used")
    equal("host name", NODE, vm.shell(NODE, "hostname"))
    equal("failed units", "", vm.shell(NODE, "systemctl --failed --no-legend --plain"))


def ssh_lets_in(vm):
    command = re.search(r"^  ssh: (ssh .*) root@127.0.0.1$", vm.up.out, re.MULTILINE)
    check(command, f"mimic up names no ssh command: {vm.up}")
    if shutil.which("ssh") is None:
        print("note: no ssh client here; ssh was not tried")
        return
    for user in ("root", "debian"):
        done = subprocess.run([*command[1].split(), "-o", "BatchMode=yes", f"{user}@127.0.0.1", "id -un; uname -n"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
        equal(f"ssh as {user} ({done.stderr})", [user, NODE], done.stdout.split())


def verify_tells_then_agrees(vm, folder):
    """First it says what the image lacks; then, with driver and tool copied in, all agrees."""
    done = vm.run("verify", NODE)
    equal("verify without a driver", 1, done.status)
    for text in ("PCI driver: expected mock-accel, got nothing", "mock-accel-ctl: not found"):
        check(text in done.out, f"verify does not say {text!r}: {done}")
    check("docs/verify.md" in done.err, f"verify does not say where to read on: {done}")

    output("make", "-s", "-C", str(TREE / "guest/mock-accel-ctl"), f"OUT={folder}/ctl")
    output(str(TREE / "tools/debs"), "module", "6.1", str(TREE / "kernel/mock-accel"), f"{folder}/module")
    for source, target in ((f"{folder}/ctl/mock-accel-ctl", "/usr/local/bin/"),
                           (f"{folder}/module/mock-accel.ko", "/root/")):
        done = vm.run("cp", source, f"{NODE}:{target}")
        check(done.status == 0, f"cp {source}: {done}")
    done = vm.exec(NODE, "insmod", "/root/mock-accel.ko")
    if "Invalid module format" in done.err:
        print("note: the image's kernel is not the one of tools/debs; the driver was not tried")
        return
    check(done.status == 0, f"insmod: {done}")
    equal("functions", 3, len(vm.verify(NODE)["functions"]))
    vm.shell(NODE, "echo 2 >/sys/class/mock-accel/mock0/sriov_numvfs")
    equal("visible", 3, sum(f["visible"] for f in vm.verify(NODE)["functions"]))


def shuts_down(vm):
    """`mimic down` presses the power button: the guest stops its services before QEMU ends."""
    state = pathlib.Path(vm.environment["XDG_STATE_HOME"]) / "mimic" / NODE
    check((state / "disk.qcow2").exists(), "the overlay is not where it should be")
    done = vm.run("down", NODE)
    check(done.status == 0, f"mimic down: {done}")
    console = (state / "console.log").read_text(errors="replace")
    check("reboot: Power down" in console, f"the guest did not power off; its last words: {console[-1500:]}")
    equal("overlay", False, (state / "disk.qcow2").exists())


def test(mimic, folder):
    image = pathlib.Path(output(str(HERE / "make_image.sh")))
    (folder / "cloud.qcow2").symlink_to(image)
    (folder / "cloud.yaml").write_text(FILE)
    before = digest(image)
    with ImageTopology(mimic, folder) as vm:
        refused(vm, folder)
        check(vm.shell(NODE, "uname -a").startswith(f"Linux {NODE} "), "uname")
        listed = json.loads(vm.run("ps", "--json").out)["machines"]
        check(listed[0]["ssh_port"] > 0 and listed[0]["kernel"] == "cloud.qcow2", f"ps: {listed}")
        seed_is_applied(vm)
        ssh_lets_in(vm)
        verify_tells_then_agrees(vm, folder)
        shuts_down(vm)
    equal("SHA-256 of the image", before, digest(image))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mimic", required=True, help="the program under test")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="mimg-") as folder:
            test(options.mimic, pathlib.Path(folder))
    except (Failure, subprocess.TimeoutExpired) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    print("a cloud image boots: all checks hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
