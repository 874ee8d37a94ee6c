#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The guides' commands and the chart on a real node: the driver in its pod, on the devices of a tree of mimic's.

guides_test.py BIN: makes images of BIN's programs and starts itself again beside a cluster of one node (tests/cluster/run).
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import guides
import helm
from kubectl import kubectl, must

FOLDER = pathlib.Path("/run/mimic-cluster")
VALUES = pathlib.Path(__file__).resolve().parent / "node-values.yaml"
SELECTOR = "spec.driver=mock-accel.example.com"
# Two cards below a host bridge each, with two VFs each.
MACHINE = """
version: 1
machine:
  name: node
  numa: [{ cpus: 1, memory: 256M }, { cpus: 1, memory: 256M }]
  devices:
    - { name: "card{index}", count: 2, model: mock-accel, memory: 16G, numa_node: "{index}", vfs: { count: 2, memory: 2G } }
"""


def wait(what, condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError("%s: not within %d s\n%s" % (what, seconds, state()))
        time.sleep(0.3)
    return found


def state():
    """What a reader of a failure needs."""
    texts = [kubectl("get", "pods,resourceclaims,events,resourceslices", "-A", "-o", "wide").stdout[-6000:]]
    for log in sorted(pathlib.Path("/var/log/pods").glob("*mimic*/*/*.log")) + sorted(FOLDER.glob("**/mimic-dra/*.log")):
        texts.append("%s:\n%s" % (log, log.read_text()[-3000:]))
    return "\n".join(texts)


def devices():
    slices = json.loads(must("get", "resourceslices", "--field-selector", SELECTOR, "-o", "json"))["items"]
    return sorted(device["name"] for each in slices for device in each["spec"].get("devices", []))


ALL = ["mock0", "mock0-vf0", "mock0-vf1", "mock1", "mock1-vf0", "mock1-vf1"]


class NodeTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        topology = FOLDER / "machine.yaml"
        topology.write_text(MACHINE)
        subprocess.run(["mimic", "tree", topology, FOLDER / "tree", "--numvfs", "all"], check=True, stdout=subprocess.DEVNULL)
        # `helm` of the guides, which on this node needs more values.
        cls.programs = FOLDER / "bin"
        cls.programs.mkdir(exist_ok=True)
        wrapper = cls.programs / "helm"
        wrapper.write_text('#!/bin/sh\nhelm=%s\ncommand=$1\nshift\n'
                           'case $command in install | upgrade) exec "$helm" "$command" -f %s "$@" ;; esac\n'
                           'exec "$helm" "$command" "$@"\n' % (helm.program("helm"), VALUES))
        wrapper.chmod(0o755)

    def tearDown(self):
        subprocess.run([self.programs / "helm", "uninstall", "mimic", "-n", "mimic-system", "--ignore-not-found", "--wait"],
                       check=False, stdout=subprocess.DEVNULL)
        must("delete", "resourceslices", "--all")

    def run_guide(self, page):
        environment = {**os.environ, "PATH": "%s:%s" % (self.programs, os.environ["PATH"])}
        result = subprocess.run(["bash", "-euxo", "pipefail", "-c", guides.script(page, "node")], cwd=helm.SOURCES, env=environment,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout[-6000:] + state())
        return result.stdout

    def install(self, *values):
        command = [self.programs / "helm", "upgrade", "--install", "mimic", helm.CHART, "-n", "mimic-system", "--create-namespace"]
        command += [each for value in values for each in ("--set", value)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        rollout = ("rollout", "status", "daemonset/mimic", "-n", "mimic-system", "--timeout=5s")
        wait("the driver is there", lambda: kubectl(*rollout).returncode == 0)

    def test_installation_guide(self):
        self.assertIn("pod/basic condition met", self.run_guide("installation-guide.md"))

    def test_upgrade_guide(self):
        self.install("log.level=debug")  # the older release
        self.assertIn("Rollback was a success", self.run_guide("upgrade-guide.md"))

    def test_integration_guide(self):
        output = self.run_guide("integration-guide.md")
        self.assertRegex(output, r"\nmock0-vf1 pci0000:\w\w\n")

    def test_pod_with_few_rights_publishes_and_prepares(self):
        self.install()
        wait("all devices are published", lambda: devices() == ALL)
        example = (helm.SOURCES / "examples/kubernetes/mixed-pf-vf.yaml").read_text()
        must("apply", "-f", "-", text=example)
        wait("the pod runs", lambda: must("get", "pod", "mixed-pf-vf", "-o", "jsonpath={.status.phase}") == "Running")
        wait("what it got", lambda: "MOCK_ACCEL_" in kubectl("logs", "mixed-pf-vf").stdout)
        must("delete", "-f", "-", text=example)
        wait("its claim is gone", lambda: must("get", "resourceclaims", "-o", "name") == "")
        metrics = must("get", "--raw", "/api/v1/namespaces/mimic-system/pods/%s:8080/proxy/metrics" % must(
            "get", "pods", "-n", "mimic-system", "-o", "jsonpath={.items[0].metadata.name}"))
        self.assertIn("mimic_dra_", metrics)

    def test_pod_may_write_to_the_nodes_own_sys(self):
        """No device of ours is in this node's /sys, so another container of the same template writes there, what it has read."""
        self.install("root=")
        wait("an empty pool", lambda: len(json.loads(must("get", "resourceslices", "-o", "json"))["items"]) == 1)
        self.assertEqual(devices(), [])
        spec = json.loads(must("get", "daemonset", "mimic", "-n", "mimic-system", "-o", "json"))["spec"]["template"]["spec"]
        container = spec["containers"][0]
        file = "/sys/module/printk/parameters/time"
        container.update(image="mimic.local/busybox:1", command=["sh", "-c", 'cd /; value=$(cat %s); echo "$value" >%s' % (file, file)])
        for key in ("args", "startupProbe", "livenessProbe", "readinessProbe", "ports"):
            container.pop(key, None)
        spec["restartPolicy"] = "Never"
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writer", "namespace": "mimic-system"}, "spec": spec}
        must("create", "-f", "-", text=json.dumps(pod))
        self.addCleanup(must, "delete", "pod", "writer", "-n", "mimic-system")
        phase = ("get", "pod", "writer", "-n", "mimic-system", "-o", "jsonpath={.status.phase}")
        wait("it ends", lambda: must(*phase) in ("Succeeded", "Failed"))
        self.assertEqual(must(*phase), "Succeeded", kubectl("logs", "writer", "-n", "mimic-system").stdout)

    def test_update_keeps_a_running_pods_device(self):
        self.install()
        wait("all devices are published", lambda: devices() == ALL)
        example = (helm.SOURCES / "examples/kubernetes/basic.yaml").read_text()
        must("apply", "-f", "-", text=example)
        wait("the pod runs", lambda: must("get", "pod", "basic", "-o", "jsonpath={.status.phase}") == "Running")
        before = must("get", "pods", "-n", "mimic-system", "-o", "name")
        slices = must("get", "resourceslices", "-o", "jsonpath={.items[*].metadata.uid}")
        self.install("podAnnotations.changed=yes")
        after = wait("one driver again", lambda: (lambda names: names if len(names.split()) == 1 else "")(
            must("get", "pods", "-n", "mimic-system", "-o", "name")))
        self.assertNotEqual(before, after)
        self.assertEqual(must("get", "resourceslices", "-o", "jsonpath={.items[*].metadata.uid}"), slices)
        self.assertEqual(must("get", "pod", "basic", "-o", "jsonpath={.status.containerStatuses[0].restartCount}"), "0")
        # The new one undoes what the old one did.
        must("delete", "-f", "-", text=example)
        status = FOLDER / "tree/sys/class/mock-accel"
        wait("the devices are free", lambda: all(int((status / name / "status").read_text(), 16) & 1 == 0
                                                 for name in ("mock0", "mock1")))


def images(folder, programs):
    """Archives of the images that the node must have, made as the guide does it."""
    made = folder / "mimic-dra.tar"
    subprocess.run([helm.SOURCES / "tools/image", made, "--name", "mimic.local/mimic-dra:test",
                    "--program", programs / "mimic-dra", "--", "/usr/bin/mimic-dra"], check=True, stdout=subprocess.DEVNULL)
    return made


if __name__ == "__main__":
    if "KUBECONFIG" in os.environ and FOLDER.exists():
        unittest.main(verbosity=2)
    bin_folder = pathlib.Path(sys.argv[1]).resolve()
    helm.program("helm")  # built before a cluster waits for it
    with tempfile.TemporaryDirectory() as work:
        image = images(pathlib.Path(work), bin_folder)
        command = [helm.SOURCES / "tests/cluster/run", bin_folder, "cluster", "--level", "node", "--image", image, "--",
                   sys.executable, os.path.abspath(__file__), *sys.argv[2:]]
        environment = {**os.environ, "PATH": "%s:%s" % (bin_folder, os.environ["PATH"])}
        sys.exit(subprocess.run([str(each) for each in command], env=environment, check=False).returncode)
