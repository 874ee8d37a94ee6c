# SPDX-License-Identifier: Apache-2.0
"""A running machine: commands and files in its guest, registers, faults and traces of its devices."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from .api import ControlApi, machine_path
from .command import text
from .errors import ApiError, ExecError, ExecTimeout, MachineEnded, MimicError, VerifyError, WaitTimeout, printable
from .faults import Fault, inject
from .registers import Registers
from .trace import Event, Events, Recording
from .waiting import DEFAULT_TIMEOUT, wait_for

if TYPE_CHECKING:
    from .lab import Lab

T = TypeVar("T")
Path = Union[str, "os.PathLike[str]"]

_SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_EXEC_FAILED = 125  # `mimic exec` itself, not the command


@dataclass(frozen=True)
class ExecResult:
    """What came of a command in a guest. status: its exit status, or 128 + the signal that ended it."""

    argv: Sequence[str]
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text, without the newlines at its end."""
        return text(self.stdout).rstrip("\n")

    @property
    def ok(self) -> bool:
        """Whether the status is 0."""
        return self.status == 0


class Machine:
    """A machine that a Lab has booted, or found. Not for several threads at once."""

    def __init__(self, lab: "Lab", name: str) -> None:
        self.lab = lab
        self.name = name
        #: The recording that was begun last.
        self.last_recording: Optional[Recording] = None

    # -- the guest

    def exec(self, *argv: str, input: bytes = b"", timeout: float = 300.0, check: bool = True) -> ExecResult:
        """Runs a command in the guest, with `input` on its standard input, and waits for its end.

        argv: the program and its arguments, with no shell between. timeout: seconds. Raises ExecError if its status is not 0 and
        `check` is true; ExecTimeout; MachineEnded or MimicError if the guest cannot be asked.
        """
        try:
            done = self.lab.command.run("exec", self.name, "--", *argv, input=input, timeout=timeout)
        except MimicError:
            self.check_alive()
            raise ExecTimeout(f"`{' '.join(argv)}` in {self.name} did not end within {timeout:g} s") from None
        result = ExecResult(argv, done.returncode, done.stdout, done.stderr)
        if result.status == _EXEC_FAILED and done.stderr.startswith(b"mimic: "):
            self.check_alive()
            raise MimicError(f"`{' '.join(argv)}` in {self.name}: {printable(text(done.stderr).strip())}")
        if check and not result.ok:
            raise ExecError(result)
        return result

    def shell(self, script: str, input: bytes = b"", timeout: float = 300.0, check: bool = True) -> ExecResult:
        """As exec(), of a line or more for the guest's sh."""
        # A newline first: the parser of mimic's command line takes a word in brackets, such as a test(1) alone, for a list.
        return self.exec("sh", "-c", "\n" + script, input=input, timeout=timeout, check=check)

    def copy_to(self, source: Path, target: str) -> None:
        """Copies a file into the guest, with its mode. Raises MimicError."""
        self.lab.command.ask("cp", _here(source), f"{self.name}:{target}", timeout=3600.0)

    def copy_from(self, source: str, target: Path) -> None:
        """Copies a file out of the guest, with its mode. Raises MimicError."""
        self.lab.command.ask("cp", f"{self.name}:{source}", _here(target), timeout=3600.0)

    def read(self, path: str) -> bytes:
        """What a file of the guest holds. Raises ExecError."""
        return self.exec("cat", path).stdout

    def write(self, path: str, data: bytes) -> None:
        """Makes or replaces a file of the guest. Raises ExecError."""
        self.exec("sh", "-c", 'cat >"$1"', "sh", path, input=data)

    # -- its devices

    @property
    def api(self) -> ControlApi:
        """The control API, for what has no method here."""
        return self.lab.api

    def _path(self, *parts: str) -> str:
        return machine_path(self.name, *parts)

    def devices(self) -> Dict[str, Dict[str, Any]]:
        """All devices by name, as `Device` of the API document has them."""
        return {device["name"]: device for device in self.api.json("GET", self._path("devices"))["devices"]}

    def device(self, name: str) -> Dict[str, Any]:
        """One device: `bdf`, `vfs`, `power_state`, `counters`, ... Raises ApiError, with the nearest names."""
        return self.api.json("GET", self._path("devices", name))

    def registers(self, device: str) -> Registers:
        """Its registers as they are stored now; looking changes nothing. Raises ApiError."""
        return Registers(self.api.json("GET", self._path("devices", device, "registers")))

    def metrics(self, name: str, **labels: str) -> float:
        """The sum of the samples of a metric of this machine with these labels: `metrics("mimic_device_interrupts_total",
        device="gpu0")`. Raises KeyError if there is none."""
        wanted = dict(labels, machine=self.name)
        samples = [value for sample, marks, value in _samples(text(self.api.request("GET", "/metrics")))
                   if sample == name and all(marks.get(key) == value for key, value in wanted.items())]
        if not samples:
            raise KeyError(f"no metric {name} with {wanted} (docs/metrics.md)")
        return sum(samples)

    # -- faults

    def fault(self, device: str, name: str, *, at: Optional[float] = None, after: Optional[int] = None,
              seed: Optional[int] = None, **options: Union[str, int]) -> Fault:
        """Injects a fault (docs/faults.md), to be used in a `with` block, at whose end it is cleared.

        at: seconds from now; after: accesses of the device; without either it strikes at once. options: count, delay ("10ms"),
        vector, severity. Returns of host-crash and host-hang without either once they have struck; others strike before they
        are answered. Raises ApiError with the reason and the nearest names.
        """
        fault = inject(self.api, self.name, device, name, options, at, after, seed)
        self.lab.note_fault(self.name, device)
        return fault

    def clear_faults(self, device: Optional[str] = None) -> None:
        """Ends all faults of a device, or of all devices that were given one here."""
        failed: Optional[ApiError] = None
        for name in [device] if device is not None else self.lab.faulty_devices(self.name):
            try:
                self.api.request("DELETE", self._path("devices", name, "faults"))
            except ApiError as error:
                failed = failed or error  # those of the others are to end nevertheless
        if failed is not None:
            raise failed

    # -- traces

    def record(self, *devices: str, data: int = 65536) -> Recording:
        """A recording of these devices (all), to be used in a `with` block. data: bytes of each DMA that are kept; a replay needs
        all."""
        self.last_recording = Recording(self.lab.command, self.name, devices, data)
        return self.last_recording

    def recent(self, *devices: str) -> Events:
        """The last events, as every device host keeps them without being asked. Raises ApiError."""
        events: List[Event] = []
        wanted: List[Tuple[str, Union[str, int]]] = [("limit", 4096)]
        wanted += [("device", name) for name in devices]
        lost, since = 0, ""
        until: Optional[int] = None
        while True:
            cursor: List[Tuple[str, Union[str, int]]] = [("since", since)] if since else []
            answer = self.api.json("GET", self._path("trace", "events"), query=wanted + cursor)
            events += [Event(raw) for raw in answer["events"]]
            lost += int(answer["lost"]) if since else 0  # what had gone before the first look is no loss
            since = answer["next"]
            until = int(answer["until_ns"]) if until is None else until
            # What comes while we read is for the next look.
            if not answer["more"] or (events and int(events[-1].t) >= until):
                return Events(events, lost)

    # -- the machine

    def verify(self) -> None:
        """Compares the guest with the file. Raises VerifyError with the table if they differ, MimicError if it cannot be said."""
        done = self.lab.command.run("verify", self.name, timeout=600.0)
        if done.returncode == 1:
            raise VerifyError(text(done.stdout + done.stderr))
        if done.returncode != 0:
            raise MimicError(f"`mimic verify {self.name}`: {text(done.stderr).strip()}")

    def wait_for(self, condition: Callable[[], T], timeout: float = DEFAULT_TIMEOUT, interval: float = 0.1,
                 what: str = "") -> T:
        """As mimic_test.wait_for(), but a machine that ends meanwhile is a MachineEnded at once."""
        def asked() -> T:
            value = condition()
            if not value:
                self.check_alive()
            return value
        try:
            return wait_for(asked, timeout, interval, what or getattr(condition, "__name__", ""))
        except WaitTimeout as late:
            raise WaitTimeout(f"{self.name}: {late}") from None

    def console(self, lines: int = 40) -> str:
        """The last lines that the guest printed on its console, fit for a terminal; also of a machine that ended."""
        done = self.lab.command.run("logs", self.name)
        return "\n".join(text(done.stdout).splitlines()[-lines:])

    def trace_text(self, lines: int = 40) -> str:
        """The last events of all devices as `mimic trace` writes them; the reason, if there are none."""
        done = self.lab.command.run("trace", self.name, "--last", str(lines))
        return text(done.stdout if done.returncode == 0 else done.stderr).rstrip()

    def info(self) -> Mapping[str, Any]:
        """`Machine` of the API document: state, accel, kernel, processes, plan. Raises ApiError."""
        return self.api.json("GET", self._path())

    @property
    def alive(self) -> bool:
        """Whether it runs (also degraded: a device host was crashed by a fault; see whole)."""
        return not self._why_ended()

    @property
    def whole(self) -> bool:
        """Whether it runs with all its devices: it is not degraded, and each of its device hosts answers."""
        try:
            if self.info()["phase"] != "running":
                return False
            # Who looks right after a crash is quicker than the supervisor, which says degraded.
            answer = self.api.json("GET", self._path("devices"))
        except ApiError:
            return False
        return not answer["unreachable"] and not answer["busy_loops"]

    def check_alive(self) -> None:
        """Raises MachineEnded, with the reason, if it does not run."""
        why = self._why_ended()
        if why:
            raise MachineEnded(f"machine {self.name} does not run: {why}")

    def _why_ended(self) -> str:
        try:
            machine = self.info()
        except ApiError as error:
            if error.status != 404:
                return error.message
            said = text(self.lab.command.run("logs", self.name).stderr)
            found = re.search(r"machine \S+ ended: (.*)", said)
            return found.group(1) if found else error.message
        if machine["phase"] in ("running", "degraded", "starting"):
            return ""
        return str(machine["reason"]) or str(machine["phase"])

    def __repr__(self) -> str:
        return f"<machine {self.name}>"


def _here(path: Path) -> str:
    # A path with a colon is one of a guest, unless a slash is before it.
    return os.path.abspath(path)


def _samples(exposition: str) -> List[Tuple[str, Dict[str, str], float]]:
    """Samples of Prometheus' text format. Escapes in labels stay as they are: names of machines and devices have none."""
    samples = []
    for line in exposition.splitlines():
        found = _SAMPLE.match(line)
        if found and not line.startswith("#"):
            samples.append((found.group(1), dict(_LABEL.findall(found.group(2) or "")), float(found.group(3))))
    return samples
