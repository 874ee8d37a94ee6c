#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots an image that UEFI alone boots, by `image:` with `firmware: uefi`: GRUB from an EFI file system starts Mimic's own
guest, so that no distribution needs to be installed for it (make_uefi_image.sh). Checks that the guest was started by UEFI,
that all agrees with the plan, and that nothing of the firmware's variables stays."""
import argparse
import pathlib
import subprocess
import sys
import tempfile

from guest import TREE, Failure, Topology, check, equal
from passed import Passed

HERE = pathlib.Path(__file__).resolve().parent
FILE = """version: 1
machine:
  name: uefi
  image: uefi.qcow2
  firmware: uefi
  share:
    - {host: files, guest: /src, readonly: true}
  devices:
    - {name: gpu0, model: mock-accel}
"""


def make_files(mimic, folder):
    (folder / "files").mkdir()
    (folder / "uefi.yaml").write_text(FILE)
    prepared = folder / "prepared"
    prepared.mkdir()
    subprocess.run([mimic, "prepare", str(prepared), "--kernel", "6.1"], check=True)
    kernel = subprocess.run([str(TREE / "tools/debs"), "kernel", "6.1"], stdout=subprocess.PIPE, text=True, check=True)
    made = subprocess.run([str(HERE / "make_uefi_image.sh"), f"{kernel.stdout.strip()}/vmlinuz", str(prepared / "initrd-6.1"),
                           str(folder / "uefi.qcow2")], check=False)
    check(made.returncode == 0, "the image was not made")


def without_an_agent(vm, folder):
    """What nobody answers in, as in an image without qemu-guest-agent and sshd: the file's machine, what is missing, the mend."""
    done = vm.run("up", "--timeout", "5", str(folder / "uefi.yaml"))
    check(done.status == 1, f"mimic up: {done}")
    for text in ("machine uefi: the guest did not finish booting in 5 s", "neither qemu-guest-agent nor sshd answers",
                 "more time: --timeout SECONDS"):
        check(text in done.err, f"mimic up does not say {text!r}: {done}")


def loses_its_agent(vm):
    """Nor is its agent there later: the command says what it needs, and what is left to look at."""
    vm.exec("uefi", "sh", "-c", 'mv "$(command -v qemu-ga)" /root && killall qemu-ga')  # init cannot start it again
    done = vm.run("verify", "uefi")
    check(done.status == 2, f"mimic verify: {done}")
    for text in ("is qemu-guest-agent in the image, is cloud-init done?", "mimic logs uefi", "use ssh with the key "):
        check(text in done.err, f"mimic verify does not say {text!r}: {done}")


def boots(vm, folder):
    up = vm.run("up", "--timeout", "500", str(folder / "uefi.yaml"), timeout=560)
    check(up.status == 0, f"mimic up: {up}")
    vm.shell("uefi", "test -d /sys/firmware/efi")
    equal("functions", 1, len(vm.verify("uefi")["functions"]))
    # What cloud-init would do, which this guest has not.
    vm.shell("uefi", "modprobe -a 9pnet_virtio 9p; mkdir /src && mount -t 9p -o trans=virtio,version=9p2000.L share0 /src")
    # Its variables go with the machine. Nothing answers the power button, and nobody is to wait for that.
    variables = pathlib.Path(vm.environment["XDG_STATE_HOME"]) / "mimic/uefi/uefi-variables.fd"
    check(variables.exists(), f"no {variables}")
    loses_its_agent(vm)
    vm.exec("uefi", "poweroff", "-f")
    vm.run("down", "uefi")
    check(not variables.exists(), f"{variables} was left")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mimic", required=True, help="the program under test")
    options = parser.parse_args()
    passed = Passed(options.mimic, "6.1", "uefi", (HERE / "make_uefi_image.sh").read_text())
    if passed.when():
        print(f"CACHED: passed with the same inputs at {passed.when()}")
        return 0
    vm = Topology(options.mimic, "", "6.1")
    failed = True
    try:
        with tempfile.TemporaryDirectory(prefix="muefi-") as folder:
            make_files(vm.mimic, pathlib.Path(folder))
            without_an_agent(vm, pathlib.Path(folder))
            boots(vm, pathlib.Path(folder))
            failed = False
    except (Failure, subprocess.SubprocessError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        vm.close(show_logs=failed)
    passed.note()
    print("an image for UEFI boots: all checks hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
