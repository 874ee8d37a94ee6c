#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes whose nodes are guests (`mimic cluster up`), with the driver's plain YAML and the examples as they are.

one: one node; a claim makes a pod run, a fault evicts it, another pod runs when the fault is gone; then the control plane is
killed piece by piece, and `mimic cluster down` leaves nothing.
two: two nodes with 12 functions, programs of Kubernetes by path; claims by topology, faults on one node, a node that is killed.
fabric: one node with native SR-IOV; a claim makes the VFs that it is for and its end removes them, a PCIe error evicts a pod."""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TREE = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(TREE / "tests/vm"), str(TREE / "tests/cluster")]
from reach import patiently  # noqa: E402  pylint: disable=wrong-import-position
from guest import Failure, Topology, check, equal  # noqa: E402  pylint: disable=wrong-import-position

SKIP = 77
FILE = TREE / "examples/two-node-cluster.yaml"
EXAMPLES = TREE / "examples/kubernetes"
MANIFEST = TREE / "deploy/manifests/mimic.yaml"
IMAGE = "mimic.local/mimic-dra:0.1.0"
DRIVER = "mock-accel.example.com"
# Of a machine with a load of 20. Nothing is asserted about times.
PATIENCE = 420
NO_CONDITIONS = {"status": {"conditions": []}}


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                          check=False, **options)


class Cluster(Topology):
    """`mimic cluster up` on entry, `down` on exit with a look at what stayed. exec(), inject() and so on are Topology's."""

    def __init__(self, mimic, *options, file=FILE):
        super().__init__(mimic, "", "6.1", *options)
        self.file = file
        self.kubectl_words = []
        self.kubeconfig = ""
        self.up = None

    def __enter__(self):
        try:
            self.up = self.run("cluster", "up", str(self.file), "--timeout", "600", *self.options, timeout=900)
            check(self.up.status == 0, f"mimic cluster up failed: {self.up}")
            print(self.up.out, flush=True)
            self.kubectl_words = re.search(r"^  kubectl: (.*)$", self.up.out, re.MULTILINE)[1].split()
            self.kubeconfig = re.search(r"^export KUBECONFIG=(.*)$", self.up.out, re.MULTILINE)[1]
            return self
        except BaseException:
            self.close(show_logs=True)
            raise

    def __exit__(self, kind, error, trace):
        if kind is not None and self.kubeconfig:
            self.describe()
        down = self.close(show_logs=kind is not None)
        if kind is None:
            check(down.status == 0, f"mimic cluster down failed: {down}")
            equal("processes left", {}, self.left)
            equal("files left", [], self.left_files)

    def close(self, show_logs=False):
        """As Topology's, but what ends is the cluster; its folder begins with a dot."""
        cluster_down = self.run("cluster", "down")
        hidden = [str(path) for path in pathlib.Path(self.environment["XDG_RUNTIME_DIR"]).glob("mimic/.cluster-*")]
        hidden += [str(path) for path in pathlib.Path(self.environment["XDG_STATE_HOME"]).glob("mimic/.cluster-*/etcd")]
        machines_down = super().close(show_logs)
        self.left_files += hidden
        if "down" in machines_down.out:
            self.left_files.append(f"machines: {machines_down.out}")
        return cluster_down

    def describe(self):
        """For a person who reads why it failed."""
        for words in (["get", "pods,resourceclaims,nodes", "-A", "-o", "wide"], ["get", "events", "-A"],
                      ["get", "resourceslices", "-o", "yaml"],
                      ["logs", "-n", "mimic-system", "-l", "app.kubernetes.io/name=mimic", "--tail=40"]):
            done = self.kubectl(*words, checked=False)
            print("---", *words, done.stdout[-6000:], done.stderr[-1000:], sep="\n", flush=True)

    def kubectl(self, *words, checked=True, timeout=120):
        def ask():
            return run([*self.kubectl_words, "--kubeconfig", self.kubeconfig, *words], timeout=timeout)
        done = patiently(ask) if checked else ask()
        check(not checked or done.returncode == 0, f"kubectl {words}: {done.stdout}\n{done.stderr}")
        return done

    def get(self, *words):
        """An object or a list, or None if it is not there (or the API server is not)."""
        done = self.kubectl("get", *words, "-o", "json", checked=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_until(self, what, condition):
        """Result of `condition` once it is true."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            result = condition()
            if result:
                return result
            time.sleep(0.5)
        raise Failure(f"never: {what}")

    def slices(self):
        """Devices by node and name."""
        nodes = {}
        for one in (self.get("resourceslices") or {"items": []})["items"]:
            spec = one["spec"]
            if spec["driver"] == DRIVER:
                nodes.setdefault(spec["nodeName"], {}).update({device["name"]: device for device in spec.get("devices", [])})
        return nodes

    def device(self, node, name):
        """What a slice says of a device, once it is there."""
        return self.wait_until(f"device {name} of {node}", lambda: self.slices().get(node, {}).get(name))

    def taints(self, node, device):
        return [taint["key"] for taint in self.slices().get(node, {}).get(device, {}).get("taints", [])]

    def apply(self, file):
        return self.kubectl("apply", "-f", str(file))

    def running(self, pod):
        """The pod, once it runs."""
        def runs():
            found = self.get("pod", pod)
            return found if found and found["status"].get("phase") == "Running" else None
        return self.wait_until(f"pod {pod} runs", runs)

    def devices_of(self, pod):
        """(node, device) of all that the pod's claims hold."""
        found = []
        for status in pod["status"]["resourceClaimStatuses"]:
            claim = self.wait_until("the claim", lambda name=status["resourceClaimName"]: self.get("resourceclaim", name))
            found += [(one["pool"], one["device"]) for one in claim["status"]["allocation"]["devices"]["results"]]
        return found

    def gone(self, pod):
        def is_gone():
            done = self.kubectl("get", "pod", pod, "--ignore-not-found", "-o", "name", checked=False)
            return done.returncode == 0 and done.stdout == ""
        self.wait_until(f"pod {pod} is gone", is_gone)

    def remove(self, pod):
        self.kubectl("delete", "pod", pod, "--ignore-not-found", "--wait=false")
        self.gone(pod)

    def control_plane(self):
        """Ids of processes by name."""
        state = json.loads((pathlib.Path(self.kubeconfig).parent / "state.json").read_text())
        return {"supervisor": state["supervisor"]["pid"],
                **{name: one["pid"] for name, one in state["processes"].items()}}

    def deploy_driver(self, nodes, devices, options=()):
        """The plain YAML, with room for a driver that was built with sanitizers and other options; waits for its slices."""
        text = MANIFEST.read_text().replace("memory: 128Mi", "memory: 768Mi")
        plain = "            - --vfs=existing\n"
        check(plain in text, f"{MANIFEST} does not say {plain}")
        text = text.replace(plain, "".join(f"            - {option}\n" for option in options) or plain)
        check(IMAGE in text, f"{MANIFEST} does not say {IMAGE}")
        file = pathlib.Path(self.folder) / "mimic.yaml"
        file.write_text(text)
        self.apply(file)
        self.wait_until(f"{devices} devices on each of {nodes}",
                        lambda: {node: len(found) for node, found in self.slices().items()} == dict.fromkeys(nodes, devices))


def function_of(device):
    """The name in the topology file, by the label that the file gives it: NODE1-NUMA0-PF is numa0."""
    return re.fullmatch(r"NODE\d-(NUMA\d)-PF", device["attributes"][f"{DRIVER}/uuid"]["string"])[1].lower()


def fault_evicts(cluster, pod, node, device):
    """A device that reads as ones is tainted and its pod evicted; when the fault ends, so does the taint."""
    function = function_of(cluster.device(node, device))
    cluster.inject(node, function, "all-ones")
    cluster.wait_until("the taint", lambda: f"{DRIVER}/unreachable" in cluster.taints(node, device))
    cluster.gone(pod)
    # Nothing of the pod is left in the guest: what it had is free.
    cluster.wait_until("the claim is gone", lambda: (cluster.get("resourceclaims", "-n", "default") or {}).get("items") == [])
    cluster.inject(node, function, "clear")
    cluster.wait_until("the taint's end", lambda: cluster.taints(node, device) == [])


def runs(pid):
    try:
        return "State:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def control_plane_is_killed(cluster):
    """What ends by itself starts again; with its supervisor all of it ends, and `down` (on exit) clears the rest away."""
    before = cluster.control_plane()
    os.kill(before["api-server"], signal.SIGKILL)
    cluster.wait_until("another API server", lambda: cluster.control_plane()["api-server"] != before["api-server"] and
                       cluster.get("nodes"))
    now = cluster.control_plane()
    os.kill(now["supervisor"], signal.SIGKILL)
    cluster.wait_until("the end of the control plane", lambda: not any(runs(pid) for pid in now.values()))


def one(mimic, image):
    with Cluster(mimic, "--machine", "node1", "--image", str(image)) as cluster:
        cluster.verify("node1")
        cluster.deploy_driver(["node1"], 2)
        cluster.apply(EXAMPLES / "basic.yaml")
        pod = cluster.running("basic")
        [(node, device)] = cluster.devices_of(pod)
        output = cluster.wait_until("the pod's output", lambda: cluster.kubectl("logs", "basic", checked=False).stdout)
        path = re.search(r"^MOCK_ACCEL_DEVICE_NODE=(/dev/.*)$", output, re.MULTILINE)
        check(path, f"the pod is not told of its device: {output}")
        check(f"MOCK_ACCEL_DEVICE={device}\n" in output, f"the pod is told of another device than {device}: {output}")
        kind = cluster.kubectl("exec", "basic", "--", "stat", "-c", "%F", path[1]).stdout.strip()
        equal(path[1], "character special file", kind)
        fault_evicts(cluster, "basic", node, device)
        cluster.apply(EXAMPLES / "basic.yaml")
        cluster.running("basic")
        control_plane_is_killed(cluster)


def own_kubernetes(folder):
    """A folder of programs by their own names, as a release of Kubernetes has."""
    found = run([str(TREE / "tools/kube"), "kube"])
    check(found.returncode == 0, f"tools/kube: {found.stderr}")
    own = pathlib.Path(folder) / "kubernetes"
    own.mkdir()
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl"):
        (own / name).symlink_to(pathlib.Path(found.stdout.strip()) / "kube")
    return own


def same(cluster, pod, attribute):
    """Values of an attribute of the pod's devices, which are two."""
    devices = [cluster.device(node, name) for node, name in cluster.devices_of(pod)]
    equal("devices", 2, len(devices))
    return {json.dumps(device["attributes"][attribute]) for device in devices}


def two(mimic, image):
    with tempfile.TemporaryDirectory(prefix="mvm-") as folder:
        with Cluster(mimic, "--image", str(image), "--kubernetes", str(own_kubernetes(folder))) as cluster:
            nodes = ["node1", "node2"]
            for node in nodes:
                cluster.verify(node)
                cluster.shell(node, "for d in /sys/class/mock-accel/mock?; do echo 2 >$d/sriov_numvfs; done")
            cluster.deploy_driver(nodes, 6)
            for example, attribute in (("pcie-locality", "resource.kubernetes.io/pcieRoot"),
                                       ("numa-locality", "resource.kubernetes.io/numaNode")):
                cluster.apply(EXAMPLES / f"{example}.yaml")
                pod = cluster.running(example)
                equal(attribute, 1, len(same(cluster, pod, attribute)))
                cluster.remove(example)
            cluster.apply(EXAMPLES / "basic.yaml")
            pod = cluster.running("basic")
            [(node, device)] = cluster.devices_of(pod)
            equal("node", node, pod["spec"]["nodeName"])
            fault_evicts(cluster, "basic", node, device)
            # The other node goes on without one that is killed.
            cluster.apply(EXAMPLES / "basic.yaml")
            cluster.running("basic")
            state = json.loads((pathlib.Path(cluster.environment["XDG_RUNTIME_DIR"]) /
                                "mimic/node2/state.json").read_text())
            os.kill(state["qemu"]["pid"], signal.SIGKILL)
            cluster.wait_until("node2 is not ready", lambda: [
                condition["status"] for condition in (cluster.get("node", "node2") or NO_CONDITIONS)["status"]["conditions"]
                if condition["type"] == "Ready"] == ["Unknown"])
            equal("machines", ["node1"], cluster.run("ps", "--names").out.split())


def fabric(mimic, image):
    node, vfs = "fabric-sriov", 64
    with Cluster(mimic, "--image", str(image), file=TREE / "examples/fabric-sriov.yaml") as cluster:
        def enabled():
            return int(cluster.shell(node, "cat /sys/class/mock-accel/mock0/device/sriov_numvfs").strip())

        cluster.deploy_driver([node], 1 + vfs, ["--vfs=on-demand", "--aer-hold=60"])
        equal("VFs before a claim", 0, enabled())
        cluster.apply(EXAMPLES / "sriov-vf.yaml")
        pod = cluster.running("sriov-vf")
        [(_, device)] = cluster.devices_of(pod)
        equal("VFs with a claim", vfs, enabled())
        output = cluster.wait_until("the pod's output", lambda: cluster.kubectl("logs", "sriov-vf", checked=False).stdout)
        check(re.search(r"^MOCK_ACCEL_UUID=FABRIC-VF-", output, re.MULTILINE), f"{device} is no VF of ours: {output}")
        cluster.remove("sriov-vf")
        cluster.wait_until("the VFs are gone", lambda: enabled() == 0)
        # The whole card, and an error that its root port reports.
        cluster.apply(EXAMPLES / "basic.yaml")
        equal("device", [(node, "mock0")], cluster.devices_of(cluster.running("basic")))
        cluster.inject(node, "gpu0", "completer-abort", "severity=nonfatal")
        cluster.wait_until("the taint", lambda: f"{DRIVER}/aer" in cluster.taints(node, "mock0"))
        cluster.gone("basic")
        cluster.wait_until("the taint's end", lambda: cluster.taints(node, "mock0") == [])


SCENARIOS = {"one": one, "two": two, "fabric": fabric}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mimic", required=True, help="the program under test")
    parser.add_argument("--driver", required=True, help="mimic-dra")
    parser.add_argument("scenario", choices=SCENARIOS)
    options = parser.parse_args()
    if shutil.which("go") is None:
        print("SKIP: there is no go in PATH, which builds the Kubernetes of the tests")
        return SKIP
    with tempfile.TemporaryDirectory(prefix="mimg-") as folder:
        image = pathlib.Path(folder) / "mimic-dra.tar"
        # Guests unpack it: what a debugger wants stays here.
        driver = shutil.copy(options.driver, folder)
        run(["strip", driver])
        made = run([str(TREE / "tools/image"), str(image), "--name", IMAGE, "--program", f"{driver}=/usr/bin/mimic-dra", "--",
                    "/usr/bin/mimic-dra"])
        try:
            check(made.returncode == 0, f"tools/image: {made.stderr}")
            SCENARIOS[options.scenario](options.mimic, image)
        except (Failure, subprocess.TimeoutExpired) as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return 1
    print(f"{options.scenario}: all checks hold")
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
