# SPDX-License-Identifier: Apache-2.0
"""What the interface of the mock-accel driver promises to programs of any age, and of poll() and close()."""
import pathlib
import subprocess
import tempfile

from guest import TREE, check, equal

CLASS = "/sys/class/mock-accel"
DRIVER = "/sys/bus/pci/drivers/mock-accel"
PROGRAM = "/tmp/mock_accel_abi"


def put_program(vm, machine):
    """Builds tests/vm/mock_accel_abi.c and copies it into the guest."""
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "mock_accel_abi"
        subprocess.run(["cc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-I", TREE / "kernel/mock-accel",
                        "-o", program, TREE / "tests/vm/mock_accel_abi.c"], check=True)
        copied = vm.run("cp", str(program), f"{machine}:{PROGRAM}")
        check(copied.status == 0, f"cp: {copied}")


def holds(vm, machine, what, device="/dev/mock-accel0"):
    done = vm.exec(machine, PROGRAM, device, what)
    check(done.status == 0 and "checks=" in done.out, f"interface, {what} of {device}: {done}")
    return done.out


def interface_holds(vm, machine, bdf, device):
    """Structures of each size; poll() with and without interrupts; queues that are closed while they are stuck. `device`
    is the name of the function in the topology. Afterwards it is as it was."""
    put_program(vm, machine)
    holds(vm, machine, "sizes")
    vm.inject(machine, device, "dma-slow", "delay=300ms", "count=16")
    holds(vm, machine, "poll")
    vm.inject(machine, device, "clear")
    vm.inject(machine, device, "doorbell-stuck", "count=30")
    print(holds(vm, machine, "stuck").strip().replace("\n", ", "))
    vm.inject(machine, device, "clear")
    # The PCI core gives no MSI to a function whose msi_bus is 0.
    rebind = f"echo {bdf} >{DRIVER}/unbind; echo %d >/sys/bus/pci/devices/{bdf}/msi_bus; echo {bdf} >{DRIVER}/bind"
    vm.check_dmesg(machine)
    # The only complaint that is wanted is taken out of the log.
    vm.shell(machine, f"{rebind % 0}; dmesg -c | grep -q 'No MSI-X vector'")
    vm.inject(machine, device, "dma-slow", "delay=300ms", "count=16")
    holds(vm, machine, "poll-no-irq")
    vm.inject(machine, device, "clear")
    vm.shell(machine, rebind % 1)
    equal("interrupt again", "has_irq=1", vm.shell(machine, "mock-accel-ctl info /dev/mock-accel0 | grep has_irq"))
