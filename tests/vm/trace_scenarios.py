# SPDX-License-Identifier: Apache-2.0
"""`mimic trace` and `mimic replay` on a booted machine: a recording of a driver at work replays the same on a fresh
model, a changed one does not, and a fault leaves a dump with what came before it."""
import json
import pathlib
import subprocess
import time

from fabric_scenarios import CLASS, PCI, bench_verifies
from guest import Failure, check, equal

MACHINE = "faults"
GPU = "10000:01:00.0"


class Recording:
    """`mimic trace` in the background, from when it records until stop()."""

    def __init__(self, vm, *arguments):
        self.process = subprocess.Popen(
            [vm.mimic, "trace", MACHINE, *arguments], env=vm.environment, cwd=vm.folder, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stderr.readline()
        check("recording" in line, f"mimic trace {arguments}: {line}")

    def stop(self):
        self.process.send_signal(2)
        out, err = self.process.communicate(timeout=120)
        equal(f"exit status of mimic trace ({err})", 0, self.process.returncode)
        return out


def lines_of(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def recorded(vm, name):
    """A file with all that a driver and a benchmark do, DMA included."""
    path = f"{vm.folder}/{name}"
    recording = Recording(vm, "gpu0", "--data", "65536", "-o", path)
    # A reset in the recording, too: the driver sets the device up again.
    vm.shell(MACHINE, f"echo {GPU} >/sys/bus/pci/drivers/mock-accel/unbind; echo 1 >{PCI}/{GPU}/reset; "
                      f"echo {GPU} >/sys/bus/pci/drivers/mock-accel/bind")
    done = vm.exec(MACHINE, "mock-accel-bench", "--device", "mock0", "--verify", "--queues", "1")
    check(done.status == 0, f"mock-accel-bench: {done}")
    vm.shell(MACHINE, f"echo 3 >{CLASS}/mock0/status")
    recording.stop()
    return path


def session_is_seen(path):
    """Every kind of event, with the names of registers."""
    lines = lines_of(path)
    equal("format", 1, lines[0]["mimic_trace"])
    equal("end line", True, lines[-1]["end"])
    equal("lost", 0, lines[-1]["lost"])
    kinds = {line["kind"] for line in lines[1:-1]}
    for kind in ("state", "config-read", "config-write", "bar-read", "bar-write", "dma-read", "dma-write", "msix",
                 "reset"):
        check(kind in kinds, f"no {kind} in {sorted(kinds)}")
    names = {line.get("reg") for line in lines[1:-1]}
    for name in ("COMMAND", "RING_TAIL[0]", "STATUS"):
        check(name in names, f"no register {name} in {sorted(map(str, names))}")
    times = [line["t"] for line in lines[1:-1]]
    equal("times rise", sorted(times), times)


def replays(vm, path):
    done = vm.run("replay", path)
    check(done.status == 0 and "same:" in done.out, f"replay: {done}")


def difference_is_found(vm, path):
    """The first value of RING_HEAD that a driver read, changed: the replay names that line."""
    lines = pathlib.Path(path).read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if '"bar-read"' in line and '"STATUS"' in line)
    event = json.loads(lines[at])
    event["value"] = hex(int(event["value"], 16) ^ 0x40)
    lines[at] = json.dumps(event)
    changed = path + ".changed"
    pathlib.Path(changed).write_text("\n".join(lines) + "\n")
    done = vm.run("replay", changed)
    check(done.status == 1 and f"(line {at + 1})" in done.out and "STATUS" in done.out, f"replay: {done}")
    pathlib.Path(changed).write_text("\n".join(lines[:-1]) + "\n")
    done = vm.run("replay", changed)
    check(done.status == 2 and "cut off" in done.err, f"replay of half a file: {done}")


def other_formats(vm):
    # The recording before has put the settings back, which empties the ring.
    vm.shell(MACHINE, f"for i in 1 2 3 4 5; do echo $i >{CLASS}/mock0/status; cat {CLASS}/mock0/status; done")
    vm.exec(MACHINE, "mock-accel-bench", "--device", "mock0", "--verify", "--queues", "1")
    path = f"{vm.folder}/now.json"
    done = vm.run("trace", MACHINE, "gpu0", "-o", path)
    check(done.status == 0, f"trace: {done}")
    trace = json.loads(pathlib.Path(path).read_text())
    names = {event["args"].get("name") for event in trace["traceEvents"] if event["ph"] == "M"}
    check({MACHINE, "gpu0"} <= names, f"no process or thread: {names}")
    check(any(event["ph"] == "C" for event in trace["traceEvents"]), "no counters")
    flows = {phase: {event["id"] for event in trace["traceEvents"] if event["ph"] == phase} for phase in "stf"}
    check(flows["s"] & flows["t"] & flows["f"], f"no arrow from a doorbell to an interrupt: {flows}")
    check(f"{path}: " in done.err and "events, none lost" in done.err, f"no word of how many: {done}")
    # Slices are as long as the model took, and a ring's operations end with its interrupt.
    lengths = [event["dur"] for event in trace["traceEvents"] if event["ph"] == "X" and event["name"].startswith("read")]
    check(sum(length > 0.001 for length in lengths) > len(lengths) / 2, f"lengths of reads: {lengths[:20]}")
    ends = [event["args"]["ended by"] for event in trace["traceEvents"] if event["ph"] == "E"]
    check(any(end.startswith("MSI-X vector") for end in ends), f"no operation of a ring ended with an interrupt: {ends}")
    done = vm.run("trace", MACHINE, "gpu0", "--last", "20")
    check(done.status == 0 and len(done.out.splitlines()) == 20, f"the last 20: {done}")
    done = vm.run("trace", MACHINE, "gpu7")
    check(done.status == 1 and "gpu0" in done.err, f"an unknown device: {done}")
    done = vm.run("trace", "fault", "gpu0")
    check(done.status == 1 and MACHINE in done.err, f"an unknown machine: {done}")


def makes_a_test(vm):
    recording = Recording(vm, "gpu0", "--to-test", "status_is_seen")
    vm.shell(MACHINE, f"echo 9 >{CLASS}/mock0/status; cat {CLASS}/mock0/status")
    out = recording.stop()
    check("status_is_seen_test.cpp" in out, f"mimic trace --to-test: {out}")
    source = (pathlib.Path(vm.folder) / "status_is_seen_test.cpp").read_text()
    check("TEST(Replay, status_is_seen)" in source, source)
    replays(vm, f"{vm.folder}/status_is_seen.jsonl")


def dump_number(vm, number):
    """The file of gpu0's dump of that number, once it is whole."""
    path = pathlib.Path(vm.environment["XDG_STATE_HOME"]) / "mimic" / MACHINE / f"trace-gpu0-{number}.jsonl"
    for _ in range(1200):
        if path.exists() and '{"end":true' in path.read_text()[-100:]:
            return path
        time.sleep(0.1)
    raise Failure(f"no dump {path.name} in {list(path.parent.iterdir())}")


def fault_leaves_a_dump(vm):
    """What came before a lost interrupt is in a file, also when nobody traced."""
    vm.shell(MACHINE, f"echo 77 >{CLASS}/mock0/status")
    vm.inject(MACHINE, "gpu0", "irq-lost", "vector=0")
    vm.shell(MACHINE, f"echo 78 >{CLASS}/mock0/status")
    path = dump_number(vm, 0)
    equal("mode", 0o600, path.stat().st_mode & 0o777)
    lines = lines_of(path)[1:-1]
    struck = next(i for i, line in enumerate(lines) if line.get("text") == "irq-lost struck")
    written = [line["value"] for line in lines[:struck] if line.get("reg") == "STATUS" and line["kind"] == "bar-write"]
    equal("the last values of STATUS before the fault", ["0x4d", "0x4e"], written[-2:])
    # The ring had a state from when the fault was armed, so what came behind it is replayed.
    armed = next(i for i, line in enumerate(lines) if line.get("text") == "irq-lost armed")
    check(any(line["kind"] == "state" for line in lines[armed:struck]), "no state behind the fault that was armed")
    done = vm.run("replay", str(path))
    check(done.status == 0 and "same:" in done.out, f"replay of a dump: {done}")
    vm.inject(MACHINE, "gpu0", "clear")
    # With DMA in the ring, whose bytes nobody kept, the replay begins again at that state.
    vm.exec(MACHINE, "mock-accel-bench", "--device", "mock0", "--verify", "--queues", "1")
    time.sleep(5)  # between two dumps
    vm.inject(MACHINE, "gpu0", "irq-lost", "vector=0")
    vm.shell(MACHINE, f"echo 79 >{CLASS}/mock0/status")
    done = vm.run("replay", str(dump_number(vm, 1)))
    check(done.status == 0 and "begins again at line" in done.out and "same:" in done.out,
          f"replay of a dump with DMA: {done}")
    vm.inject(MACHINE, "gpu0", "clear")


def instruments_trace(vm):
    vm.verify(MACHINE)
    path = recorded(vm, "session.jsonl")
    session_is_seen(path)
    replays(vm, path)
    difference_is_found(vm, path)
    other_formats(vm)
    makes_a_test(vm)
    fault_leaves_a_dump(vm)
    bench_verifies(vm, MACHINE, "mock0")


SCENARIOS = {
    "instruments-trace": (instruments_trace, "../tests/vm/faults.yaml"),
}
