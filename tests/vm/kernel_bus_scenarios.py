# SPDX-License-Identifier: Apache-2.0
"""One description, two ways: what boots as a VM fabric (fabric_scenarios.py) is made on the bus of a running kernel by
`mimic kernel`, and passes the same checks."""
import json
import os
import pathlib
import subprocess
import tempfile

from documented import commands
from guest import TREE, check, equal
from kernel_scenarios import MACHINE, PCI, no_splats

EXAMPLES = {"fabric-sriov": ("4", 5), "switch-tree": ("0", 8), "dual-numa": ("0", 2), "sriov-static": ("all", 5)}


def documented_steps(vm):
    """What docs/kernel-bus.md tells to type, in a guest where nothing was loaded by hand."""
    steps = "\n".join(commands("docs/kernel-bus.md", "In a guest"))
    check(" up" in steps and " down" in steps and "verify" in steps, f"steps: {steps}")
    steps = steps.replace("FILE", str(TREE / "examples" / "fabric-sriov.yaml")).replace("NODE", MACHINE)
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "mimic").symlink_to(vm.mimic)
        done = subprocess.run(
            ["bash", "-e", "-u", "-o", "pipefail", "-c", steps], cwd=folder, text=True, timeout=300, check=False,
            env=dict(vm.environment, PATH=f"{folder}:{os.environ['PATH']}"), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    check(done.returncode == 0, f"the steps of docs/kernel-bus.md end with {done.returncode}:\n{done.stdout}")
    check("all agree" in done.stdout, f"verify of the steps: {done.stdout}")


def kernel_bus(vm):
    equal("loaded at first", "", vm.shell(MACHINE, "lsmod | grep -E '^(configfs|fake_sriov)' || true"))
    documented_steps(vm)
    # The module brings a function of its own, and stays.
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
        vm.shell(MACHINE, "sh /tmp/bus.sh up")
        probe = vm.exec(MACHINE, "/lib/mimic/probe")
        verdict = vm.run("kernel", "verify", topology, "--probe", "-", "--json", stdin=probe.out)
        check(verdict.status == 0, f"mimic kernel verify {example}: {verdict}")
        seen = [function for function in json.loads(verdict.out)["functions"] if function["present"]]
        equal(f"functions of {example}", functions, len(seen))
        vm.shell(MACHINE, "sh /tmp/bus.sh down")
        equal(f"what {example} left", before, vm.shell(MACHINE, f"ls {PCI}"))
    no_splats(vm)


SCENARIOS = {"kernel-bus": (kernel_bus, "../tests/vm/bare.yaml")}
