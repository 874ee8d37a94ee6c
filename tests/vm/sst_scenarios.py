# SPDX-License-Identifier: Apache-2.0
"""Linux SST's end-to-end, stress and concurrency tests of virtio-sst in guests: over virtio-pci (vfio-user) and vhost-user, on
x86-64 and riscv64; and what lock-step promises."""
import pathlib
import re
import time

import lock_step_scenarios
from guest import check, equal

MACHINE = "sst"
REQUESTS = 100_000  # Linux SST's
PROCESSES = 10
# What a stress may take; a slower machine asks fewer requests and says so.
PATIENCE_S = 30
PROBE = 2000
# How long a request may take: its default of 5 s is shorter than what a busy host stops a guest for.
TIMEOUT_MS = 300_000
# Device hosts of a build with a sanitizer keep freed memory for a while; growth beyond it is a leak.
GROWTH_KIB = 65536
DEVICES = {"sst0": "pci", "sst1": "vhost-user"}


def write_file(arch, folder):
    """One machine with a device on each transport."""
    devices = [f"    - {{name: {name}, model: virtio-sst, id: {index}, transport: {transport}, queues: 2, "
               "simulator: {model: linear, per_unit: 10ns}}"
               for index, (name, transport) in enumerate(DEVICES.items())]
    path = pathlib.Path(folder) / "sst.yaml"
    lines = ["version: 1", "machine:", f"  name: {MACHINE}", f"  arch: {arch}", "  cpus: 2", "  devices:", *devices]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def run_test(vm, node, *arguments):
    """What sst-test prints for a device; nothing may fail."""
    done = vm.exec(MACHINE, "sst-test", "-d", node, *arguments)
    check(done.status == 0 and "failed=0" in done.out, f"sst-test {node} {arguments}: {done}")
    return done.out


def figures(out, test):
    """The numbers in the line of a stress."""
    line = re.search(rf"^sst-test: run test={test} .*$", out, re.MULTILINE)
    check(line, f"no line of {test}: {out}")
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line.group(0))}


def nodes(vm):
    """The name in /dev of each device of the file, by the number in its configuration space."""
    found = {}
    for node in vm.shell(MACHINE, "ls /sys/class/sst").split():
        found[int(vm.shell(MACHINE, f"cat /sys/class/sst/{node}/device_id"), 0)] = node
    equal("devices", list(range(len(DEVICES))), sorted(found))
    return {name: found[index] for index, name in enumerate(DEVICES)}


def every_type(vm, node):
    """Each request type with right and wrong payloads, events, batches, shared memory, io_uring."""
    out = run_test(vm, node, "types", "beyond", "uring")
    check(out.count(": pass") >= 15, f"too few tests: {out}")
    print("\n".join(line for line in out.splitlines() if ": skip" in line))


