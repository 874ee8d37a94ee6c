# SPDX-License-Identifier: Apache-2.0
"""Guests of another architecture: what riscv64 machines show, and that their devices work."""
import pathlib
import subprocess
import tempfile

from fabric_scenarios import bench_verifies
from guest import KERNEL_COMPLAINTS, TREE, check, equal
from stream_scenarios import has_folder_and_environment

CLASS = "/sys/class/mock-accel"
OWN = """version: 1
machine:
  name: own
  arch: riscv64
  memory: 256M
  devices: [{name: gpu0, model: mock-accel, class: 0x120000}]
"""


def interrupts(vm, machine):
    """The lines of /proc/interrupts that are those of PCI functions."""
    return [line for line in vm.shell(machine, "cat /proc/interrupts").splitlines() if "PCI-MSI" in line]


def own_kernel_boots(vm):
    """A kernel by its path, its modules and a folder of the host. No driver has enabled the device whose registers are compared."""
    kernel = pathlib.Path(subprocess.run([str(TREE / "tools/debs"), "kernel", "6.12-riscv64"], stdout=subprocess.PIPE, text=True,
                                         check=True).stdout.strip())
    with tempfile.TemporaryDirectory(prefix="mimic-own-") as folder:
        file = pathlib.Path(folder) / "own.yaml"
        file.write_text(OWN)
        done = vm.run("run", str(file), "--kernel", str(kernel / "vmlinuz"), "--modules", str(kernel / "modules"),
                      "--share", f"{folder}:/src:ro", "--verify", "--", "sh", "-c", "uname -m; ls /src")
    equal("a kernel of one's own", (0, "riscv64\nown.yaml\n"), (done.status, done.out))
    check("no driver mock-accel" in done.err, f"it does not say what is not verified: {done}")


def riscv64(vm):
    for machine, functions in (("msi", ["0000:01:00.0", "0000:01:00.1", "0000:02:00.0"]), ("intx", ["0000:01:00.0"])):
        equal("architecture", "riscv64", vm.shell(machine, "uname -m"))
        verdict = vm.verify(machine)
        # The VF is there once the driver is told so.
        equal("functions", functions, [f["bdf"] for f in verdict["functions"]])
    equal("distances of the nodes", ["10 17", "17 10"],
          vm.shell("msi", "cat /sys/devices/system/node/node*/distance").splitlines())
    vm.shell("msi", f"echo 1 >{CLASS}/mock0/sriov_numvfs")
    vm.verify("msi")
    # DMA both ways, compared by the guest: of a PF, a VF, and a function with device memory.
    for name in ("mock-accel0", "mock-accel0_vf0", "mock-accel1"):
        bench_verifies(vm, "msi", f"/dev/{name}")
    check(interrupts(vm, "msi"), "no function has an MSI")
    equal("MSIs of a machine without", [], interrupts(vm, "intx"))
    equal("interrupts of the device there", "has_irq=0",
          vm.shell("intx", "mock-accel-ctl info /dev/mock-accel0 | grep has_irq"))
    # DMA needs no interrupt: the bench polls.
    bench_verifies(vm, "intx", "/dev/mock-accel0")
    equal("output of run", "riscv64 'as sh'\n", vm.run_output("intx"))
    for machine in ("msi", "intx"):
        done = vm.run("cp", f"{machine}:/etc/inittab", "/dev/null")
        check(done.status == 0, f"cp: {done}")
    has_folder_and_environment(vm, "msi")
    vm.check_dmesg("msi")
    # mock-accel says once what it has to do without, and that is all.
    said = [line for line in vm.shell("intx", "dmesg").splitlines() if KERNEL_COMPLAINTS.search(line)]
    check(len(said) == 1 and "No MSI-X vector" in said[0], f"kernel complaints: {said}")
    own_kernel_boots(vm)


SCENARIOS = {
    "riscv64": (riscv64, "../tests/vm/riscv64.yaml"),
}
