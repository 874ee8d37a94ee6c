#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots one of the examples with the mimic program and checks what its guests see. No check depends on time."""
import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import clone_scenarios
import fabric_scenarios
import fault_scenarios
import kernel_bus_scenarios
import kernel_qemu_scenarios
import kernel_scenarios
import lock_step_scenarios
import own_kernel_scenarios
import regs_scenarios
import riscv_scenarios
import scale_scenarios
import sst_fault_scenarios
import sst_scenarios
import trace_scenarios
import vgpu_driver_scenarios
import vgpu_scenarios
import vhost_scenarios
import virtio_scenarios
import web_scenarios
from guest import TREE, Failure, Topology, check, equal
from passed import Passed
from stream_scenarios import streams

CLASS = "/sys/class/mock-accel"


def status_raises_interrupt(vm, machine, name="mock0"):
    """A write to STATUS raises MSI-X vector 0: the wait ioctl and poll() wake, /proc/interrupts counts."""
    device = f"/dev/mock-accel{name[4:]}"
    script = f"""
        set -e
        bdf=$(basename "$(readlink -f {CLASS}/{name}/device)")
        count() {{ grep "$bdf" /proc/interrupts | awk '{{ for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i }}
                   END {{ print n + 0 }}'; }}
        rm -f /tmp/wait /tmp/poll
        before=$(count)
        seq=$(mock-accel-ctl info {device} | sed -n 's/^status_seq=//p')
        mock-accel-ctl wait {device} "$seq" 120000 >/tmp/wait &
        waiter=$!
        mock-accel-ctl poll {device} 120000 >/tmp/poll &
        poller=$!
        until grep -q polling /tmp/poll 2>/dev/null; do usleep 10000; done
        echo 0x2a >{CLASS}/{name}/status
        wait $waiter
        wait $poller
        cat {CLASS}/{name}/status
        sed -n 's/^status=//p' /tmp/wait
        grep -c IN /tmp/poll
        echo $(($(count) > before))
        echo 0 >{CLASS}/{name}/status
    """
    equal("sysfs, waited status, poll, interrupt", ["0x0000002a", "0x0000002a", "1", "1"],
          vm.shell(machine, script).splitlines())


def registers_agree(vm, machine, bdf):
    """A poke through resource0 is seen through sysfs; read-only registers stay."""
    vm.shell(machine, f"mock-accel-ctl poke {bdf} 0x2c 32 7")
    equal("status after a poke", "0x00000007", vm.shell(machine, f"cat {CLASS}/mock0/status"))
    vm.shell(machine, f"mock-accel-ctl poke {bdf} 0 32 0xffffffff")
    equal("DEVICE_ID after a poke", "0x4d4f434b", vm.shell(machine, f"mock-accel-ctl peek {bdf} 0 32"))


def reset_clears_status(vm, machine, bdf):
    """A function level reset clears STATUS; the function works on."""
    folder = f"/sys/bus/pci/devices/{bdf}"
    check("flr" in vm.shell(machine, f"cat {folder}/reset_method").split(), "FLR is not offered")
    vm.shell(machine, f"echo 5 >{CLASS}/mock0/status; echo flr >{folder}/reset_method; echo 1 >{folder}/reset")
    equal("status after FLR", "0x00000000", vm.shell(machine, f"cat {CLASS}/mock0/status"))
    status_raises_interrupt(vm, machine)


def driver_comes_and_goes(vm, machine, bdf):
    """Unbind and bind, then unload and load: the class device goes and comes, and the plan holds after each."""
    driver = "/sys/bus/pci/drivers/mock-accel"
    vm.shell(machine, f"echo {bdf} >{driver}/unbind && ! [ -e {CLASS}/mock0 ] && ! [ -e /dev/mock-accel0 ]")
    done = vm.run("verify", machine)
    equal("verify without a driver", 1, done.status)
    check("PCI driver: expected mock-accel" in done.out, f"verify does not name the driver: {done}")
    vm.shell(machine, f"echo {bdf} >{driver}/bind")
    vm.verify(machine)
    vm.shell(machine, f"rmmod mock_accel && ! [ -e {CLASS} ] && insmod /lib/mimic/modules/mock_accel.ko")
    vm.verify(machine)
    status_raises_interrupt(vm, machine)


def single(vm):
    verdict = vm.verify("single")
    equal("functions", 1, len(verdict["functions"]))
    table = vm.run("verify", "single")
    check("all agree with the plan" in table.out, f"table: {table}")
    bdf = verdict["functions"][0]["bdf"]
    check("1de5:0001" in vm.shell("single", "lspci -n"), "lspci does not show the device")
    status_raises_interrupt(vm, "single")
    registers_agree(vm, "single", bdf)
    reset_clears_status(vm, "single", bdf)
    driver_comes_and_goes(vm, "single", bdf)
    vm.check_dmesg("single")


