# SPDX-License-Identifier: Apache-2.0
"""Faults that are injected into devices of a machine (docs/faults.md)."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Union

from .api import ControlApi, machine_path
from .errors import ApiError, MimicError
from .waiting import DEFAULT_TIMEOUT, wait_for

# These strike a moment after the answer to their injection: their process is to give that answer first.
_OF_HOSTS = ("host-crash", "host-hang")


class Fault:
    """A fault that was injected. In a `with` block it ends with the block:

        with machine.fault("gpu0", "irq-lost", count=3) as fault:
            machine.exec("my-test")
        assert fault.strikes == 3

    Others of the same device stand until their own blocks end.
    """

    def __init__(self, api: ControlApi, machine: str, device: str, made: Mapping[str, Any]) -> None:
        self._api = api
        self._path = machine_path(machine, "devices", device, "faults")
        self.device = device
        self._last: Dict[str, Any] = dict(made)
        self.id = int(made["id"])
        self.name = str(made["fault"])

    def _look(self) -> Dict[str, Any]:
        try:
            faults = self._api.json("GET", self._path)["faults"]
        except ApiError as error:
            if not self._says_that_it_struck(error):
                raise
            self._last = dict(self._last, state="done" if self.name == "host-crash" else "active", strikes=1)
            return self._last
        for fault in faults:
            if fault["id"] == self.id:
                self._last = fault
        return self._last  # the last few that ended are listed; of an older one, what was known of it

    def _says_that_it_struck(self, error: ApiError) -> bool:
        # Who was to answer is dead, or hangs, as was asked for.
        if self.name == "host-crash":
            return _host_is_gone(error)
        return self.name == "host-hang" and error.code == "unreachable" and not _host_is_gone(error)

    @property
    def state(self) -> str:
        """armed, active, done or cleared, now."""
        return str(self._look()["state"])

    @property
    def strikes(self) -> int:
        """How often it has struck until now."""
        return int(self._look()["strikes"])

    @property
    def note(self) -> str:
        """Why a strike had no effect, if it had none."""
        return str(self._look().get("note", ""))

    def wait_struck(self, times: int = 1, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Waits until it has struck so often."""
        wait_for(lambda: self.strikes >= times, timeout, what=f"{self.name} of {self.device} strikes {times} times")

    def clear(self) -> None:
        """Ends it, as the end of a `with` block does. One that has ended by itself is no error."""
        if self.id < 0:
            return
        try:
            self._api.request("DELETE", self._path, query=[("id", str(self.id))])
        except ApiError as error:
            if not self._says_that_it_struck(error):
                raise

    def __enter__(self) -> "Fault":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        try:
            self._look()
            self.clear()
            self._look()
        except ApiError:
            # The process may be on its way out; and the block's own error says more.
            if kind is None and self.name not in _OF_HOSTS:
                raise

    def __repr__(self) -> str:
        return f"<fault {self.id}: {self.name} of {self.device}, {self._last['state']}, {self._last['strikes']} strikes>"


def inject(api: ControlApi, machine: str, device: str, fault: str, options: Mapping[str, Union[str, int]],
           at: Optional[float], after: Optional[int], seed: Optional[int]) -> Fault:
    """As Machine.fault()."""
    body: Dict[str, Any] = {"fault": fault}
    if options:
        body["options"] = dict(options)
    if at is not None and after is not None:
        raise ValueError("a fault waits for a time (at) or for accesses (after), not for both")
    if at is not None:
        body["at_us"] = round(at * 1_000_000)
    if after is not None:
        body["after_accesses"] = after
    if seed is not None:
        body["seed"] = seed
    try:
        answer = api.json("POST", machine_path(machine, "devices", device, "faults"), body)
    except ApiError as error:
        if fault != "host-crash" or error.code != "host_ended":
            raise
        # Who was to answer has just been killed, as was asked for.
        answer = {"faults": [{"id": -1, "fault": fault, "state": "done", "strikes": 1}]}
    made: List[Dict[str, Any]] = list(answer["faults"])
    if not made:
        raise MimicError(f"{device}: the answer to {fault} has no fault")
    injected = Fault(api, machine, device, max(made, key=lambda one: int(one["id"])))
    if fault in _OF_HOSTS and at is None and after is None:
        # A `with` block that ends sooner would take it back.
        injected.wait_struck()
    return injected


def _host_is_gone(error: ApiError) -> bool:
    # Its socket is there until the supervisor has seen its end; then no process knows the device.
    return error.code in ("host_ended", "unknown_device") or (error.code == "unreachable" and "nobody listens" in error.message)
