# SPDX-License-Identifier: Apache-2.0
"""Scenarios of fabrics: native SR-IOV, switches and hot-plug as Linux's own PCI core sees them."""
import json

import driver_scenarios
from guest import check, equal

CLASS = "/sys/class/mock-accel"
PCI = "/sys/bus/pci/devices"


def counts(vm, machine, bdf, name="mock0"):
    """sriov_numvfs of the PCI function and of the class device, virtfn links of both, VF nodes."""
    script = f"""
        cat {PCI}/{bdf}/sriov_numvfs {CLASS}/{name}/sriov_numvfs
        for pattern in '{PCI}/{bdf}/virtfn*' '{CLASS}/{name}/virtfn*' '{CLASS}/{name}_vf*' '/dev/mock-accel{name[4:]}_vf*'; do
            set -- $pattern
            [ -e "$1" ] && echo $# || echo 0
        done
    """
    return [int(word) for word in vm.shell(machine, script).split()]


def fails(vm, machine, script, *messages):
    """A shell command that must fail with one of the texts of errnos."""
    done = vm.exec(machine, "sh", "-c", script)
    check(done.status != 0 and any(message in done.err for message in messages),
          f"{script}: expected failure with one of {messages}, got {done}")


def bench_verifies(vm, machine, device):
    """DMA through the driver's rings moves what it should: copy and fill, patterns compared."""
    done = vm.exec(machine, "mock-accel-bench", "--device", device, "--verify", "--json")
    check(done.status == 0, f"mock-accel-bench on {device}: {done}")
    verdict = json.loads(done.out)["verify"]
    check(verdict["operations"] > 0 and verdict["mismatches"] == 0, f"mock-accel-bench on {device}: {done.out}")


def all_vfs_work(vm, machine, bdf):
    vm.shell(machine, f"echo 64 >{PCI}/{bdf}/sriov_numvfs")
    equal("with 64 VFs", [64] * 6, counts(vm, machine, bdf))
    verdict = vm.verify(machine)
    equal("functions", 65, len(verdict["functions"]))
    equal("ids of VF 63", "0x1de5 0x0002", vm.shell(machine, f"cat {PCI}/10000:01:08.0/vendor {PCI}/10000:01:08.0/device")
          .replace("\n", " "))
    equal("physfn of VF 63", bdf, vm.shell(machine, f"basename $(readlink {PCI}/10000:01:08.0/physfn)"))
    for device in ("mock0", "mock0_vf0", "mock0_vf63"):
        bench_verifies(vm, machine, device)


def vfs_are_apart(vm, machine):
    """What is written to one VF, a reset of it and its faults are seen by no other."""
    vm.shell(machine, f"for i in 0 1 62 63; do echo $((i + 1)) >{CLASS}/mock0_vf$i/status; done")
    vm.shell(machine, f"echo flr >{PCI}/10000:01:00.2/reset_method; echo 1 >{PCI}/10000:01:00.2/reset")
    equal("status of VFs 0, 1, 62, 63 after FLR of VF 1",
          ["0x00000001", "0x00000000", "0x0000003f", "0x00000040"],
          vm.shell(machine, f"cd {CLASS}; cat mock0_vf0/status mock0_vf1/status mock0_vf62/status mock0_vf63/status")
          .split())
    vm.inject(machine, "gpu0-vf1", "all-ones")
    fails(vm, machine, f"cat {CLASS}/mock0_vf1/status", "No such device")
    bench_verifies(vm, machine, "mock0_vf2")
    vm.inject(machine, "gpu0-vf1", "clear")
    bench_verifies(vm, machine, "mock0_vf1")
    vm.inject(machine, "gpu0-vf2", "completion-timeout", "severity=nonfatal")
    vm.wait_for(machine, "dmesg | grep -q 'mock-accel 10000:01:00.3: .*resumed'")
    equal("64 VFs still", 64, counts(vm, machine, "10000:01:00.0")[0])


