# SPDX-License-Identifier: Apache-2.0
"""examples/kubernetes by the real scheduler and controllers: which devices each gets. Part of live_test.py.

That pods run with them on a node is tests/cluster's to see; here are a second driver and a node of two cards, which that has not.
"""

import json
import pathlib
import time
import unittest

import yaml

import helm
from kubectl import kubectl, must
from node import DRIVER, ReadyNode, slices

EXAMPLES = helm.SOURCES / "examples/kubernetes"


def wait(what, condition, seconds=90):
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            state = kubectl("get", "pods,resourceclaims,events", "-A").stdout[-4000:]
            raise AssertionError("%s: not within %d s\n%s" % (what, seconds, state))
        time.sleep(0.2)


def allocated():
    """[(driver, device, adminAccess)] of all claims that are allocated."""
    found = []
    for claim in json.loads(must("get", "resourceclaims", "-A", "-o", "json"))["items"]:
        for result in claim.get("status", {}).get("allocation", {}).get("devices", {}).get("results", []):
            found.append((result["driver"], result["device"], result.get("adminAccess", False)))
    return sorted(found)


def card(device):
    return device.split("-")[0]


class ExamplesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        must("apply", "-f", str(helm.SOURCES / "deploy/manifests/mimic.yaml"))
        must("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n3"}}))
        # The class of the second driver, which its own installation brings.
        nic = {"selectors": [{"cel": {"expression": 'device.driver == "nic.example.com"'}}]}
        must("apply", "-f", "-", text=json.dumps({"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass",
                                                  "metadata": {"name": "nic.example.com"}, "spec": nic}))
        must("delete", "resourceslices", "--all")
        must("create", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": slices("n3")}))
        cls.node = ReadyNode("n3", must)
        cls.node.__enter__()
        wait("the node has no taint", lambda: not json.loads(must("get", "node", "n3", "-o", "json"))["spec"].get("taints"))
        wait("the default service account", lambda: kubectl("get", "serviceaccount", "default", "-n", "default").returncode == 0)

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__()
        must("delete", "resourceslices", "--all")

    def remove(self, name):
        # No kubelet says that the pods have ended.
        must("delete", "-f", str(EXAMPLES / name), "--grace-period=0", "--force", "--ignore-not-found", "--wait=false")

    def scheduled(self, name):
        """Applies an example and returns what it was given, [(driver, device, adminAccess)]."""
        self.addCleanup(wait, "all claims are gone", lambda: not allocated())  # after all that follows
        self.addCleanup(self.remove, name)
        if name == "admin-monitor.yaml":
            must("apply", "-f", "-", text=json.dumps(next(yaml.safe_load_all((EXAMPLES / name).read_text()))))
            wait("the service account", lambda: kubectl("get", "serviceaccount", "default", "-n", "mimic-monitor").returncode == 0)
        must("apply", "-f", str(EXAMPLES / name))
        pod = [each for each in yaml.safe_load_all((EXAMPLES / name).read_text()) if each["kind"] == "Pod"][0]["metadata"]
        namespace = pod.get("namespace", "default")
        wait(name, lambda: must("get", "pod", pod["name"], "-n", namespace, "-o", "jsonpath={.spec.nodeName}") == "n3")
        return allocated()

    def waits(self, pod):
        """Whether the scheduler said that the pod as it is now (others of its name had events, too) finds no devices."""
        uid = must("get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
        return "cannot allocate all claims" in must("get", "events", "--field-selector", "involvedObject.uid=" + uid,
                                                    "-o", "jsonpath={.items[*].message}")

    def devices(self, name):
        found = self.scheduled(name)
        self.assertEqual({(driver, admin) for driver, _, admin in found}, {(DRIVER, False)})
        return [each for _, each, _ in found]

    def test_basic(self):
        self.assertIn(self.devices("basic.yaml"), (["mock0"], ["mock1"]))

    def test_localities(self):
        for name in ("numa-locality.yaml", "pcie-locality.yaml"):
            with self.subTest(name):
                self.assertIn(self.devices(name), (["mock0-vf0", "mock0-vf1"], ["mock1-vf0", "mock1-vf1"]))
                self.doCleanups()

    def test_virtual_functions(self):
        for name in ("sriov-vf.yaml", "extended-resource.yaml"):
            with self.subTest(name):
                self.assertRegex(",".join(self.devices(name)), r"^mock[01]-vf[01]$")
                self.doCleanups()

    def test_card_and_a_part_of_the_other(self):
        one, two = self.devices("mixed-pf-vf.yaml")
        self.assertEqual({len(one.split("-")), len(two.split("-"))}, {1, 2})
        self.assertNotEqual(card(one), card(two))

    def test_list_gives_the_first_that_is_free(self):
        self.assertEqual(len(self.devices("prioritized-list.yaml")), 1)
        # One card is taken, of the other a part: for a second such pod two parts of it are too many, and they wait for none.
        self.doCleanups()
        mixed = self.devices("mixed-pf-vf.yaml")
        must("apply", "-f", str(EXAMPLES / "prioritized-list.yaml"))
        self.addCleanup(self.remove, "prioritized-list.yaml")
        wait("the scheduler's answer", lambda: self.waits("prioritized-list"))
        self.assertEqual([each for _, each, _ in allocated()], mixed)
        must("delete", "-f", str(EXAMPLES / "mixed-pf-vf.yaml"), "--grace-period=0", "--force", "--wait=false")
        wait("its turn", lambda: must("get", "pod", "prioritized-list", "-o", "jsonpath={.spec.nodeName}") == "n3")

    def test_degraded_device_goes_to_who_tolerates_it(self):
        taint = {"key": DRIVER + "/degraded", "effect": "NoSchedule"}
        original = json.loads(must("get", "resourceslice", "n3-devices", "-o", "json"))["spec"]["devices"]
        tainted = json.loads(json.dumps(original))
        for each in tainted:
            each["taints"] = [taint]
        patch = "[%s]" % json.dumps({"op": "replace", "path": "/spec/devices", "value": tainted})
        must("patch", "resourceslice", "n3-devices", "--type=json", "-p", patch)
        back = "[%s]" % json.dumps({"op": "replace", "path": "/spec/devices", "value": original})
        self.addCleanup(must, "patch", "resourceslice", "n3-devices", "--type=json", "-p", back)
        self.assertEqual(len(self.devices("tolerate-degraded.yaml")), 1)
        must("apply", "-f", str(EXAMPLES / "sriov-vf.yaml"))
        self.addCleanup(self.remove, "sriov-vf.yaml")
        wait("the other pod waits", lambda: self.waits("sriov-vf"))

    def test_monitor_sees_all_cards(self):
        self.assertEqual(self.scheduled("admin-monitor.yaml"), [(DRIVER, "mock0", True), (DRIVER, "mock1", True)])

    def test_two_drivers_below_one_host_bridge(self):
        accelerator, nic = self.scheduled("cross-driver.yaml")
        self.assertEqual(nic, ("nic.example.com", "nic0", False))
        self.assertEqual(card(accelerator[1]), "mock1")

    def test_all_examples_are_tried(self):
        text = pathlib.Path(__file__).read_text()
        self.assertEqual([file.name for file in EXAMPLES.glob("*.yaml") if '"%s"' % file.name not in text], [])
