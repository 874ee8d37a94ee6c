# SPDX-License-Identifier: Apache-2.0
"""One description, two ways: what boots as a VM fabric (fabric_scenarios.py) is made on the bus of a running kernel by
`mimic kernel`, and passes the same checks."""
import json
import pathlib
import tempfile

from guest import TREE, check, equal
from kernel_scenarios import MACHINE, MODULES, PCI, no_splats, prepare

EXAMPLES = {"fabric-sriov": ("4", 5), "switch-tree": ("0", 8), "dual-numa": ("0", 2), "sriov-static": ("all", 5)}


def kernel_bus(vm):
    prepare(vm)
    # The module brings a function of its own, and stays.
    vm.shell(MACHINE, f"insmod {MODULES}/fake-sriov-vgpu.ko")
    before = vm.shell(MACHINE, f"ls {PCI}")
    for example, (numvfs, functions) in EXAMPLES.items():
        topology = str(TREE / "examples" / f"{example}.yaml")
        plan = vm.run("kernel", "plan", topology, "--numvfs", numvfs)
        check(plan.status == 0, f"mimic kernel plan {example}: {plan}")
        with tempfile.TemporaryDirectory() as folder:
            script = pathlib.Path(folder) / "bus.sh"
            script.write_text(plan.out, encoding="utf-8")
            copied = vm.run("cp", str(script), f"{MACHINE}:/tmp/bus.sh")
            check(copied.status == 0, f"cp: {copied}")
        vm.shell(MACHINE, f"MIMIC_MODULE={MODULES}/fake-sriov-vgpu.ko sh /tmp/bus.sh up")
        probe = vm.exec(MACHINE, "/lib/mimic/probe")
        verdict = vm.run("kernel", "verify", topology, "--probe", "-", "--json", stdin=probe.out)
        check(verdict.status == 0, f"mimic kernel verify {example}: {verdict}")
        seen = [function for function in json.loads(verdict.out)["functions"] if function["present"]]
        equal(f"functions of {example}", functions, len(seen))
        vm.shell(MACHINE, "sh /tmp/bus.sh down")
        equal(f"what {example} left", before, vm.shell(MACHINE, f"ls {PCI}"))
    no_splats(vm)


SCENARIOS = {"kernel-bus": (kernel_bus, "../tests/vm/bare.yaml")}
