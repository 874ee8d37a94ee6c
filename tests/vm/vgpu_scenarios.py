# SPDX-License-Identifier: Apache-2.0
"""vGPUs: three guests on one mediator, and the VFs of a fabric. The mediator is killed, starved and taken away; what it says of
its VMs and what guests got is compared. Nothing is timed: shares are those of the mediator's own account, between two moments
at which all had work waiting."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

from guest import TREE, Failure, check, equal

sys.path.insert(0, str(TREE / "tests/load"))
import mediator as mediators  # noqa: E402

MACHINES = ("high", "medium", "low")
WEIGHTS = {"high": 60, "medium": 30, "low": 10}
VM = {"high": 1, "medium": 2, "low": 3}
OLD_VM = 4
QUARANTINED = 11  # enum vgpu_error
MEDIATOR_UNAVAILABLE = 3
HANDLE = 13
LOAD = "/tmp/vgpu_load"
MILLISECOND = 1_000_000

# `low` has two more, for programs that know the original vGPU alone: one behind the original's packet, one without a mediator.
MACHINE_FILE = """version: 1
templates:
  vgpu:
    model: vgpu-stub
    mediator: {{socket: {folder}/m.sock, resume_patience: 300s, answer_timeout: 300s}}
machines:
  - name: high
    devices: [{{name: vgpu0, template: vgpu, vm_id: 1, priority: high}}]
  - name: medium
    devices: [{{name: vgpu0, template: vgpu, vm_id: 2}}]
  - name: low
    devices:
      - {{name: vgpu0, template: vgpu, vm_id: 3, priority: low}}
      - {{name: vgpu1, model: vgpu-stub, vm_id: 4, extensions: "false",
         mediator: {{socket: "{folder}/vm-<vm_id>.sock", protocol: packet}}}}
      - {{name: vgpu2, model: vgpu-stub, vm_id: 5, extensions: "false"}}
"""
FABRIC_FILE = """version: 1
machine:
  name: vgpu-fabric
  devices:
    - name: vgpu0
      model: vgpu-stub
      vm_id: 10
      sriov: native
      vfs: {{count: 4}}
      mediator: {{socket: {folder}/m.sock}}
"""
# One backend, so that the pool's rule decides all. It sleeps for as long as a job would take.
MEDIATOR_FILE = """version: 1
mediator:
  socket: {folder}/m.sock
  vm_sockets: "{folder}/vm-<vm_id>.sock"
  run_folder: {folder}/run
  quarantine: {faults: 3, window: 3600s, release: 0}
  session_patience: 300s
  strict_classes: false
pools:
  - {id: A, backends: [{kind: sim, model: fixed, parameters: {latency: 1ms}}]}
vms:
  - {id: 1, priority: high, weight: 60}
  - {id: 2, priority: medium, weight: 30}
  - {id: 3, priority: low, weight: 10, limits: {job_timeout: 5s}}
  - {id: 4}