def answers_all(vm, node, test, *options):
    """Many requests, each answered once: as many as Linux SST has, unless this machine is too slow for them."""
    began = time.monotonic()
    run_test(vm, node, "-n", str(PROBE), *options, test)
    took = time.monotonic() - began
    count = min(REQUESTS, max(PROBE, int(PROBE * PATIENCE_S / took) // 1000 * 1000))
    numbers = figures(run_test(vm, node, "-n", str(count), *options, test), test)
    equal(f"{test}: count, answered, failed", (count, count, 0),
          (numbers["count"], numbers["answered"], numbers["failed"]))
    print(f"{node} {test} {' '.join(options)}: {count} of {REQUESTS} requests"
          f"{'' if count == REQUESTS else ', for this machine is too slow for all'}, {numbers['per_second']} a second")


def counters(vm, node):
    names = ("requests", "answers", "timeouts", "late", "bad", "cancelled", "in_flight", "kicks")
    values = vm.shell(MACHINE, f"cd /sys/class/sst/{node}; cat {' '.join(names)}").split()
    return dict(zip(names, map(int, values)))


def memory_of_hosts(vm):
    """Resident memory of the device hosts, KiB."""
    total = 0
    for pid, text in vm.left_processes().items():
        if " serve " in text:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            total += int(re.search(r"VmRSS:\s+(\d+)", status).group(1))
    check(total > 0, "no device host")
    return total


def stress(vm, node):
    answers_all(vm, node, "stress")
    before = counters(vm, node)
    memory = memory_of_hosts(vm)
    answers_all(vm, node, "concurrent", "-p", str(PROCESSES))
    answers_all(vm, node, "batch", "-b", "64")
    after = counters(vm, node)
    grown = memory_of_hosts(vm) - memory
    check(grown < GROWTH_KIB, f"device hosts of {node} grew by {grown} KiB")
    for name in ("bad", "late", "cancelled", "in_flight"):
        equal(f"{name} of {node}", before[name] if name != "in_flight" else 0, after[name])
    equal(f"timeouts of {node}", before["timeouts"], after["timeouts"])
    equal(f"answers of {node}", after["requests"] - before["requests"], after["answers"] - before["answers"])


def self_tests(vm):
    """The module's own tests, by the parameters that Linux SST names, on both devices."""
    vm.shell(MACHINE, f"modprobe -r virtio_sst && modprobe virtio_sst test_mode=1 timeout_ms={TIMEOUT_MS}")
    vm.wait_for(MACHINE, "[ -e /dev/sst0 ] && [ -e /dev/sst1 ]")
    result = vm.shell(MACHINE, "cd /sys/module/virtio_sst/parameters && echo 1 >run_tests && cat run_tests")
    passed = re.fullmatch(r"passed (\d+), failed 0, skipped \d+", result)
    check(passed and int(passed.group(1)) >= 10, f"self-tests: {result}")
    # Dynamic debug tells of requests, once asked.
    vm.shell(MACHINE, "echo 'module virtio_sst +p' >/proc/dynamic_debug/control")
    run_test(vm, "sst0", "-n", "10", "stress")
    vm.wait_for(MACHINE, "dmesg | grep -q 'response: id='")
    vm.shell(MACHINE, "echo 'module virtio_sst -p' >/proc/dynamic_debug/control")


def sst(vm):
    vm.verify(MACHINE)
    self_tests(vm)
    for name, node in nodes(vm).items():
        print(f"{name}, {DEVICES[name]}, /dev/{node}:")
        every_type(vm, node)
        stress(vm, node)
    vm.check_dmesg(MACHINE)


LOCK_STEP_RUN = ("cat /proc/sys/kernel/random/boot_id; sst-test -n 300 -p 10 types stress batch concurrent; "
                 "sst-test -n 200 -t compute -u 12345 -l stress; cat /proc/uptime; dmesg")


def trace_of(vm):
    """The device's last events, without the host's times, and without the registers that a recorder adds (`state`) when half of
    its ring is written, in a later turn of its loop."""
    done = vm.run("trace", "exact", "sst0")
    check(done.status == 0 and done.out, f"mimic trace: {done}")
    lines = [re.sub(r"^\s*\S+\s+", "", line) for line in done.out.splitlines()]
    return [line for line in lines if not re.match(r"sst0 +state\b", line)]


def lock_step(vm):
    """Three boots with the same boot_id, results, times and kernel log, and the same events at the device."""
    found, traces = [], []
    for number in range(lock_step_scenarios.RUNS):
        if number:
            vm.down()
            vm.up()
        found.append(vm.run_output("exact"))
        traces.append("\n".join(trace_of(vm)))
    lock_step_scenarios.same("output", found)
    lock_step_scenarios.same("trace", traces)
    check("failed=0" in found[0] and "FAIL" not in found[0], f"sst-test in lock-step: {found[0][:4000]}")
    equal("lock_step", "1", vm.shell("exact", "cat /sys/class/sst/sst0/lock_step"))
    # What a compute takes is what the model says: 12345 units of 10 ns.
    mean = re.findall(r"latency test=stress count=200 mean_ns=(\d+)", found[0])
    check(mean and int(mean[-1]) >= 123450, f"latency of compute: {mean}")
    vm.check_dmesg("exact")


def lock_step_file(arch):
    def make(_mimic, folder):
        path = pathlib.Path(folder) / "exact.yaml"
        device = ["    - {name: sst0, model: virtio-sst, simulator: {model: linear, per_unit: 10ns}}"]
        path.write_text(lock_step_scenarios.write_file(arch, run=LOCK_STEP_RUN, devices=device))
        return str(path)

    return make


SCENARIOS = {
    "sst": (sst, lambda _mimic, folder: write_file("x86_64", folder)),
    "sst-riscv64": (sst, lambda _mimic, folder: write_file("riscv64", folder)),
    "sst-lock-step": (lock_step, lock_step_file("x86_64")),
    "sst-lock-step-riscv64": (lock_step, lock_step_file("riscv64")),
}
