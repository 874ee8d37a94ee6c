#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""simulate_test.py BIN: 200 nodes of `mimic-dra --simulate`, kept alive by kwok, on a real control plane: its scheduler
places pods with claims there, and the slices stay true while devices fall ill and somebody else meddles.
BIN is the folder with mimic and mimic-dra."""

import collections
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request

from control_plane import ROOT, ApiFailure, ControlPlane, programs

HERE = pathlib.Path(__file__).resolve().parent
NODES = 200
DRIVER = "mock-accel.example.com"
RESOURCE = "/apis/resource.k8s.io/v1"
SLICES = RESOURCE + "/resourceslices"
CLAIMS = RESOURCE + "/namespaces/default/resourceclaims"
PODS = "/api/v1/namespaces/default/pods"
LIMIT = 300  # seconds for a machine that is very busy; nothing here takes ten on a quiet one


def attribute(name):
    return "device.attributes['%s'].%s" % (DRIVER, name)


PLAIN = "%s == 'pf' && !('totalVFs' in device.attributes['%s'])" % (attribute("deviceType"), DRIVER)
SPLIT = "%s == 'pf' && 'totalVFs' in device.attributes['%s']" % (attribute("deviceType"), DRIVER)
VF = "%s == 'vf'" % attribute("deviceType")


def request(name, expression, count=1):
    return {"name": name, "exactly": {"deviceClassName": "mock", "count": count,
                                      "selectors": [{"cel": {"expression": expression}}]}}


class Simulator:
    """A running mimic-dra --simulate."""

    def __init__(self, plane, name, *options):
        self.plane, self.name = plane, name
        self.process = plane.spawn(name, *self.command(plane), "--simulate=%s" % (HERE / "node.yaml"), "--numvfs=all",
                                   "--nodes=%d" % NODES, "--kubeconfig=%s" % (plane.run / "admin.conf"),
                                   "--http=127.0.0.1:0", *options, stdout=subprocess.PIPE)
        self.port = int(self.line(r"http port=(\d+)").group(1))
        self.published = self.line(r"published nodes=(\d+) slices=(\d+) devices=(\d+) seconds=([\d.]+)")

    @staticmethod
    def command(plane):
        return [str(plane.bin / "mimic-dra")]

    def line(self, pattern):
        text = self.process.stdout.readline().decode()
        found = re.match(pattern, text)
        if not found:
            raise AssertionError("%s said %r:\n%s" % (self.name, text, self.plane.log(self.name)))
        return found

    def metrics(self):
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % self.port, timeout=60) as answer:
            text = answer.read().decode()
        return {key: float(value) for key, value in re.findall(r"^mimic_dra_simulate_(\S+) (\S+)$", text, re.M)}

    def quiet(self, changes):
        """Metrics once all changes of the churn are on the server."""
        def ready():
            now = self.metrics()
            return now["churn_changes_total"] >= changes and now["queue_length"] == 0 and now
        return self.plane.wait_until(ready, lambda: "the churn is published: %s" % self.metrics(), LIMIT)

    def end(self):
        code = self.plane.end(self.name, wait=LIMIT)
        self.process.stdout.close()
        return code


class SimulateTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="mimic-simulate-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        parts = programs("kube", "kwok")
        cls.plane = ControlPlane(cls.folder, parts["kube"])
        cls.plane.bin = BIN
        cls.addClassCleanup(cls.plane.stop)
        cls.plane.start()
        cls.plane.spawn("kwok", str(parts["kwok"]), "--kubeconfig=%s" % (cls.plane.run / "admin.conf"),
                        "--config=%s" % (ROOT / "tests/cluster/kwok/stages.yaml"), "--manage-all-nodes=true",
                        "--server-address=127.0.0.1:0", "--node-ip=127.0.0.1", "--node-lease-duration-seconds=0")
        cls.plane.create(RESOURCE + "/deviceclasses", {
            "apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "mock"},
            "spec": {"selectors": [{"cel": {"expression": "device.driver == '%s'" % DRIVER}}]}})

    # -- what the API server has ---------------------------------------------------------------------------------------

    def pools(self):
        """Pools by node, as a scheduler sees them: the newest generation, which must be complete."""
        slices = collections.defaultdict(list)
        for one in self.plane.items(SLICES):
            slices[one["spec"]["pool"]["name"]].append(one["spec"])
        pools = {}
        for name, specs in slices.items():
            newest = max(spec["pool"]["generation"] for spec in specs)
            current = [spec for spec in specs if spec["pool"]["generation"] == newest]
            complete = all(spec["pool"]["resourceSliceCount"] == len(current) for spec in current)
            if complete and len(current) == len(specs):
                pools[name] = [device for spec in current for device in spec.get("devices", [])]
        return pools

    def check_whole(self, ill):
        """Each node has its pool, and as many devices of all are tainted or gone as the simulator says."""
        def difference():
            pools = self.pools()
            devices = [device for pool in pools.values() for device in pool]
            found = NODES * 8 - len(devices) + sum(1 for device in devices if device.get("taints"))
            return [] if len(pools) == NODES and found == ill else [len(pools), len(devices), found]
        self.plane.wait_until(lambda: not difference(),
                              lambda: "%d pools with %d ill devices: %s" % (NODES, ill, difference()), LIMIT)

    # -- pods ----------------------------------------------------------------------------------------------------------

    def pod(self, name, requests, node=None, constraints=()):
        self.plane.create(CLAIMS, {
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": name},
            "spec": {"devices": {"requests": requests, "constraints": list(constraints)}}})
        spec = {"containers": [{"name": "main", "image": "none", "resources": {"claims": [{"name": "it"}]}}],
                "resourceClaims": [{"name": "it", "resourceClaimName": name}], "terminationGracePeriodSeconds": 0}
        if node:
            spec["nodeSelector"] = {"kubernetes.io/hostname": node}
        self.plane.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})

    def remove(self, name):
        for path in (PODS, CLAIMS):
            try:
                self.plane.delete("%s/%s" % (path, name))
            except ApiFailure as failure:
                self.assertEqual(failure.status, 404)

    def statuses(self):
        return {one["metadata"]["name"]: one["status"] for one in self.plane.items(PODS)}

    def wait_running(self, *names):
        def running():
            now = self.statuses()
            return all(now.get(name, {}).get("phase") == "Running" for name in names)
        self.plane.wait_until(running, lambda: "Running: %s in %s" % (names, self.statuses()), LIMIT)

    def wait_unschedulable(self, name):
        def refused():
            return any(one["type"] == "PodScheduled" and one["status"] == "False" and
                       "cannot allocate all claims" in one.get("message", "")
                       for one in self.statuses()[name].get("conditions", []))
        self.plane.wait_until(refused, lambda: "%s is refused: %s" % (name, self.statuses()[name]), LIMIT)

    def devices_of(self, name):
        """(node, device) of what the claim got, which is on its pod's node."""
        results = self.plane.get("%s/%s" % (CLAIMS, name))["status"]["allocation"]["devices"]["results"]
        node = self.plane.get("%s/%s" % (PODS, name))["spec"]["nodeName"]
        self.assertEqual({result["pool"] for result in results}, {node})
        return [(node, result["device"]) for result in results]

    # -- the parts of the story ----------------------------------------------------------------------------------------

    def check_counts_and_matches(self):
        """60 pods with two plain cards each: two per node are there, so each has a node of its own. 60 with a whole card
        and a partition below one PCIe root."""
        match = {"requests": ["whole", "part"], "matchAttribute": "resource.kubernetes.io/pcieRoot"}
        for index in range(60):
            self.pod("two-%d" % index, [request("cards", PLAIN, 2)])
            self.pod("near-%d" % index, [request("whole", PLAIN), request("part", VF)], constraints=[match])
        names = ["%s-%d" % (kind, index) for kind in ("two", "near") for index in range(60)]
        self.wait_running(*names)
        given = [device for name in names for device in self.devices_of(name)]
        self.assertEqual(len(given), 240)
        self.assertEqual(len(set(given)), len(given), "a device was given twice")
        self.assertEqual(len({self.devices_of("two-%d" % index)[0][0] for index in range(60)}), 60)
        roots = {(pool, device["name"]): device["attributes"]["resource.kubernetes.io/pcieRoot"]["string"]
                 for pool, devices in self.pools().items() for device in devices}
        for index in range(60):
            self.assertEqual(len({roots[device] for device in self.devices_of("near-%d" % index)}), 1)
        for name in names:
            self.remove(name)

    def check_partitions(self):
        """A card and its partitions are never both given away."""
        node = "sim-%d" % (NODES - 1)
        self.pod("whole", [request("cards", SPLIT, 2)], node)
        self.wait_running("whole")
        self.pod("part", [request("part", VF)], node)
        self.wait_unschedulable("part")
        self.remove("whole")
        self.wait_running("part")
        self.pod("again", [request("cards", SPLIT, 2)], node)
        self.wait_unschedulable("again")
        self.remove("part")
        self.wait_running("again")
        self.remove("again")

    def meddle(self, rng):
        """What nobody should do to slices that are not theirs."""
        for victim in rng.sample(self.plane.items(SLICES), 20):
            path = "%s/%s" % (SLICES, victim["metadata"]["name"])
            try:
                if rng.random() < 0.5:
                    self.plane.delete(path)
                else:
                    victim["spec"]["pool"]["generation"] += rng.randrange(2)
                    victim["spec"].pop("devices", None)
                    victim["spec"].pop("sharedCounters", None)
                    self.plane.request("PUT", path, victim)
            except ApiFailure as failure:  # the churn was faster
                self.assertIn(failure.status, (404, 409))

    def test_a_scheduler_and_churn(self):
        first = Simulator(self.plane, "first", "--create-nodes")
        self.assertEqual(first.published.groups()[:3], (str(NODES), str(2 * NODES), str(8 * NODES)))
        self.check_whole(0)
        self.plane.wait_until(
            lambda: sum(1 for node in self.plane.items("/api/v1/nodes")
                        if not node["spec"].get("taints")) == NODES, "all nodes are ready", LIMIT)
        self.check_counts_and_matches()
        self.check_partitions()

        # Slices outlive the simulator; another takes them over as they are.
        self.assertEqual(first.end(), 0, self.plane.log("first"))
        self.check_whole(0)
        second = Simulator(self.plane, "second", "--churn=100", "--churn-steps=500", "--seed=11", "--delete-on-exit")
        self.assertEqual(second.published.group(2), str(2 * NODES))
        self.assertNotIn('requests_total{verb="create",code="201"}', second.metrics())

        self.meddle(random.Random(3))
        now = second.quiet(500)
        self.assertGreater(now["ill_devices"], 0)
        self.check_whole(now["ill_devices"])
        self.meddle(random.Random(4))
        self.check_whole(now["ill_devices"])
        self.assertGreater(second.metrics()["restored_nodes_total"], 0)
        self.assertEqual(second.end(), 0, self.plane.log("second"))
        self.assertEqual(self.plane.items(SLICES), [])


if __name__ == "__main__":
    if shutil.which("go") is None:
        print("SKIP: there is no go in PATH, which builds the Kubernetes of the tests")
        sys.exit(77)
    BIN = pathlib.Path(sys.argv.pop(1)).resolve()
    os.environ.pop("KUBECONFIG", None)
    unittest.main()