def numvfs_has_rules(vm, machine, bdf):
    folder = f"{PCI}/{bdf}"
    fails(vm, machine, f"echo 32 >{folder}/sriov_numvfs", "resource busy")
    fails(vm, machine, f"echo 65 >{folder}/sriov_numvfs", "out of range")
    vm.shell(machine, "mock-accel-ctl hold /dev/mock-accel0_vf5 600 >/tmp/hold 2>&1 </dev/null & "
                      "until grep -q holding /tmp/hold; do usleep 10000; done")
    fails(vm, machine, f"echo 0 >{folder}/sriov_numvfs", "resource busy")
    fails(vm, machine, f"echo 0 >{CLASS}/mock0/sriov_numvfs", "resource busy")
    equal("VFs after a refusal", [64] * 6, counts(vm, machine, bdf))
    vm.shell(machine, "killall mock-accel-ctl; while killall -0 mock-accel-ctl 2>/dev/null; do usleep 10000; done")
    vm.shell(machine, f"echo 0 >{folder}/sriov_numvfs")
    equal("without VFs", [0] * 6, counts(vm, machine, bdf))
    vm.shell(machine, f"echo 3 >{CLASS}/mock0/sriov_numvfs")
    equal("three VFs by the class device", [3] * 6, counts(vm, machine, bdf))
    vm.verify(machine)


def reset_and_unbind_with_vfs(vm, machine, bdf):
    """A PF that is reset, unbound or removed with VFs enabled comes back clean."""
    folder = f"{PCI}/{bdf}"
    vm.shell(machine, f"echo flr >{folder}/reset_method; echo 1 >{folder}/reset")
    vm.verify(machine)
    vm.shell(machine, f"echo {bdf} >/sys/bus/pci/drivers/mock-accel/unbind; ! [ -e {folder}/virtfn0 ]")
    vm.shell(machine, f"echo {bdf} >/sys/bus/pci/drivers/mock-accel/bind")
    equal("VFs after a rebind", 0, counts(vm, machine, bdf)[0])
    vm.shell(machine, f"echo 2 >{folder}/sriov_numvfs; echo 1 >{folder}/remove; ! [ -e {folder} ]; echo 1 >/sys/bus/pci/rescan")
    equal("VFs after remove and rescan", 0, counts(vm, machine, bdf)[0])
    vm.verify(machine)
    bench_verifies(vm, machine, "mock0")


def hostile_config(vm, machine, bdf):
    """A guest that programs nonsense harms itself only, and a repaired configuration works again."""
    port = "10000:00:00.0"
    saved = vm.shell(machine, f"setpci -s {port} 18.l; setpci -s {port} 20.l; setpci -s {port} 24.l; setpci -s {bdf} 10.l").split()
    vm.shell(machine, f"""
        for value in 00000000 00ff0100 00000100 00010001 ffffffff; do
            setpci -s {port} 18.l=$value; setpci -s {bdf} 00.l >/dev/null
        done
        setpci -s {port} 18.l={saved[0]}
        for value in 00000000 fffffff0 0000fff0 ffff0000; do
            setpci -s {port} 20.l=$value 24.l=$value
            setpci -s {bdf} 10.l=$value
            mock-accel-ctl peek {bdf} 0 32 >/dev/null || true
        done
        setpci -s {port} 20.l={saved[1]} 24.l={saved[2]}; setpci -s {bdf} 10.l={saved[3]}
        setpci -s {bdf} ECAP_SRIOV+10.w=ffff ECAP_SRIOV+10.w=0041
        setpci -s {bdf} ECAP_SRIOV+20.l=ffffffff ECAP_SRIOV+20.l=00000003
    """)
    equal("NumVFs above TotalVFs is ignored", "0000", vm.shell(machine, f"setpci -s {bdf} ECAP_SRIOV+10.w"))
    equal("System Page Size stays", "00000001", vm.shell(machine, f"setpci -s {bdf} ECAP_SRIOV+20.l"))
    vm.shell(machine, f"""
        dd if={PCI}/{bdf}/config bs=8 count=512 of=/dev/null 2>/dev/null
        dd if={PCI}/{bdf}/config bs=3 count=1400 of=/dev/null 2>/dev/null
    """)
    vm.verify(machine)


def fabric_sriov(vm):
    machine, bdf = "fabric-sriov", "10000:01:00.0"
    equal("VFs that a PF can have", ["64", "64"],
          vm.shell(machine, f"cat {PCI}/{bdf}/sriov_totalvfs {CLASS}/mock0/sriov_totalvfs").split())
    equal("without VFs", [0] * 6, counts(vm, machine, bdf))
    verdict = vm.verify(machine)
    equal("functions that are present", ["gpu0"],
          [function["name"] for function in verdict["functions"] if function["present"]])
    all_vfs_work(vm, machine, bdf)
    vfs_are_apart(vm, machine)
    suspends(vm, machine, "mock0", "mock0_vf63")
    numvfs_has_rules(vm, machine, bdf)
    reset_and_unbind_with_vfs(vm, machine, bdf)
    hostile_config(vm, machine, bdf)
    vm.check_dmesg(machine)