others: {}
"""


def writes(text):
    def write_file(_mimic, folder):
        path = pathlib.Path(folder) / "vgpu.yaml"
        path.write_text(text.format(folder=folder))
        return str(path)
    return write_file


class Operations:
    """The control API of the mediator, and its program."""

    def __init__(self, vm):
        folder = pathlib.Path(vm.example).parent
        program = pathlib.Path(vm.mimic).with_name("mimic-mediator")
        self.vm = vm
        # Of its own: what a mediator leaves there is not a machine's.
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=str(folder / "runtime"))
        (folder / "runtime").mkdir(mode=0o700)
        self.daemon = mediators.Mediator(program, folder, MEDIATOR_FILE, self.environment)

    def start(self):
        self.daemon.start()
        self.daemon.wait_until(self.daemon.is_ready, "a mediator with its backends")

    def release(self, number):
        """By the command, as a person says it."""
        done = subprocess.run([self.vm.mimic, "mediator", "release", str(number)], env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        check(done.returncode == 0, f"mimic mediator release: {done.stdout}{done.stderr}")

    def vms(self):
        return self.daemon.vms()

    def backends(self):
        return self.daemon.backends()

    def reload(self, old, new):
        self.daemon.write(MEDIATOR_FILE.replace(old, new))
        self.daemon.ask("POST", "/v1/mediator/reload")


def put_program(vm, *machines):
    """Builds tests/vm/vgpu_load.c over libvgpu and copies it into the guests."""
    library = [path for path in (TREE / "guest/libvgpu").glob("*.c") if not path.name.endswith("_test.c")]
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "vgpu_load"
        subprocess.run(["cc", "-static", "-O1", "-Wall", "-Werror", f"-I{TREE}/guest/libvgpu", f"-I{TREE}/kernel/vgpu-stub",
                        "-o", program, TREE / "tests/vm/vgpu_load.c", *library], check=True)
        for machine in machines:
            copied = vm.run("cp", str(program), f"{machine}:{LOAD}")
            check(copied.status == 0, f"cp: {copied}")


def begin(vm, machine, name, *words):
    """Starts vgpu_load in the guest; its output and status are files of that name."""
    command = " ".join(map(str, words))
    vm.shell(machine, f"rm -f /tmp/{name}.*; {{ {LOAD} {command} >/tmp/{name}.out 2>&1; echo $? >/tmp/{name}.status; }} "
                      ">/dev/null 2>&1 </dev/null &")


def ends(vm, machine, name, status="0"):
    vm.wait_for(machine, f"[ -s /tmp/{name}.status ]")
    out = vm.shell(machine, f"cat /tmp/{name}.out")
    equal(f"status of {name} in {machine}, which says '{out}'", status, vm.shell(machine, f"cat /tmp/{name}.status"))
    return out


def spin(vm, machine, depth, count, ns, device="vgpu0"):
    """Runs jobs to their end: how many were good, how many bad, and the last error."""
    done = vm.exec(machine, LOAD, "spin", device, str(depth), str(count), str(ns))
    found = re.search(r"asked=(\d+) good=(\d+) bad=(\d+) last=(-?\d+)", done.out)
    check(found, f"vgpu_load in {machine}: {done}")
    return [int(part) for part in found.groups()[1:]]


def works(vm, machine, device="vgpu0"):
    equal(f"good, bad, last error of {machine}", [20, 0, 0], spin(vm, machine, 4, 20, 1000, device))


def service_while_all_wait(vm, operations):
    """What each VM was served, in ns, between the first and the last of the moments at which all have work waiting; until one of
    the loads has ended. None: there were no two."""
    first = last = None
    end = time.monotonic() + 120
    while not somebody_ended(vm) and time.monotonic() < end:
        vms = operations.vms()
        if all(vms[number]["waiting"] > 0 for number in VM.values()):
            last = {one: vms[VM[one]]["counters"]["service_ns"] for one in MACHINES}
            first = first or last
        time.sleep(0.05)
    got = {one: last[one] - first[one] for one in MACHINES} if first else None
    return got if got and sum(got.values()) > 0 else None


def until_it_holds(attempt, holds, what):
    """A busy machine may stop a guest for seconds, which then has no work waiting, or start the last load after the first has
    ended: what was seen is only a hint, and the next attempt has more jobs."""
    seen = []
    for count in (500, 1000, 1500, 2500, 3500):
        seen.append(attempt(count))
        if seen[-1] and holds(seen[-1]):
            return
    raise Failure(f"{what}: seen {seen}")


def begin_load(vm, machine, count):
    begin(vm, machine, "load", "spin", "vgpu0", 250, count, 4 * MILLISECOND)


def shares_follow_weights(vm, operations):
    def attempt(count):
        for machine in reversed(MACHINES):  # who gets the least begins
            begin_load(vm, machine, count)
        got = service_while_all_wait(vm, operations)
        for machine in MACHINES:
            ends(vm, machine, "load")
        return {one: got[one] / sum(got.values()) for one in MACHINES} if got else None

    until_it_holds(attempt, lambda got: all(abs(got[one] - WEIGHTS[one] / 100) < 0.05 for one in MACHINES), "shares")


def classes_are_strict(vm, operations):
    """While the higher classes have work waiting, the lower ones get nothing but the job that ran already."""
    operations.reload("strict_classes: false", "strict_classes: true")

    def attempt(count):
        for machine in reversed(MACHINES):
            begin_load(vm, machine, count)
        got = service_while_all_wait(vm, operations)
        for machine in MACHINES:
            ends(vm, machine, "load")
        return got

    until_it_holds(attempt, lambda got: got["high"] > 0 and got["medium"] + got["low"] <= 0.1 * got["high"], "strict classes")
    operations.reload("strict_classes: true", "strict_classes: false")


def faults_lead_to_quarantine(vm, operations):
    """Jobs over their time end, with TIMEOUT; three of them and the VM is refused, until somebody releases it."""
    equal("jobs that never end", [0, 3, 4], spin(vm, "low", 1, 3, 600_000 * MILLISECOND))
    seen = operations.vms()[VM["low"]]
    check(seen["quarantine"] is not None and seen["counters"]["timeouts"] == 3, f"low is not in quarantine: {seen}")
    equal("in quarantine", [0, 1, QUARANTINED], spin(vm, "low", 1, 1, 1000))
    for machine in ("high", "medium"):
        works(vm, machine)
    operations.release(VM["low"])
    works(vm, "low")


def all_wait(operations):
    vms = operations.vms()
    return all(vms[number]["waiting"] > 0 for number in VM.values())


def somebody_ended(vm):
    return any(vm.exec(machine, "test", "-s", "/tmp/load.status").status == 0 for machine in MACHINES)


def load_that_waits(vm, operations):
    """Starts a load in each guest, so long that at one moment all have requests waiting: jobs of each. A busy machine may start
    the last one after the first has ended; then with more."""
    for count in (400, 1000, 2000):
        for machine in MACHINES:
            begin(vm, machine, "load", "spin", "vgpu0", 64, count, 4 * MILLISECOND)
        operations.daemon.wait_until(lambda: all_wait(operations) or somebody_ended(vm), "waiting")
        if all_wait(operations):
            return count
        for machine in MACHINES:
            ends(vm, machine, "load")
    raise Failure("the guests never had requests waiting at the same time")


def survives_death(vm, operations):
    """The mediator is killed with requests in flight in each guest, and started again: all have their answers, and memory
    that a guest had on a backend is still there."""
    begin(vm, "medium", "keep", "keep", "vgpu0", 3_000_000, "/tmp/go")
    vm.wait_for("medium", "grep -q kept /tmp/keep.out")
    count = load_that_waits(vm, operations)
    for _ in range(3):
        pids = [backend["pid"] for backend in operations.backends()]
        operations.daemon.kill()
        check(all(pathlib.Path(f"/proc/{pid}").exists() for pid in pids), "backends ended with the mediator")
        operations.start()
        equal("backends after a restart", pids, [backend["pid"] for backend in operations.backends()])
        # Once more while all have work, unless one of them has ended meanwhile.
        operations.daemon.wait_until(lambda: all_wait(operations) or somebody_ended(vm), "waiting")
        if not all_wait(operations):
            break
    for machine in MACHINES:
        check(f"asked={count} good={count} bad=0" in ends(vm, machine, "load"), f"{machine} lost requests")
    vm.shell("medium", "touch /tmp/go")
    check("same" in ends(vm, "medium", "keep"), "memory is not what it was")


def survives_a_dead_backend(vm, operations):
    """A backend that is killed costs the job that it had, and no other."""
    count = load_that_waits(vm, operations)
    os.kill(operations.backends()[0]["pid"], signal.SIGKILL)
    bad = 0
    for machine in MACHINES:
        vm.wait_for(machine, "[ -s /tmp/load.status ]")
        found = re.search(rf"asked={count} good=(\d+) bad=(\d+)", vm.shell(machine, "cat /tmp/load.out"))
        check(found and int(found.group(1)) + int(found.group(2)) == count, f"{machine}: {found}")
        bad += int(found.group(2))
    # None, if it was killed between two jobs.
    check(bad <= 1, f"{bad} jobs failed with one backend")
    equal("restarts", 1, operations.backends()[0]["restarts"])


def original_tests(vm, mediator):
    """The original vGPU's tests 2 and 3, by the registers alone: version, capabilities; a doorbell without a mediator, or with one. Then
    the same by its guest library."""
    bdfs = vm.shell("low", "for d in /sys/bus/pci/devices/*; do [ $(cat $d/device) = 0x1111 ] && [ $(cat $d/revision) = 0x02 ] && "
                           "echo ${d##*/}; done; true").split()
    equal("vGPUs of low", 3, len(bdfs))
    new, old, without = bdfs
    for bdf in (old, without):
        vm.shell("low", f"echo {bdf} >/sys/bus/pci/devices/{bdf}/driver/unbind")
        equal("PROTO_VERSION", "0x00010000", vm.shell("low", f"mock-accel-ctl peek {bdf} 0x20 32"))
        equal("CAPABILITIES", "0x00000001", vm.shell("low", f"mock-accel-ctl peek {bdf} 0x24 32"))
    lonely = [without] if mediator else [old, without]
    for bdf in lonely:
        vm.shell("low", f"mock-accel-ctl poke {bdf} 0x18 32 16; mock-accel-ctl poke {bdf} 0 32 1")
        equal("STATUS without a mediator", "0x00000003", vm.shell("low", f"mock-accel-ctl peek {bdf} 0x04 32"))
        equal("ERROR_CODE", "0x00000003", vm.shell("low", f"mock-accel-ctl peek {bdf} 0x14 32"))
    if mediator:
        # A program that knows the original's registers alone finds them on a device that has more, too.
        vm.shell("low", f"echo {new} >/sys/bus/pci/devices/{new}/driver/unbind")
        for bdf in (new, old):
            asks_by_registers(vm, bdf)
            done = vm.exec("low", "vgpu-test", "-d", bdf, "operations")
            check(done.status == 0, f"vgpu-test operations of {bdf} by its registers: {done}")
    for bdf, tests in ((old, "identity" if mediator else "identity alone"), (without, "identity alone")):
        done = vm.exec("low", "vgpu-test", "-d", bdf, *tests.split())
        check(done.status == 0, f"vgpu-test of {bdf}: {done}")
    for bdf in bdfs if mediator else (old, without):  # in this order: names count up
        vm.shell("low", f"echo {bdf} >/sys/bus/pci/drivers/vgpu-stub/bind")


def asks_by_registers(vm, bdf):
    """struct vgpu_request with SUM of 40 and 2, written as a program of the original's day does."""
    words = [0x00010000, 1, 0, 2, 0, 0, 0, 0, 40, 2]
    pokes = "; ".join(f"mock-accel-ctl poke {bdf} {0x40 + 4 * at:#x} 32 {word}" for at, word in enumerate(words))
    vm.shell("low", f"{pokes}; mock-accel-ctl poke {bdf} 0x18 32 40; mock-accel-ctl poke {bdf} 0x30 32 77; "
                    f"mock-accel-ctl poke {bdf} 0 32 1")
    vm.wait_for("low", f"[ $(mock-accel-ctl peek {bdf} 0x04 32) != 0x00000001 ]")
    equal("STATUS, RESPONSE_LEN, status, result", ["0x00000002", "0x00000024", "0x00000000", "0x0000002a"],
          vm.shell("low", f"for o in 0x04 0x1c 0x444 0x460; do mock-accel-ctl peek {bdf} $o 32; done").split())


