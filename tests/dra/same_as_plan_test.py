#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the node agent would publish on a machine is what `mimic plan --format slices` says of its file.

same_as_plan_test.py MIMIC SOURCE DRY_RUN...: DRY_RUN is a command, in which ROOT and NODE are replaced.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

# `mimic tree` has nothing to write for servers that are not ours.
NO_TREE = {"external.yaml"}


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def difference(want: list, got: list) -> str:
    for number, (one, other) in enumerate(zip(want, got)):
        if one != other:
            return f"slice {number}\n  plan {json.dumps(one)}\n  agent {json.dumps(other)}"
    return f"{len(want)} slices of the plan, {len(got)} of the agent"


def main() -> int:
    mimic, source, *dry_run = sys.argv[1:]
    root = pathlib.Path(source)
    examples = sorted(root.glob("examples/*.yaml"))
    files = examples + sorted(root.glob("src/plan/topology/testdata/good/*.yaml"))
    failures = machines = devices = 0
    with tempfile.TemporaryDirectory(prefix="mimic-dra.") as folder:
        for file in files:
            if file.name in NO_TREE:
                continue
            tree = json.loads(run(mimic, "plan", str(file), "--format", "tree").stdout)
            for machine in (one["name"] for one in tree["machines"]):
                counts = ("0", "2", "all") if "sriov" in file.name else ("0", "all")
                for vfs in counts if file in examples else ("all",):
                    about = [str(file), "--machine", machine, "--numvfs", vfs]
                    made = run(mimic, "tree", *about[:1], folder + "/tree", *about[1:], "--force")
                    plan = run(mimic, "plan", *about, "--format", "slices")
                    words = {"ROOT": folder + "/tree", "NODE": machine}
                    agent = run(*[words.get(word, word) for word in dry_run])
                    where = f"{file.name} {machine} --numvfs {vfs}"
                    if made.returncode or plan.returncode or agent.returncode:
                        print(where, made.stderr, plan.stderr, agent.stderr)
                        failures += 1
                        continue
                    want, got = json.loads(plan.stdout), json.loads(agent.stdout)
                    if plan.stdout != agent.stdout:
                        print(where, difference(want["items"], got["items"]))
                        failures += 1
                    machines += 1
                    devices += sum(len(item["spec"].get("devices", [])) for item in got["items"])
    print(f"{machines} machines, {devices} devices, {failures} differ")
    return 1 if failures or machines < 20 or devices < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
