# SPDX-License-Identifier: Apache-2.0
"""A device model in Python: what a request does, and how much simulated time it takes."""

import heapq
from dataclasses import dataclass, field

from . import protocol
from .protocol import Param, Response, Status, Type

PAGE = 4096


@dataclass
class Work:
    """What a latency function is told of a COMPUTE."""

    units: int  # compute units that the guest asks for
    model: int  # index that the guest chose, or CONFIGURE
    operations: int = 0  # what else the guest said of it (SST_FLAG_WORK); 0: nothing
    bytes: int = 0
    m: int = 0
    n: int = 0
    k: int = 0
    start: int = 0  # simulated time at which it begins, ns


class Invalid(Exception):
    """A request that this device refuses: answered INVALID."""


class Memory:
    """Sparse bytes, zeros at first."""

    def __init__(self, size):
        self.size = size
        self._pages = {}

    def clear(self):
        self._pages.clear()

    def _pieces(self, address, size):
        if address + size > self.size:
            raise Invalid("beyond memory")
        while size:
            offset = address % PAGE
            length = min(size, PAGE - offset)
            yield address // PAGE, offset, length
            address += length
            size -= length

    def read(self, address, size):
        parts = []
        for page, offset, length in self._pieces(address, size):
            data = self._pages.get(page)
            parts.append(bytes(length) if data is None else bytes(data[offset : offset + length]))
        return b"".join(parts)

    def write(self, address, data):
        done = 0
        for page, offset, length in list(self._pieces(address, len(data))):
            content = self._pages.setdefault(page, bytearray(PAGE))
            content[offset : offset + length] = data[done : done + length]
            done += length


@dataclass
class Device:
    """Linux SST's device in simulated time. Override latency(), or any of the others, or give `function`.

    Simulated time is in ns. A COMPUTE waits for one of `units` that is free, then takes what latency() says; READ
    and WRITE take `memory_latency` and their bytes at `memory_bandwidth`, and do not wait for one another.
    """

    function: object = None  # latency of a COMPUTE: function(Work) -> ns
    memory_size: int = 256 << 20
    clock_hz: int = 1_000_000_000
    units: int = 1
    memory_latency: int = 100
    memory_bandwidth: int = 0  # bytes a second; 0: without bound
    parameters: dict = field(default_factory=dict, init=False)

    def __post_init__(self):
        self.memory = Memory(self.memory_size)
        self.reset()

    def latency(self, work):
        """Simulated ns that a COMPUTE keeps its unit. Without `function`: Linux SST's 100 cycles a unit."""
        if self.function is not None:
            return self.function(work)
        return work.units * 100 * 1_000_000_000 // self.clock_hz

    def reset(self):
        """As at start: memory, parameters, time."""
        self.memory.clear()
        self.now = 0
        self.parameters = {
            Param.CLOCK_HZ: self.clock_hz,
            Param.LATENCY_MODEL: 0,
            Param.LAUNCH_LATENCY_NS: 0,
            Param.MEMORY_LATENCY_NS: self.memory_latency,
            Param.MEMORY_BANDWIDTH: self.memory_bandwidth,
            Param.UNITS: self.units,
            Param.EVENT_MASK: (1 << 64) - 1,
        }
        self._free = [0] * self.units

    # Each of these takes a Request and its time, and returns a Response and when it is there.

    def compute(self, request, time):
        if request.units > protocol.MAX_COMPUTE_UNITS:
            raise Invalid("too many units")
        start = max(time, self._free[0]) + self.parameters[Param.LAUNCH_LATENCY_NS]
        said = request.work
        model = request.model or self.parameters[Param.LATENCY_MODEL]
        work = Work(request.units, model, said.operations, said.bytes, said.m, said.n, said.k, start)
        end = start + max(0, round(self.latency(work)))
        heapq.heapreplace(self._free, end)
        clock = self.parameters[Param.CLOCK_HZ]
        cycles = (end - start) * clock // 1_000_000_000
        return Response(result=cycles, payload=protocol.done(cycles, end * clock // 1_000_000_000)), end

    def _moved(self, size, time):
        bandwidth = self.parameters[Param.MEMORY_BANDWIDTH]
        transfer = -(-size * 1_000_000_000 // bandwidth) if bandwidth else 0
        return time + self.parameters[Param.MEMORY_LATENCY_NS] + transfer

    def read(self, request, time):
        if request.size > protocol.MAX_DATA_SIZE:
            raise Invalid("more than an answer holds")
        data = self.memory.read(request.address, request.size)
        return Response(result=request.size, payload=data), self._moved(request.size, time)

    def write(self, request, time):
        if request.size > protocol.MAX_DATA_SIZE - 16:
            raise Invalid("more than a request holds")
        self.memory.write(request.address, request.data)
        return Response(result=request.size), self._moved(request.size, time)

    def configure(self, request, time):
        if request.param not in self.parameters or (request.param == Param.CLOCK_HZ and not request.value):
            raise Invalid("no such parameter")
        before = self.parameters[request.param]
        if request.param == Param.UNITS:
            if not 1 <= request.value <= 65536:
                raise Invalid("no such number of units")
            self._free = (sorted(self._free) + [0] * request.value)[: request.value]
            heapq.heapify(self._free)
        self.parameters[request.param] = request.value
        return Response(result=before), time

    def info(self):
        can = protocol.CAN_ECHO | protocol.CAN_COMPUTE | protocol.CAN_MEMORY | protocol.CAN_RESET
        return Response(payload=protocol.info(can, self.memory_size))

    def handle(self, request, time):
        """(Response, simulated time of its completion) of a request that comes at `time`. Never raises Invalid."""
        self.now = max(self.now, time)
        try:
            if request.type == Type.COMPUTE:
                return self.compute(request, time)
            if request.type == Type.READ:
                return self.read(request, time)
            if request.type == Type.WRITE:
                return self.write(request, time)
            if request.type == Type.CONFIGURE:
                return self.configure(request, time)
            if request.type == Type.ECHO:
                return Response(result=protocol.MAX_DATA_SIZE, payload=request.payload), time
            if request.type == Type.GET_INFO:
                return self.info(), time
            if request.type == Type.RESET:
                self.reset()
                return Response(), time
            if request.type == Type.NOOP:
                return Response(), time
        except Invalid:
            pass
        return Response(Status.INVALID), time
