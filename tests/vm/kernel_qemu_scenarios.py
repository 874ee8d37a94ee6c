# SPDX-License-Identifier: Apache-2.0
"""A QEMU in the guest opens a function of fake-sriov-vgpu by vfio-pci, as KubeVirt's virt-launcher would have it. The
QEMU is the one that runs the guest, copied into it with its libraries."""
import pathlib
import subprocess
import tarfile
import tempfile

from guest import check, equal
from kernel_scenarios import MACHINE, PCI, PF, SETUP, no_splats
from passed import cache_root

IOMMU = "/sys/class/iommu/fake-sriov-vgpu"
# Where the copy is in the guest, and how it starts: a PC that stands still before its first instruction.
QEMU = ("/tmp/q/ld --library-path /tmp/q /tmp/q/qemu -L /tmp/q -machine q35 -accel tcg -m 64 -nodefaults -display none "
        "-no-user-config -S -monitor stdio")


def put_qemu(vm):
    """Copies QEMU, its loader, libraries and firmware into the guest's /tmp/q."""
    prefix = (cache_root() / "qemu").resolve()
    loader = prefix / "usr/lib64/ld-linux-x86-64.so.2"
    path = f"{prefix}/usr/lib/x86_64-linux-gnu:{prefix}/usr/lib"
    program = prefix / "usr/bin/qemu-system-x86_64"
    listed = subprocess.run([loader, "--library-path", path, "--list", program], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    files = {"ld": loader, "qemu": program}
    for line in listed.splitlines():
        if " => " in line:
            library = pathlib.Path(line.split(" => ")[1].split(" (")[0])
            files[line.split(" => ")[0].strip()] = library
    for firmware in ("bios-256k.bin", "kvmvapic.bin"):
        files[firmware] = next((prefix / "usr/share").rglob(firmware))
    with tempfile.TemporaryDirectory() as folder:
        archive = pathlib.Path(folder) / "q.tar.gz"
        with tarfile.open(archive, "w:gz", compresslevel=1, dereference=True) as tar:
            for name, file in files.items():
                tar.add(file.resolve(), arcname=f"q/{name}")
        copied = vm.run("cp", str(archive), f"{MACHINE}:/tmp/q.tar.gz")
        check(copied.status == 0, f"cp: {copied}")
    vm.shell(MACHINE, "cd /tmp && tar -xzf q.tar.gz && rm q.tar.gz")


def qemu_opens(vm):
    put_qemu(vm)
    vm.shell(MACHINE, f"{SETUP} setup; echo 1 >{PCI}/{PF}/sriov_numvfs")
    address = "0001:01:00.0"
    refused = vm.exec(MACHINE, "sh", "-c", f"echo quit | {QEMU} -device vfio-pci,host={address}")
    check(refused.status != 0 and "vfio" in refused.err, f"QEMU with a function that vfio-pci does not have: {refused}")
    vm.shell(MACHINE, f"{SETUP} vfio {address}")
    calls = int(vm.shell(MACHINE, f"cat {IOMMU}/map_calls"))
    seen = vm.shell(MACHINE, f"(echo info pci; echo info qtree; echo quit) | {QEMU} -device vfio-pci,host={address},id=gpu 2>/tmp/q.err"
                             " || { cat /tmp/q.err >&2; exit 1; }")
    check("PCI device 10de:1eb8" in seen and f'host = "{address}"' in seen, f"QEMU's monitor: {seen}")
    check(int(vm.shell(MACHINE, f"cat {IOMMU}/map_calls")) > calls, "QEMU mapped none of its guest's memory")
    equal("pages mapped after QEMU", "0", vm.shell(MACHINE, f"cat {IOMMU}/mapped_pages"))
    print("QEMU said:", vm.shell(MACHINE, "cat /tmp/q.err"))
    vm.shell(MACHINE, f"{SETUP} cleanup")


def kernel_qemu(vm):
    qemu_opens(vm)
    no_splats(vm)


SCENARIOS = {"kernel-qemu": (kernel_qemu, "../tests/vm/bare-large.yaml")}
