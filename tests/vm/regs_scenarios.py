# SPDX-License-Identifier: Apache-2.0
"""mimic regs and mimic top against a booted guest: the same numbers as the guest reads, changes as it makes them."""
import contextlib
import json
import re
import subprocess
import threading

from fabric_scenarios import CLASS, PCI, bench_verifies
from guest import check, equal

MACHINE = "faults"
GPU = "10000:01:00.0"   # gpu0, below port gpu0.port at 10000:00:00.0
PORT = "10000:00:00.0"


def registers(vm, device, *options):
    done = vm.run("regs", MACHINE, device, "--json", *options)
    check(done.status == 0, f"regs {device}: {done}")
    return json.loads(done.out)


def find(items, name):
    for item in items:
        if item["name"] == name:
            return item
    check(False, f"no {name} in {[item['name'] for item in items]}")
    return None


def section(answer, name):
    return find(answer["config"]["sections"], name)["registers"]


def guest_bytes(vm, bdf):
    """Configuration space as the guest reads it."""
    text = vm.shell(MACHINE, f"od -An -v -tx1 {PCI}/{bdf}/config")
    return "".join(text.split())


def driver_is_seen(vm):
    done = vm.run("regs", MACHINE, "gpu0", "--config")
    check(done.status == 0 and "BUS_MASTER+" in done.out, f"the driver has bound: {done}")
    answer = registers(vm, "gpu0")
    command = find(section(answer, "Header"), "COMMAND")
    equal("BUS_MASTER", "0x1", find(command["fields"], "BUS_MASTER")["value"])
    equal("MSI-X", "Enabled", find(find(section(answer, "MSI-X"), "MSIX_CONTROL")["fields"], "ENABLE")["text"])
    bars = {bar["bar"]: bar for bar in answer["bars"]}
    resource = vm.shell(MACHINE, f"sed -n 1p {PCI}/{GPU}/resource").split()
    check(bars[0]["address"] is not None, f"BAR 0 has no address: {resource}")
    equal("size of BAR 0", int(resource[1], 16) - int(resource[0], 16) + 1, bars[0]["size"])
    # Behind a fabric the table in the BAR is the real one.
    table = find(bars[0]["maps"], "MSI-X table")["registers"]
    check(int(find(table, "VECTOR[0].MESSAGE_ADDRESS")["value"], 16) != 0, "vector 0 has no address")


def numbers_are_those_of_the_guest(vm):
    for device, bdf in (("gpu0", GPU), ("gpu0.port", PORT)):
        equal(f"configuration space of {device}", guest_bytes(vm, bdf), registers(vm, device, "--config")["config"]["hex"])
    done = vm.run("regs", MACHINE, "gpu0", "--hex")
    equal("lines of --hex", 256, len(done.out.splitlines()))
    answer = registers(vm, "gpu0")
    express = section(answer, "PCI Express")
    for name, setpci in (("DEVCTL", "CAP_EXP+08.w"), ("LNKSTA", "CAP_EXP+12.w"), ("DEVCTL2", "CAP_EXP+28.w")):
        equal(name, int(vm.shell(MACHINE, f"setpci -s {GPU} {setpci}"), 16), int(find(express, name)["value"], 16))
    errors = section(answer, "Advanced Error Reporting")
    equal("UNCORRECTABLE_SEVERITY", int(vm.shell(MACHINE, f"setpci -s {GPU} ECAP_AER+0c.l"), 16),
          int(find(errors, "UNCORRECTABLE_SEVERITY")["value"], 16))


@contextlib.contextmanager
def watching(vm, device):
    """Lines that `mimic regs --watch` prints, as they come; a function that waits for one."""
    watcher = subprocess.Popen(
        [vm.mimic, "regs", MACHINE, device, "--watch", "50ms"], env=vm.environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seen = []
    came = threading.Condition()

    def follow():
        for line in watcher.stdout:
            with came:
                seen.append(line.rstrip("\n"))
                came.notify_all()

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()

    def wait(pattern):
        with came:
            found = came.wait_for(lambda: any(re.search(pattern, line) for line in seen), timeout=60)
        check(found, f"no line matches {pattern}: {seen}")

    try:
        yield wait
    finally:
        watcher.terminate()
        status = watcher.wait(timeout=60)
        reader.join(timeout=60)
        error = watcher.stderr.read()
        watcher.stdout.close()
        watcher.stderr.close()
    equal(f"status of --watch ({error})", 0, status)


def changes_are_told(vm):
    """What the driver and setpci write is a line each, with a time."""
    vm.shell(MACHINE, f"echo 0 >{CLASS}/mock0/status")
    with watching(vm, "gpu0") as wait:
        # Its first look may come late: the guest goes on writing until a change is seen.
        vm.shell(MACHINE, f"(while :; do for i in 1 2; do echo $((i * 16)) >{CLASS}/mock0/status; usleep 200000; done; done)"
                          " >/dev/null 2>&1 & echo $! >/tmp/writer")
        wait(r"^\d\d:\d\d:\d\d\.\d{3} BAR0\.STATUS 0x10 -> 0x20$")
        vm.shell(MACHINE, "kill $(cat /tmp/writer)")
        was = int(vm.shell(MACHINE, f"setpci -s {GPU} CAP_EXP+08.w"), 16)
        vm.shell(MACHINE, f"setpci -s {GPU} CAP_EXP+08.w={was ^ 0x8:04x}")
        wait(r" DEVCTL\.UNSUPPORTED_REQUEST [01] -> [01]$")
        vm.shell(MACHINE, f"setpci -s {GPU} CAP_EXP+08.w={was:04x}")


def looking_disturbs_nothing(vm):
    before = guest_bytes(vm, GPU)
    for _ in range(5):
        registers(vm, "gpu0")
    equal("configuration space", before, guest_bytes(vm, GPU))
    bench_verifies(vm, MACHINE, "mock0")


def top_counts(vm):
    """Accesses, interrupts and DMA while the guest's benchmark runs; none of a device that nobody uses."""
    vm.shell(MACHINE, "(while :; do mock-accel-bench --device mock0 --verify --json; done) >/dev/null 2>&1 & "
                      "echo $! >/tmp/bench")
    try:
        for _ in range(10):
            done = vm.run("top", MACHINE, "--once", "--json", "--interval", "3")
            check(done.status == 0, f"top: {done}")
            machine = json.loads(done.out)["machines"][0]
            gpu = find(machine["devices"], "gpu0")
            if all((gpu[f"{what}_per_second"] or 0) > 0 for what in ("accesses", "interrupts", "dma_bytes")):
                break
    finally:
        vm.shell(MACHINE, "kill $(cat /tmp/bench); killall mock-accel-bench 2>/dev/null; true")
    for what in ("accesses", "interrupts", "dma_bytes"):
        check((gpu[f"{what}_per_second"] or 0) > 0, f"no {what}: {gpu}")
        check(machine[f"{what}_per_second"] > 0, f"the machine has no {what}: {machine}")
    table = vm.run("top", MACHINE, "--once", "--interval", "0.5")
    check(table.status == 0 and re.search(r"(?m)^  gpu0 ", table.out), f"table: {table}")


def instruments_regs(vm):
    vm.verify(MACHINE)
    driver_is_seen(vm)
    numbers_are_those_of_the_guest(vm)
    changes_are_told(vm)
    looking_disturbs_nothing(vm)
    top_counts(vm)
    vm.check_dmesg(MACHINE)


SCENARIOS = {
    "instruments-regs": (instruments_regs, "../tests/vm/faults.yaml"),
}
