#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the lines by which docs/add-a-device.md shows a device of one's own in a guest, as they stand there, and expects
what the page says that they print. Only the page's folder /tmp/adder is another one here, and the server in it is the
one of this build (tests/install builds it as the page does)."""
import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

from guest import TREE, Failure, Topology, check, equal
from passed import Passed

PAGE = TREE / "docs" / "add-a-device.md"
FOLDER = "/tmp/adder"
BLOCKS = re.compile(r"<!-- run: tests/vm/adder_vm_test.py -->\n```bash\n(.*?)```.*?<!-- output -->\n```\n(.*?)```", re.DOTALL)


def inputs():
    """What this test runs beyond what every VM test does."""
    files = [PAGE, *sorted(path for path in (TREE / "docs" / "add-a-device").rglob("*") if path.is_file())]
    return [path.read_text() for path in files]


def show(mimic, server):
    found = BLOCKS.findall(PAGE.read_text())
    equal("blocks of the page", 1, len(found))
    lines, output = found[0]
    check(FOLDER in lines, f"the page does not use {FOLDER}")
    vm = Topology(mimic, "", "6.1")
    folder = pathlib.Path(vm.folder) / "adder"
    folder.mkdir()
    (folder / "adder-server").symlink_to(os.path.abspath(server))
    environment = dict(vm.environment, PATH=f"{pathlib.Path(vm.mimic).parent}:{os.environ['PATH']}")
    script = lines.replace(FOLDER, str(folder))
    server_left = None
    try:
        # A file: the server inherits it, and a pipe would not end with the shell.
        with open(folder / "printed", "w+", encoding="utf-8") as printed:
            status = subprocess.run(
                ["bash", "-e", "-c", script], env=environment, cwd=TREE,
                stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT, check=False, timeout=500).returncode
            printed.seek(0)
            text = printed.read()
        equal(f"exit status of\n{script}\nwhich printed\n{text}", 0, status)
        check(text.endswith(output), f"expected at the end:\n{output}\ngot:\n{text}")
        # The page: the device of one's own is all that is not as the file says.
        verified = vm.run("verify", "single")
        check(verified.status == 1 and "1 differs" in verified.out and
              "PCI function 0000:02:00.0: expected nothing, got a device of vendor 1de5" in verified.out,
              f"mimic verify: {verified}")
        server_left = [pid for pid, command in vm.left_processes().items() if "adder-server" in command]
        equal("servers", 1, len(server_left))
    finally:
        # mimic down single; kill %1
        down = vm.run("down")
        for pid, command in vm.left_processes().items():
            if "adder-server" in command:
                os.kill(pid, signal.SIGTERM)
        vm.close(show_logs=server_left is None)
    check(down.status == 0, f"mimic down failed: {down}")
    equal("processes left", {}, vm.left)


TOY = """version: 1
machine:
  name: toy
  numa: [{ cpus: 1, memory: 128M }, { cpus: 1, memory: 128M }]
  devices:
    - { name: below, model: adder, numa_node: 1 }
    - { name: inside, model: adder, attach: fabric }
    - { name: gpu0, model: mock-accel }
    - name: served
      model: external
      numa_node: 0
      command: [SERVER, "{socket}"]
      vendor_id: 0x1de5
      device_id: 0xadd1
      class: 0x120000
      bars: [{ index: 0, type: memory32, size: 4K }]
      registers: [{ name: ID, offset: 0, value: 0x41444452 }, { name: SUM, offset: 0x18, bits: 64, value: 0 }]
"""


def in_tree(program, server):
    """The adder as a model of Mimic's, from one folder: in plan, up, verify, regs, inject, trace and metrics."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(TOY.replace("SERVER", os.path.abspath(server)))
        file.flush()
        with Topology(program, file.name, "6.1", "--allow-commands") as vm:
            refused = vm.run("up", file.name)
            check(refused.status == 1 and "--allow-commands" in refused.err, f"mimic up of a file that starts programs: {refused}")
            plan = vm.run("plan", file.name, "--format", "tree")
            check(plan.status == 0 and '"ID": "0x41444452"' in plan.out, f"mimic plan: {plan}")
            # A word for each layer: registers by the tool that any model may use.
            verified = vm.run("verify", "toy")
            check(verified.status == 0 and "all agree" in verified.out, f"mimic verify: {verified}")
            for name in ("below", "inside"):
                registers = vm.run("regs", "toy", name)
                check(registers.status == 0 and "SOURCE" in registers.out and "41444452" in registers.out,
                      f"mimic regs {name}: {registers}")
            injected = vm.run("inject", "toy", "below", "all-ones")
            check(injected.status == 0, f"mimic inject: {injected}")
            broken = vm.run("verify", "toy")
            check(broken.status == 1 and "0xffffffff" in broken.out, f"mimic verify with a fault: {broken}")
            healed = vm.run("inject", "toy", "below", "clear")
            check(healed.status == 0, f"mimic inject clear: {healed}")
            trace = vm.run("trace", "toy", "below", "--last", "500")
            check(trace.status == 0 and "STATUS" in trace.out + trace.err, f"mimic trace: {trace}")
            metrics = vm.metrics("toy")
            check('mimic_device_accesses_total{machine="toy",device="below"' in metrics, f"metrics: {metrics[:2000]}")
            top = vm.run("top", "--once")
            check(top.status == 0 and "below" in top.out and "inside" in top.out, f"mimic top: {top}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mimic", required=True, help="the program under test")
    parser.add_argument("--server", required=True, help="adder-server of this build")
    parser.add_argument("--toy", required=True, help="mimic with the adder built in")
    options = parser.parse_args()
    passed = Passed(options.mimic, "adder", *inputs())
    if passed.when():
        print(f"CACHED: passed with the same inputs at {passed.when()}; MIMIC_TEST_CACHE=0 runs it again")
        return 0
    try:
        show(options.mimic, options.server)
        in_tree(options.toy, options.server)
    except (Failure, subprocess.TimeoutExpired) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    passed.note()
    print("the page's lines print what the page says")
    return 0


if __name__ == "__main__":
    sys.exit(main())