def exec_passes_through(vm, machine):
    done = vm.exec(machine, "sh", "-c", "echo out; echo err >&2; exit 7")
    equal("status, stdout, stderr", (7, "out\n", "err\n"), (done.status, done.out, done.err))
    equal("status of a killed command", 128 + 15, vm.exec(machine, "sh", "-c", "kill -TERM $$").status)
    equal("status of a missing command", 127, vm.exec(machine, "no-such-command").status)
    equal("arguments", "a b||*\n", vm.exec(machine, "printf", "%s|", "a b", "", "*").out[:-1] + "\n")
    large = vm.exec(machine, "sh", "-c", "yes 0123456789 | head -c 1000000")
    equal("bytes of a large output", 1000000, len(large.out))


def copies_files(vm, machine):
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "source"
        source.write_bytes(os.urandom(700_001))
        source.chmod(0o755)
        for arguments in ((str(source), f"{machine}:/tmp/"), (f"{machine}:/tmp/source", f"{folder}/back")):
            done = vm.run("cp", *arguments)
            check(done.status == 0, f"cp {arguments}: {done}")
        back = pathlib.Path(folder) / "back"
        check(back.read_bytes() == source.read_bytes(), "the copy that came back differs")
        equal("mode", 0o755, back.stat().st_mode & 0o777)
        for arguments in ((f"{machine}:/tmp", folder), (f"{machine}:/none", folder), (folder, f"{machine}:/tmp")):
            done = vm.run("cp", *arguments)
            check(done.status != 0 and done.err, f"cp {arguments} did not fail: {done}")


def readme_is_true(vm):
    """What README shows of verify, before and after a fault, is what verify prints."""
    shown = (TREE / "README.md").read_text(encoding="utf-8").split("$ mimic verify dual-numa\n")[1:]
    equal("tables of verify in README", 2, len(shown))
    vm.run("inject", "dual-numa", "accel-1", "clear")
    for at, block in enumerate(shown):
        if at == 1:
            equal("inject", 0, vm.run("inject", "dual-numa", "accel-1", "all-ones").status)
        said = re.sub(r"Linux \S+:", "Linux KERNEL:", vm.run("verify", "dual-numa").out).splitlines()
        for line in re.split(r"^(?:\$|\.\.\.|```)", block, maxsplit=1, flags=re.M)[0].splitlines():
            check(re.sub(r"Linux \S+:", "Linux KERNEL:", line) in said, f"README shows {line!r}, verify prints {said}")
    vm.run("inject", "dual-numa", "accel-1", "clear")


def dual_numa(vm):
    verdict = vm.verify("dual-numa")
    equal("functions", 2, len(verdict["functions"]))
    equal("numa_node of both", ["0", "1"],
          vm.shell("dual-numa", f"cat {CLASS}/mock0/numa_node {CLASS}/mock1/numa_node").splitlines())
    exec_passes_through(vm, "dual-numa")
    copies_files(vm, "dual-numa")
    streams(vm, "dual-numa")
    for name in ("mock0", "mock1"):
        status_raises_interrupt(vm, "dual-numa", name)
    vm.check_dmesg("dual-numa")
    readme_is_true(vm)


def sriov(vm):
    """sriov_numvfs from 0 to the total and beyond; VFs appear, work, and disappear."""
    machine = "sriov"
    total = int(vm.shell(machine, f"cat {CLASS}/mock0/sriov_totalvfs"))
    equal("functions", 1 + total, len(vm.verify(machine)["functions"]))

    def set_numvfs(count):
        return vm.exec(machine, "sh", "-c", f"echo {count} >{CLASS}/mock0/sriov_numvfs")

    def visible():
        return sorted(vm.shell(machine, f"ls {CLASS}").split())

    def refused(count, reason):
        done = set_numvfs(count)
        check(done.status != 0 and reason in done.err, f"sriov_numvfs={count} should fail with {reason}: {done}")

    equal("at first", ["mock0"], visible())
    for count in (1, total, 2):
        check(set_numvfs(count).status == 0, f"sriov_numvfs={count} failed")
        equal(f"with {count} VFs", ["mock0"] + [f"mock0_vf{i}" for i in range(count)], visible())
        verdict = vm.verify(machine)
        equal("checked as visible", 1 + count, sum(f["visible"] for f in verdict["functions"]))
        refused(1 if count > 1 else 2, "busy")  # the way leads through 0
        equal("physfn", "mock0", vm.shell(machine, f"basename $(readlink -f {CLASS}/mock0_vf0/physfn)"))
        check(set_numvfs(0).status == 0, "sriov_numvfs=0 failed")
        equal("with none", ["mock0"], visible())
    for count in (total + 1, 4294967296, -1, "x"):
        refused(count, "Invalid argument")
    check(set_numvfs(total).status == 0, "enabling all failed")
    status_raises_interrupt(vm, machine, f"mock0_vf{total - 1}")
    vm.shell(machine, "(mock-accel-ctl hold /dev/mock-accel0_vf0 600 >/tmp/hold 2>&1 & echo $! >/tmp/holder)"
                      "; until grep -q holding /tmp/hold; do usleep 10000; done")
    refused(0, "busy")
    vm.shell(machine, "kill $(cat /tmp/holder); while kill -0 $(cat /tmp/holder) 2>/dev/null; do usleep 10000; done")
    check(set_numvfs(0).status == 0, "disabling after the close failed")
    vm.verify(machine)
    vm.check_dmesg(machine)


