# SPDX-License-Identifier: Apache-2.0
"""What a guest and its devices did: recordings, and questions to them."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Union, overload

from .command import Command, end, text
from .errors import MimicError, printable

_STARTS = 120.0  # s


class Event:
    """One event. Attributes are the members that TraceEvent of the API document has (`kind`, `device`, `reg`, `value`, ...), with
    numbers for hexadecimal texts; a member that the event has not is None."""

    _HEXADECIMAL = ("addr", "value")

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw: Dict[str, Any] = dict(raw)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "raw":
            raise AttributeError(name)
        value = self.raw.get(name)
        return int(value, 16) if name in self._HEXADECIMAL and isinstance(value, str) else value

    def __repr__(self) -> str:
        return f"<{' '.join(f'{key}={value}' for key, value in self.raw.items())}>"


class Events(Sequence[Event]):
    """Events by time."""

    def __init__(self, events: Sequence[Event], lost: int = 0) -> None:
        self._events = list(events)
        #: How many were overwritten before they were read.
        self.lost = lost

    def find(self, kind: Optional[str] = None, where: Optional[Callable[[Event], Any]] = None, **members: Any) -> "Events":
        """Those of a kind (`bar-write`, `msix`, `fault`, ...), whose members have these values, for which `where` is true:
        `events.find("bar-write", device="gpu0", reg="STATUS", value=3)`."""
        wanted = dict(members) if kind is None else dict(members, kind=kind)
        return Events([event for event in self._events
                       if all(getattr(event, key) == value for key, value in wanted.items())
                       and (where is None or where(event))], self.lost)

    def text(self, lines: int = 40) -> str:
        """A line for each of the last events, with ms since the first of them."""
        shown = self._events[-lines:]
        return printable("\n".join(f"{(event.t - shown[0].t) / 1e6:+.3f} ms {event.device} {event.kind} " + " ".join(
            f"{value:#x}" if key == "value" else f"@{value:#x}" if key == "addr" else str(value)
            for key in ("reg", "value", "addr", "vector", "text") for value in (getattr(event, key),)
            if value is not None and not (key == "addr" and event.reg)) for event in shown))

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> "Events": ...

    def __getitem__(self, index: Union[int, slice]) -> Union[Event, "Events"]:
        if isinstance(index, slice):
            return Events(self._events[index], self.lost)
        return self._events[index]

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __repr__(self) -> str:
        shown = "\n  ".join(repr(event) for event in self._events[:20])
        more = f"\n  ... and {len(self) - 20} more" if len(self) > 20 else ""
        return f"<{len(self)} events{', ' + str(self.lost) + ' lost' if self.lost else ''}\n  {shown}{more}>"


class Recording:
    """A recording of `mimic trace`, from the head of a `with` block to its end; then `events`, `save()`, `replay()`.

        with machine.record("gpu0") as recording:
            machine.exec("my-test")
        assert recording.events.find("msix", vector=0)
        recording.replay()              # the device does the same without a guest
    """

    def __init__(self, command: Command, machine: str, devices: Sequence[str], data: int) -> None:
        self._command = command
        self._machine = machine
        self._devices = list(devices)
        self._data = data
        self._folder: Optional[tempfile.TemporaryDirectory[str]] = None
        self._process: Optional["subprocess.Popen[bytes]"] = None
        self._events: Optional[Events] = None

    @property
    def path(self) -> str:
        """The file of the recording; it goes with this object: save() keeps it."""
        if self._folder is None:
            raise MimicError("the recording has not begun: use it in a `with` block")
        return os.path.join(self._folder.name, "recording.jsonl")

    def __enter__(self) -> "Recording":
        self._folder = tempfile.TemporaryDirectory(prefix="mimic-trace-")
        self._events = None
        self._process = self._command.start(
            ["trace", self._machine, *self._devices, "--follow", "--data", str(self._data), "-o", self.path],
            stderr=subprocess.PIPE)
        try:
            self._wait_until_recording()
        except BaseException:
            self._stop()
            raise
        return self

    def _wait_until_recording(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        said = b""
        deadline = time.monotonic() + _STARTS
        while b"recording" not in said:
            ready, _, _ = select.select([self._process.stderr], [], [], max(0.0, deadline - time.monotonic()))
            more = self._process.stderr.read(4096) if ready else b""
            if not more:
                raise MimicError(f"`mimic trace {self._machine}` does not record: {text(said).strip() or 'it said nothing'}")
            said += more

    def _stop(self) -> str:
        assert self._process is not None
        process, self._process = self._process, None
        status = end(process)
        said = ""
        if process.stderr is not None:
            said = text(process.stderr.read()).strip()
            process.stderr.close()
        return "" if status == 0 else said or f"it ended with {status}"

    def __exit__(self, kind: Any, *_: Any) -> None:
        problem = self._stop()
        if problem and kind is None:
            raise MimicError(f"`mimic trace {self._machine}`: {problem}")

    @property
    def ended(self) -> bool:
        """Whether its `with` block has been left."""
        return self._folder is not None and self._process is None

    @property
    def events(self) -> Events:
        """All events; once the recording has ended."""
        if self._process is not None:
            raise MimicError("the recording goes on: its events are there after the `with` block")
        if self._events is None:
            self._events = read_trace(self.path)
        return self._events

    def save(self, path: Union[str, "os.PathLike[str]"]) -> str:
        """Keeps it as a file for `mimic replay` and `mimic replay --to-test`; returns the path."""
        _ = self.events  # or it is not whole
        return str(shutil.copyfile(self.path, path))

    def replay(self) -> str:
        """Plays it to new models of the devices, without the guest, and returns what `mimic replay` says. Raises MimicError at the
        first difference, or if it cannot be replayed."""
        _ = self.events
        done = self._command.run("replay", self.path, timeout=600.0)
        said = (text(done.stdout) + text(done.stderr)).strip()
        if done.returncode != 0:
            raise MimicError(f"`mimic replay` of {self._machine}: {said}")
        return said


def read_trace(path: Union[str, "os.PathLike[str]"]) -> Events:
    """The events of a file of `mimic trace -o FILE.jsonl`. Raises MimicError if it is none, or was cut off."""
    events: List[Event] = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            try:
                raw = json.loads(line)
            except ValueError:
                raw = None
            if not isinstance(raw, dict) or (number == 1) != ("mimic_trace" in raw):
                raise MimicError(f"{path}: line {number}: no trace of mimic's (mimic trace MACHINE -o FILE.jsonl)")
            if "end" in raw:
                return Events(events, int(raw.get("lost", 0)))
            if number > 1:
                events.append(Event(raw))
    raise MimicError(f"{path}: the last line is missing: the file was cut off")
