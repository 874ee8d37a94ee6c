# SPDX-License-Identifier: Apache-2.0
"""Virtio devices on vhost-user: Linux' stock virtio_rng behind QEMU's generic vhost-user device, what tools see of it, and
a device host that dies and is started again while the guest runs.

QEMU 11.1's generic device cannot reconnect: it aborts in vhost_dev_start() when a chardev with reconnect-ms comes back.
So whoever starts a device host anew unplugs the device and plugs it in again, by QEMU's monitor."""
import contextlib
import json
import pathlib
import socket
import subprocess

from guest import TREE, check, equal

MACHINE = "vhost"
RNG = "/sys/class/misc/hw_random"


class Monitor:
    """QEMU's monitor (QMP); the supervisor uses it only to end a machine."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rw", encoding="utf-8")
        self.lines.readline()
        self.events = []
        self.run("qmp_capabilities")

    def close(self):
        self.lines.close()
        self.socket.close()

    def read(self):
        return json.loads(self.lines.readline())

    def run(self, command, **arguments):
        self.lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.lines.flush()
        while True:
            answer = self.read()
            if "event" in answer:
                self.events.append(answer)
                continue
            check("return" in answer, f"{command} {arguments}: {answer}")
            return answer["return"]

    def wait_deleted(self, device):
        while True:
            for event in self.events:
                if event["event"] == "DEVICE_DELETED" and event["data"].get("device") == device:
                    return
            self.events = [self.read()]


@contextlib.contextmanager
def monitor(vm):
    one = Monitor(str(run_dir(vm) / "qmp.sock"))
    try:
        yield one
    finally:
        one.close()


def run_dir(vm):
    return pathlib.Path(vm.environment["XDG_RUNTIME_DIR"]) / "mimic" / MACHINE


def names(vm):
    return [name for name in vm.shell(MACHINE, f"cat {RNG}/rng_available").split() if name.startswith("virtio_rng")]


def returned(vm, device):
    return vm.counters(MACHINE, device)["virtio_buffers_returned"]


def read_random(vm, name):
    """4 KiB of the source called `name`, which is current then; they are not the same twice."""
    vm.shell(MACHINE, f"echo {name} >{RNG}/rng_current")
    script = "head -c 4096 /dev/hwrng | sha256sum | cut -c1-64"
    first, second = vm.shell(MACHINE, script), vm.shell(MACHINE, script)
    equal("length of a sum", 64, len(first))
    check(first != second, f"{name} gave the same bytes twice")


def device_of(vm, name, devices):
    """Which of the devices answers what is read from the source `name`."""
    before = {device: returned(vm, device) for device in devices}
    read_random(vm, name)
    grown = {device: returned(vm, device) - before[device] for device in devices}
    most = max(grown, key=grown.get)
    # 8 KiB came in buffers of a cache line; one of the source before may have been under way.
    check(grown[most] >= 64 > max(count for device, count in grown.items() if device != most) + 60,
          f"buffers of each device while {name} was read: {grown}")
    return most


def tools_know_it(vm):
    info = vm.api(MACHINE, "/v1/devices/rng0")
    equal("kind, connected", ("vhost-user", True), (info["kind"], info["connected"]))
    equal("ids", ("0x1af4", "0x1044"), (info["vendor_id"], info["device_id"]))
    shown = vm.run("regs", MACHINE, "rng0")
    check(shown.status == 0 and "DRIVER_OK+" in shown.out and "queue 0" in shown.out, f"regs: {shown}")
    refused = vm.run("inject", MACHINE, "rng0", "all-ones")
    check(refused.status != 0 and "vhost-user" in refused.err, f"inject all-ones: {refused}")
    check("mimic_device_virtio_kicks_total" in vm.metrics(MACHINE), "no metric of kicks")
    top = vm.run("top", "--once", "--json")
    check('"rng0"' in top.out, f"top: {top}")


def add_device(one, name, argument):
    """Plugs `name` in again, as `mimic plan` has it."""
    one.run("chardev-add", id=f"vhost-{name}", backend={
        "type": "socket", "data": {"addr": {"type": "unix", "data": {"path": argument["path"]}}, "server": False}})
    one.run("device_add", **argument["device"])


def plugged_arguments(vm, name):
    """What QEMU was started with for the device, from its command line."""
    for text in vm.left_processes():
        words = pathlib.Path(f"/proc/{text}/cmdline").read_bytes().decode().split("\0")
        for word in words:
            if word.startswith("{") and f'"dev-{name}"' in word:
                return {"device": json.loads(word), "path": str(run_dir(vm) / f"{name}.sock")}
    check(False, f"no QEMU has a device {name}")
    return None


def unplug(vm, one, name):
    one.run("device_del", id=f"dev-{name}")
    one.wait_deleted(f"dev-{name}")
    one.run("chardev-remove", id=f"vhost-{name}")


def hot_plug(vm, name, argument):
    before = len(names(vm))
    with monitor(vm) as one:
        unplug(vm, one, name)
        vm.wait_for(MACHINE, f"[ $(grep -o virtio_rng {RNG}/rng_available | wc -l) = {before - 1} ]")
        add_device(one, name, argument)
        vm.wait_for(MACHINE, f"[ $(grep -o virtio_rng {RNG}/rng_available | wc -l) = {before} ]")


def dead_control(vm):
    """The control socket that nobody serves any more."""
    dead = []
    for path in run_dir(vm).glob("control-*.sock"):
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as one:
            if one.connect_ex(str(path)) != 0:
                dead.append(str(path))
    equal("control sockets of dead hosts", 1, len(dead))
    return dead[0]


def host_dies_and_returns(vm, argument):
    """The guest outlives rng1's host, and finds rng1 again once it was plugged in anew."""
    vm.inject(MACHINE, "rng1", "host-crash")
    vm.wait_for(MACHINE, "true")
    with monitor(vm) as one:
        while any(" serve " in text and "--device rng1" in text for text in vm.left_processes().values()):
            pass
        equal("state of the guest", "running", one.run("query-status")["status"])
    command = [vm.mimic, "serve", str(TREE / "tests/vm/vhost-rng.yaml"), "--machine", MACHINE, "--device", "rng1",
               "--run-dir", str(run_dir(vm)), "--control", dead_control(vm)]
    with subprocess.Popen(command, env=vm.environment, stdout=subprocess.PIPE, text=True) as host:
        try:
            check("ready" in host.stdout.readline(), "the new device host is not ready")
            hot_plug(vm, "rng1", argument)
            equal("devices", {"rng0", "rng1"}, {device_of(vm, name, ["rng0", "rng1"]) for name in names(vm)})
            vm.check_dmesg(MACHINE)
        finally:
            host.terminate()


def vhost(vm):
    vm.verify(MACHINE)
    equal("sources", 2, len(names(vm)))
    sources = {device_of(vm, name, ["rng0", "rng1"]): name for name in names(vm)}
    equal("devices", {"rng0", "rng1"}, set(sources))
    tools_know_it(vm)
    arguments = {name: plugged_arguments(vm, name) for name in ("rng0", "rng1")}
    hot_plug(vm, "rng0", arguments["rng0"])
    sources = {device_of(vm, name, ["rng0", "rng1"]): name for name in names(vm)}
    equal("devices after hot-plug", {"rng0", "rng1"}, set(sources))
    vm.verify(MACHINE)
    # Whose host dies is not the current source: the kernel would wait for it.
    vm.shell(MACHINE, f"echo {sources['rng0']} >{RNG}/rng_current")
    host_dies_and_returns(vm, arguments["rng1"])


SCENARIOS = {"vhost-user": (vhost, "../tests/vm/vhost-rng.yaml")}