def switch_tree(vm):
    """Two sockets, four switches, eight accelerators: NUMA nodes, links and parents are the plan's; DMA works on all."""
    machine = "switch-tree"
    equal("functions", 8, len(vm.verify(machine)["functions"]))
    nodes = vm.shell(machine, f"cat {CLASS}/mock*/numa_node").split()
    equal("NUMA nodes", ["0"] * 4 + ["1"] * 4, sorted(nodes))
    equal("functions of both domains", 2 * (2 * 4 + 4), int(vm.shell(machine, f"ls {PCI} | grep -c ^1000")))
    for number in range(8):
        bench_verifies(vm, machine, f"mock{number}")
    vm.check_dmesg(machine)


def hotplug(vm):
    """Surprise removal and hot add by `mimic inject`; what pciehp prints and what becomes of the driver."""
    machine = "hotplug"
    vm.verify(machine)
    equal("devices", ["mock0"], vm.shell(machine, f"ls {CLASS}").split())
    vm.inject(machine, "gpu1", "add")
    vm.wait_for(machine, f"[ -e {CLASS}/mock1 ]")
    vm.wait_for(machine, "dmesg | grep -q 'Slot(12): Link Up'")
    vm.verify(machine)
    bench_verifies(vm, machine, "mock1")
    # A file that is open while its device is pulled out.
    vm.shell(machine, "mock-accel-ctl poll /dev/mock-accel0 600000 >/tmp/poll 2>&1 </dev/null & "
                      "until grep -q polling /tmp/poll; do usleep 10000; done")
    vm.inject(machine, "gpu0", "remove")
    vm.wait_for(machine, f"! [ -e {CLASS}/mock0 ]")
    vm.wait_for(machine, "grep -q HUP /tmp/poll")
    check("Slot(11): Card not present" in vm.shell(machine, "dmesg"), "pciehp did not notice the removal")
    vm.verify(machine)
    vm.inject(machine, "gpu0", "add")
    vm.wait_for(machine, f"[ $(ls {CLASS} | wc -l) = 2 ]")
    vm.verify(machine)
    for _ in range(5):
        vm.inject(machine, "gpu1", "remove")
        vm.wait_for(machine, f"[ $(ls {CLASS} | wc -l) = 1 ]")
        vm.inject(machine, "gpu1", "add")
        vm.wait_for(machine, f"[ $(ls {CLASS} | wc -l) = 2 ]")
    bench_verifies(vm, machine, "10000:02:00.0")
    done = vm.run("inject", machine, "gpu1", "add")
    check(done.status == 1 and "plugged" in done.err, f"a second add: {done}")
    vm.check_dmesg(machine)


def suspends(vm, machine, *devices):
    """Devices are suspended and resumed, as a freeze does with them; rings work again."""
    vm.sleep_and_wake(machine)
    for device in devices:
        bench_verifies(vm, machine, device)


def endpoint_memory(vm):
    """Device memory of an endpoint is mapped: the guest's accesses do not come by the socket. DMA sees the same bytes."""
    machine, bdf = "endpoint-memory", "0000:01:00.0"
    vm.shell(machine, f"echo 2 >{CLASS}/mock0/sriov_numvfs")
    vm.verify(machine)
    resource = f"{PCI}/{bdf}/resource2"
    before = vm.counters(machine, "gpu0")
    values = vm.shell(machine, f"""
        for i in 0 1 2 3 4 5 6 7; do mock-accel-ctl poke {resource} $((i * 0x1ff8)) 64 $((i + 0x1122334455667700)); done
        for i in 0 1 2 3 4 5 6 7; do mock-accel-ctl peek {resource} $((i * 0x1ff8)) 64; done
    """).split()
    equal("device memory", [f"0x{0x1122334455667700 + i:016x}" for i in range(8)], values)
    after = vm.counters(machine, "gpu0")
    equal("reads that came by the socket", before["session_region_reads"], after["session_region_reads"])
    for device in ("mock0", "mock0_vf0", "mock0_vf1"):
        bench_verifies(vm, machine, device)
    suspends(vm, machine, "mock0", "mock0_vf1")
    driver_scenarios.interface_holds(vm, machine, bdf, "gpu0")
    vm.check_dmesg(machine)


SCENARIOS = {
    "endpoint-memory": (endpoint_memory, "../tests/vm/endpoint-memory.yaml"),
    "fabric-sriov": (fabric_sriov, "fabric-sriov.yaml"),
    "switch-tree": (switch_tree, "switch-tree.yaml"),
    "hotplug": (hotplug, "hotplug.yaml"),
}
