# SPDX-License-Identifier: Apache-2.0
"""Virtio devices driven by Linux' own virtio_pci and virtio_rng: below a root port, on a fabric, and without MSI."""
from guest import check, equal

DRIVER = "/sys/bus/virtio/drivers/virtio_rng"
RNG = "/sys/class/misc/hw_random"


def function_of(verdict, name):
    for function in verdict["functions"]:
        if function["name"] == name:
            return function["bdf"]
    return check(False, f"no function {name} in {verdict}")


def virtio_name(vm, machine, bdf):
    """virtioN of a PCI function, once its driver has it."""
    folder = f"/sys/bus/pci/devices/{bdf}"
    vm.wait_for(machine, f"[ -e {folder}/virtio*/driver ]")
    return vm.shell(machine, f"basename {folder}/virtio*")


def random_bytes(vm, machine, bdf):
    """Reads /dev/hwrng from each virtio source: numbers that differ, and the function's device has interrupted for some. Linux
    does not count interrupts of functions behind a VMD (handle_untracked_irq)."""
    on_fabric = bdf.startswith("10000:")
    device = "rng1" if on_fabric else "rng0"
    sent = vm.counters(machine, device)["interrupts"]
    name = virtio_name(vm, machine, bdf)
    sources = [one for one in vm.shell(machine, f"cat {RNG}/rng_available").split() if one.startswith("virtio_rng")]
    check(sources, "no virtio_rng is available")
    script = f"""
        set -e
        count() {{ grep -E "{name}(-input)?$" /proc/interrupts |
                   awk '{{ for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i }} END {{ print n + 0 }}'; }}
        before=$(count)
        for source in {" ".join(sources)}; do
            echo $source >{RNG}/rng_current
            dd if=/dev/hwrng of=/tmp/random bs=32 count=16 2>/dev/null
            [ "$(wc -c </tmp/random)" = 512 ]
            [ "$(hexdump -v -e '32/1 "%02x" "\\n"' /tmp/random | sort -u | wc -l)" = 16 ]
        done
        [ {int(on_fabric)} = 1 ] || [ $(count) -gt $before ]
    """
    vm.shell(machine, script)
    check(vm.counters(machine, device)["interrupts"] > sent, f"{device} has sent no interrupt")


def vectors(vm, machine, bdf):
    """Names in /proc/interrupts of the function's virtio device."""
    name = virtio_name(vm, machine, bdf)
    lines = vm.shell(machine, "cat /proc/interrupts").splitlines()
    return sorted(line.split()[-1] for line in lines if line.split()[-1].startswith(name))


def driver_comes_and_goes(vm, machine, bdf):
    """Unbind and bind of the virtio driver, of the PCI driver, and a reset of the function between them."""
    name = virtio_name(vm, machine, bdf)
    vm.shell(machine, f"echo {name} >{DRIVER}/unbind && ! [ -e {DRIVER}/{name} ] && echo {name} >{DRIVER}/bind")
    random_bytes(vm, machine, bdf)
    folder = f"/sys/bus/pci/devices/{bdf}"
    pci = "/sys/bus/pci/drivers/virtio-pci"
    vm.shell(machine, f"echo {bdf} >{pci}/unbind && ! [ -e {folder}/virtio* ]")
    vm.shell(machine, f"echo 1 >{folder}/reset && echo {bdf} >{pci}/bind")
    random_bytes(vm, machine, bdf)


def registers_show_it(vm, machine, name, entries):
    """`mimic regs` and the counters know the device while the driver has it."""
    done = vm.run("regs", machine, name)
    check(done.status == 0, f"regs: {done}")
    for word in ("DEVICE_STATUS", "QUEUE.SIZE", "DRIVER_FEATURES"):
        check(word in done.out, f"regs has no {word}: {done.out}")
    check(vm.counters(machine, name)["bar_writes"] > entries, "kicks are not counted")


def unplugs(vm, machine, bdf):
    """The device leaves its slot as a person would take it out, while a reader waits, and comes back."""
    slot = "/sys/bus/pci/slots/7"
    vm.shell(machine, f"echo 0 >{slot}/power && ! [ -e /sys/bus/pci/devices/{bdf} ]")
    vm.inject(machine, "rng1", "remove")
    equal("sources left", 1, vm.shell(machine, f"cat {RNG}/rng_available").count("virtio_rng"))
    vm.inject(machine, "rng1", "add")
    vm.wait_for(machine, f"[ -e /sys/bus/pci/devices/{bdf}/virtio*/driver ]")
    random_bytes(vm, machine, bdf)


def virtio(vm):
    machine = "virtio"
    verdict = vm.verify(machine)
    bdfs = {name: function_of(verdict, name) for name in ("rng0", "rng1")}
    for name, bdf in bdfs.items():
        check("1af4:1044" in vm.shell(machine, f"lspci -n -s {bdf}"), f"lspci does not show {name}")
        device = virtio_name(vm, machine, bdf)
        equal(f"vectors of {name}", [f"{device}-config", f"{device}-input"], vectors(vm, machine, bdf))
        random_bytes(vm, machine, bdf)
        registers_show_it(vm, machine, name, 16)
        driver_comes_and_goes(vm, machine, bdf)
    unplugs(vm, machine, bdfs["rng1"])
    vm.verify(machine)
    vm.check_dmesg(machine)


def works_by_intx(vm, machine):
    bdf = function_of(vm.verify(machine), "rng0")
    equal("vectors", [virtio_name(vm, machine, bdf)], vectors(vm, machine, bdf))
    random_bytes(vm, machine, bdf)
    driver_comes_and_goes(vm, machine, bdf)
    vm.check_dmesg(machine)


def virtio_intx(vm):
    works_by_intx(vm, "virtio")


def virtio_riscv64(vm):
    machine = "msi"
    bdf = function_of(vm.verify(machine), "rng0")
    device = virtio_name(vm, machine, bdf)
    equal("vectors", [f"{device}-config", f"{device}-input"], vectors(vm, machine, bdf))
    random_bytes(vm, machine, bdf)
    driver_comes_and_goes(vm, machine, bdf)
    vm.check_dmesg(machine)
    works_by_intx(vm, "intx")


SCENARIOS = {
    "virtio": (virtio, "../tests/vm/virtio.yaml"),
    "virtio-intx": (virtio_intx, "../tests/vm/virtio-intx.yaml"),
    "virtio-riscv64": (virtio_riscv64, "../tests/vm/virtio-riscv64.yaml"),
}
