# SPDX-License-Identifier: Apache-2.0
"""A node that only says that it is Ready, with the devices of two NUMA nodes, for the real scheduler: no kubelet, no driver."""

import json
import threading
import time

DRIVER = "mock-accel.example.com"


def device(number, vf=None):
    """As the driver publishes it: PF `number` on NUMA node `number`, or a VF of it; both consume counters of one set."""
    kind = "pf" if vf is None else "vf"
    return {
        "name": "mock%d" % number + ("" if vf is None else "-vf%d" % vf),
        "attributes": {
            DRIVER + "/deviceType": {"string": kind},
            DRIVER + "/uuid": {"string": "N%d-%s" % (number, kind)},
            "resource.kubernetes.io/numaNode": {"int": number},
            "resource.kubernetes.io/pcieRoot": {"string": "pci0000:%d0" % (number + 1)},
        },
        "capacity": {DRIVER + "/memory": {"value": "16Gi" if vf is None else "2Gi"}},
        "consumesCounters": [{"counterSet": "mock%d" % number, "counters": {"functions": {"value": "2" if vf is None else "1"}}}],
    }


def slices(node):
    """Objects: two PFs with two VFs each, and a card of another driver below the second one's host bridge."""
    def one(name, driver, count, **content):
        return {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": name},
                "spec": {"driver": driver, "nodeName": node, **content,
                         "pool": {"name": node, "generation": 1, "resourceSliceCount": count}}}
    sets = [{"name": "mock%d" % number, "counters": {"functions": {"value": "2"}}} for number in (0, 1)]
    devices = [device(number, vf) for number in (0, 1) for vf in (None, 0, 1)]
    # Without the attributes of the first driver: CEL that does not look at the driver first fails on it.
    nic = {"name": "nic0", "attributes": {"resource.kubernetes.io/pcieRoot": {"string": "pci0000:20"}}}
    return [one(node + "-counters", DRIVER, 2, sharedCounters=sets), one(node + "-devices", DRIVER, 2, devices=devices),
            one(node + "-nic", "nic.example.com", 1, devices=[nic])]


class ReadyNode:
    """Keeps a Node Ready: nobody else writes its status, and the node controller would take it for lost."""

    def __init__(self, name, must):
        self.name, self.must = name, must
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self):
        while not self.ended.wait(3):
            try:
                self.beat()
            except AssertionError:
                pass  # the API server is busy; the next beat counts

    def beat(self):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        status = {"capacity": {"cpu": "8", "memory": "8Gi", "pods": "50"}, "allocatable": {"cpu": "8", "memory": "8Gi", "pods": "50"},
                  "conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": "", "lastHeartbeatTime": now}]}
        self.must("patch", "node", self.name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))

    def __enter__(self):
        self.beat()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
