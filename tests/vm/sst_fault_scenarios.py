# SPDX-License-Identifier: Apache-2.0
"""virtio-sst when things go wrong: simulators that fail on request, and 64 requests in flight while their device is taken
away, sleeps, or loses its device host. Each request has an answer or an error."""
import pathlib
import re

from guest import check, equal

MACHINE = "sst"
IN_FLIGHT = 64
# A request without an answer ends by its timeout: long where there shall be one, since a busy host may stop a guest for a while.
LONG_MS = 300_000
SHORT_MS = 15_000
PARAMETERS = "/sys/module/virtio_sst/parameters"
# sst0 and sst2 do the same over two transports. sst1 keeps its requests longer than any test takes, and has a device host of its own.
FILE = """version: 1
machine:
  name: sst
  devices:
    - {name: sst0, model: virtio-sst, id: 0, simulator: {model: linear, per_unit: 10ns}}
    - name: sst1
      model: virtio-sst
      id: 1
      isolation: process
      simulator: {pace: scaled, model: fixed, latency: 1000s, units: 64}
    - {name: sst2, model: virtio-sst, id: 2, transport: vhost-user, simulator: {model: linear, per_unit: 10ns}}
"""


def write_file(_mimic, folder):
    path = pathlib.Path(folder) / "sst-faults.yaml"
    path.write_text(FILE)
    return str(path)


def asks(vm, device, count, timeout_ms=LONG_MS):
    """Failed requests of `count` COMPUTEs, one after the other."""
    vm.shell(MACHINE, f"echo {timeout_ms} >{PARAMETERS}/timeout_ms")
    done = vm.exec(MACHINE, "sst-test", "-d", device, "-n", str(count), "-t", "compute", "stress")
    line = re.search(r"count=(\d+) .*answered=(\d+) failed=(\d+)", done.out)
    check(line and line.group(1) == str(count), f"sst-test: {done}")
    return int(line.group(3))


def strikes(vm, device, fault):
    report = vm.api(MACHINE, f"/v1/devices/{device}/faults")["faults"]
    return sum(one["strikes"] for one in report if one["fault"] == fault)


def simulators_fail(vm, device):
    """Every fault of a simulator strikes, costs the requests that it struck, and nothing once it is over."""
    equal("failed requests without a fault", 0, asks(vm, device, 50))
    for fault, options, failed, timeout_ms in (("sim-delay", ("count=2", "delay=20ms"), 0, LONG_MS),
                                               ("sim-drop", ("count=1",), 1, SHORT_MS),
                                               ("sim-wrong-id", ("count=1",), 1, SHORT_MS)):
        vm.inject(MACHINE, device, fault, *options)
        equal(f"failed requests of {device} with {fault}", failed, asks(vm, device, 20, timeout_ms))
        check(strikes(vm, device, fault) >= 1, f"{fault} did not strike")
        vm.inject(MACHINE, device, "clear")
    vm.inject(MACHINE, device, "sim-corrupt", "count=20")
    asks(vm, device, 20, SHORT_MS)  # wrong bytes may be where sst-test does not look
    check(strikes(vm, device, "sim-corrupt") >= 1, "sim-corrupt did not strike")
    vm.inject(MACHINE, device, "clear")
    vm.inject(MACHINE, device, "sim-dead")
    equal("failed requests with sim-dead", 20, asks(vm, device, 20, SHORT_MS))
    vm.inject(MACHINE, device, "clear")
    equal("failed requests after all", 0, asks(vm, device, 50))
    traced = vm.run("trace", MACHINE, device)
    check(traced.status == 0 and "COMPUTE" in traced.out, f"no request in the trace of {device}: {traced.out[-2000:]}")


def begin(vm, timeout_ms):
    """64 requests in flight at sst1, whose program leaves its output and status in /tmp."""
    vm.shell(MACHINE, f"""
        echo {timeout_ms} >{PARAMETERS}/timeout_ms
        rm -f /tmp/status
        {{ sst-test -d sst1 -n {IN_FLIGHT} -b {IN_FLIGHT} -t compute batch >/tmp/out 2>&1; echo $? >/tmp/status; }} \\
            >/dev/null 2>&1 </dev/null &""")
    vm.wait_for(MACHINE, f'[ "$(cat /sys/class/sst/sst1/in_flight)" = {IN_FLIGHT} ]')


def ends(vm, what, words):
    """The program has ended, since all its requests failed with an error in these words."""
    vm.wait_for(MACHINE, "[ -s /tmp/status ]")
    out = vm.shell(MACHINE, "cat /tmp/out")
    equal(f"exit status, {what}", "1", vm.shell(MACHINE, "cat /tmp/status"))
    check(words in out, f"{what}: no word of {words!r}: {out}")


def works(vm):
    """sst1 answers what it answers itself."""
    done = vm.exec(MACHINE, "sst-test", "-d", "sst1", "-n", "100", "stress", "batch")
    check(done.status == 0, f"sst-test: {done}")


def driver_goes(vm):
    """Unbind with a file open and requests in flight."""
    begin(vm, LONG_MS)
    device = vm.shell(MACHINE, "basename $(readlink -f /sys/class/sst/sst1/device)")
    driver = "/sys/bus/virtio/drivers/virtio_sst"
    vm.shell(MACHINE, f"[ -e {driver} ] || ls /sys/bus/virtio/drivers >&2; echo {device} >{driver}/unbind")
    ends(vm, "unbind", "No such device")
    vm.shell(MACHINE, f"echo {device} >{driver}/bind")
    vm.wait_for(MACHINE, "[ -e /dev/sst1 ]")
    works(vm)


def guest_sleeps(vm):
    """Devices freeze and are restored with requests in flight."""
    begin(vm, LONG_MS)
    vm.sleep_and_wake(MACHINE)
    ends(vm, "freeze", "Operation canceled")
    works(vm)


def host_dies(vm):
    """The device host is killed: the guest lives on, and each request ends by its timeout at the latest."""
    begin(vm, SHORT_MS)
    vm.inject(MACHINE, "sst1", "host-crash")
    ends(vm, "host killed", "Connection timed out")
    equal("failed requests of the neighbour", 0, asks(vm, "sst0", 50))


def sst_faults(vm):
    vm.verify(MACHINE)
    for device in ("sst0", "sst2"):
        simulators_fail(vm, device)
    driver_goes(vm)
    guest_sleeps(vm)
    vm.check_dmesg(MACHINE)
    host_dies(vm)


SCENARIOS = {"sst-faults": (sst_faults, write_file)}