def cluster(vm):
    """Two machines of one file: each shows its own six functions."""
    for machine in ("node1", "node2"):
        equal(f"functions of {machine}", 6, len(vm.verify(machine)["functions"]))
        equal("labels", [f"{machine.upper()}-NUMA{i}-PF" for i in (0, 1)],
              vm.shell(machine, f"cat {CLASS}/mock0/uuid {CLASS}/mock1/uuid").splitlines())
        vm.check_dmesg(machine)
    vm.shell("node1", f"echo 1 >{CLASS}/mock0/status")
    equal("status of the other machine", "0x00000000", vm.shell("node2", f"cat {CLASS}/mock0/status"))
    done = vm.run("cp", "node1:/etc/inittab", "node2:/tmp/copy")
    check(done.status == 0, f"cp between machines: {done}")
    equal("copy", vm.shell("node1", "cat /etc/inittab"), vm.shell("node2", "cat /tmp/copy"))


def isolated(vm):
    """Isolated devices have a process of their own; when one dies, the machine ends and says which."""
    equal("functions", 6, len(vm.verify("isolated")["functions"]))
    hosts = {pid: text for pid, text in vm.left_processes().items() if " serve " in text}
    equal("device hosts", 3, len(hosts))
    own = [pid for pid, text in hosts.items() if "--device own-b" in text]
    equal("host of own-b", 1, len(own))
    status_raises_interrupt(vm, "isolated", "mock2")
    vm.check_dmesg("isolated")
    os.kill(own[0], signal.SIGKILL)
    while "isolated" in vm.run("ps", "--names").out.split():
        time.sleep(0.1)
    reason = vm.state_file("isolated", "exit-reason")
    check("killed by signal 9" in reason, f"exit reason: {reason}")


SCENARIOS = {
    "single": (single, "single.yaml"),
    "dual-numa": (dual_numa, "dual-numa.yaml"),
    "sriov": (sriov, "sriov-static.yaml"),
    "cluster": (cluster, "two-node-cluster.yaml"),
    "isolated": (isolated, "../tests/vm/isolated.yaml"),
    **clone_scenarios.SCENARIOS,
    **fabric_scenarios.SCENARIOS,
    **fault_scenarios.SCENARIOS,
    **kernel_bus_scenarios.SCENARIOS,
    **kernel_qemu_scenarios.SCENARIOS,
    **kernel_scenarios.SCENARIOS,
    **lock_step_scenarios.SCENARIOS,
    **own_kernel_scenarios.SCENARIOS,
    **regs_scenarios.SCENARIOS,
    **riscv_scenarios.SCENARIOS,
    **scale_scenarios.SCENARIOS,
    **sst_scenarios.SCENARIOS,
    **sst_fault_scenarios.SCENARIOS,
    **trace_scenarios.SCENARIOS,
    **vgpu_driver_scenarios.SCENARIOS,
    **vgpu_scenarios.SCENARIOS,
    **vhost_scenarios.SCENARIOS,
    **virtio_scenarios.SCENARIOS,
    **web_scenarios.SCENARIOS,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mimic", required=True, help="the program under test")
    parser.add_argument("--kernel", default="6.1", help="kernel series (default 6.1)")
    parser.add_argument("scenario", choices=SCENARIOS)
    options = parser.parse_args()
    run, example = SCENARIOS[options.scenario]
    passed = Passed(options.mimic, options.kernel, options.scenario)
    if passed.when():
        print(f"CACHED: {options.scenario} on {options.kernel}: passed with the same inputs at {passed.when()}; "
              "MIMIC_TEST_CACHE=0 runs it again")
        return 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            if callable(example):  # makes its file
                example = example(os.path.abspath(options.mimic), folder)
            with Topology(options.mimic, example, options.kernel) as vm:
                run(vm)
    except (Failure, subprocess.TimeoutExpired) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    passed.note()
    print(f"{options.scenario} on {options.kernel}: all checks hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