def vgpu(vm):
    operations = Operations(vm)
    put_program(vm, *MACHINES)
    original_tests(vm, mediator=False)
    equal("without a mediator", [0, 1, MEDIATOR_UNAVAILABLE], spin(vm, "high", 1, 1, 1000))
    try:
        operations.start()
        for machine in MACHINES:
            vm.wait_for(machine, f"{LOAD} spin vgpu0 1 1 1000 >/dev/null 2>&1")
            works(vm, machine)
            vm.verify(machine)
        done = vm.exec("high", "vgpu-test", "-d", "vgpu0", "-n", "500")
        check(done.status == 0, f"vgpu-test: {done}")
        original_tests(vm, mediator=True)
        shares_follow_weights(vm, operations)
        classes_are_strict(vm, operations)
        faults_lead_to_quarantine(vm, operations)
        survives_death(vm, operations)
        survives_a_dead_backend(vm, operations)
        for machine in MACHINES:
            works(vm, machine)
            vm.check_dmesg(machine)
    except BaseException:
        print(operations.daemon.log(), file=sys.stderr)
        raise
    finally:
        operations.daemon.stop()


def vgpu_fabric(vm):
    """A vGPU per VF, each a VM of its own to the mediator."""
    machine = "vgpu-fabric"
    operations = Operations(vm)
    put_program(vm, machine)
    try:
        operations.start()
        pf = vm.shell(machine, "grep -l 0x1111 /sys/bus/pci/devices/10000:*/device | head -n 1 | xargs dirname")
        vm.shell(machine, f"echo 4 >{pf}/sriov_numvfs")
        vm.wait_for(machine, "[ $(ls /dev/vgpu* | wc -l) = 5 ]")
        vm.verify(machine)
        names = vm.shell(machine, "cd /dev; ls -d vgpu*").split()
        equal("nodes", ["vgpu0"] + [f"vgpu0_vf{number}" for number in range(4)], names)
        for name in names:
            vm.wait_for(machine, f"{LOAD} spin {name} 1 1 1000 >/dev/null 2>&1")
        for name in names:
            begin(vm, machine, name, "spin", name, 16, 100, 1000)
        for name in names:
            ends(vm, machine, name)
        seen = operations.vms()
        equal("VMs", [10, 11, 12, 13, 14], sorted(number for number, one in seen.items() if one["counters"]["done"] >= 100))
        # A handle is a number of one VM: nobody else's.
        begin(vm, machine, "keep", "keep", names[1], 4096, "/tmp/go")
        vm.wait_for(machine, "grep -q kept /tmp/keep.out")
        handle = vm.shell(machine, "sed -n 's/^kept //p' /tmp/keep.out")
        for name in (names[0], names[2]):
            equal(f"another's memory, seen from {name}", str(HANDLE), vm.shell(machine, f"{LOAD} peek {name} {handle} 4096"))
        vm.shell(machine, "touch /tmp/go")
        ends(vm, machine, "keep")
        vm.shell(machine, f"echo 0 >{pf}/sriov_numvfs")
        operations.daemon.wait_until(lambda: all(operations.vms().get(number, {"connections": 0})["connections"] == 0
                                                 for number in (11, 12, 13, 14)), "connections of VFs that are gone")
        works(vm, machine, names[0])
        vm.check_dmesg(machine)
    except BaseException:
        print(operations.daemon.log(), file=sys.stderr)
        raise
    finally:
        operations.daemon.stop()


SCENARIOS = {"vgpu": (vgpu, writes(MACHINE_FILE)), "vgpu-fabric": (vgpu_fabric, writes(FABRIC_FILE))}
