# SPDX-License-Identifier: Apache-2.0
"""Machines with time: lock-step: runs that are the same, byte for byte, and another seed that is not."""
import pathlib
import re

from guest import check, equal

RUNS = 3
RUN = "cat /proc/sys/kernel/random/boot_id; date; cat /proc/uptime /proc/interrupts; dmesg"


def write_file(arch, seed=42, run=RUN, devices=()):
    """A topology with one machine, `exact`, whose time is in lock-step; `devices` are lines of YAML."""
    lines = ["version: 1", "machine:", "  name: exact", f"  arch: {arch}", "  cpus: 1", "  memory: 256M",
             "  time: lock-step", f"  seed: {seed}", f'  run: "{run}"', "  devices:" if devices else "", *devices]
    return "\n".join(lines) + "\n"


def outputs(vm, machine, count):
    """What a machine's command prints in `count` boots, the first of which has been. The last boot stays."""
    found = [vm.run_output(machine)]
    while len(found) < count:
        vm.down()
        vm.up()
        found.append(vm.run_output(machine))
    return found


def first_difference(one, other):
    for number, (mine, theirs) in enumerate(zip(one.splitlines(), other.splitlines()), 1):
        if mine != theirs:
            return f"line {number}: {mine!r} and {theirs!r}"
    return f"{len(one)} and {len(other)} bytes"


def same(what, found):
    for index, other in enumerate(found[1:], 2):
        check(found[0] == other, f"{what} of run 1 and {index}: {first_difference(found[0], other)}")


def lock_step(vm):
    found = outputs(vm, "exact", RUNS)
    same("output", found)
    boot_id, date = found[0].splitlines()[:2]
    check(re.fullmatch(r"[0-9a-f-]{36}", boot_id), f"no boot_id: {boot_id}")
    check(re.search(r"Jan +1 00:0\d:\d\d UTC 2026", date), f"the time of day: {date}")
    # The guest is in reach once it is ready, whatever that does to its time.
    equal("boot_id by the agent", boot_id, vm.shell("exact", "cat /proc/sys/kernel/random/boot_id"))
    vm.check_dmesg("exact")
    path = pathlib.Path(vm.example)
    path.write_text(path.read_text().replace("seed: 42", "seed: 43"))
    vm.down()
    vm.up()
    check(vm.run_output("exact").splitlines()[0] != boot_id, "another seed gives the same boot_id")


def example_for(arch):
    def make(mimic, folder):
        path = pathlib.Path(folder) / "exact.yaml"
        path.write_text(write_file(arch))
        return str(path)

    return make


SCENARIOS = {
    "lock-step": (lock_step, example_for("x86_64")),
    "lock-step-riscv64": (lock_step, example_for("riscv64")),
}
