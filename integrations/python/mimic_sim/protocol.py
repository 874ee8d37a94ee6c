# SPDX-License-Identifier: Apache-2.0
"""Bytes of a simulator's socket: src/lib/sim/sst_protocol.h in Python. protocol_test.py compares the two."""

import enum
import struct
from dataclasses import dataclass

MAX_DATA_SIZE = 4080
REQUEST_SIZE = 4104
RESPONSE_SIZE = 4112
SUBMIT_SIZE = 8
TIMING_SIZE = 16
VERSION = 0x00010000
MAX_COMPUTE_UNITS = 1_000_000

FLAG_EVENT = 1 << 0
FLAG_WORK = 1 << 1
FLAG_PIPELINE = 1 << 16
FLAG_TIMED = 1 << 17


class Type(enum.IntEnum):
    """What is asked."""

    NOOP = 0
    ECHO = 1
    COMPUTE = 2
    READ = 3
    WRITE = 4
    RESET = 5
    GET_INFO = 6
    CONFIGURE = 7


class Status(enum.IntEnum):
    """How it was answered."""

    OK = 0
    ERROR = 1
    BUSY = 2
    INVALID = 3
    TIMEOUT = 4
    NO_DEVICE = 5


class Param(enum.IntEnum):
    """What CONFIGURE sets. Values are unsigned, 64 bits."""

    CLOCK_HZ = 1
    LATENCY_MODEL = 2
    LAUNCH_LATENCY_NS = 3
    NS_PER_UNIT = 4
    MEMORY_LATENCY_NS = 5
    MEMORY_BANDWIDTH = 6
    UNITS = 7
    EVENT_MASK = 8


# Bits of GET_INFO's capabilities.
CAN_ECHO, CAN_COMPUTE, CAN_MEMORY, CAN_EVENTS, CAN_MULTI_QUEUE, CAN_RESET = (1 << bit for bit in range(6))

_REQUEST = struct.Struct("<IIQQ")
_RESPONSE = struct.Struct("<IIQQQ")
_COMPUTE = struct.Struct("<QII")
_MEMORY = struct.Struct("<QII")
_CONFIG = struct.Struct("<IIQ")
_INFO = struct.Struct("<IIQQ")
_DONE = struct.Struct("<QQ")
_WORK = struct.Struct("<QQIIII")
SUBMIT = struct.Struct("<Q")
TIMING = struct.Struct("<QQ")


@dataclass
class Work:
    """What a COMPUTE works on (FLAG_WORK): operations, bytes of memory moved, a GEMM. 0: not said."""

    operations: int = 0
    bytes: int = 0
    m: int = 0
    n: int = 0
    k: int = 0


class Request:
    """A request: its header, and its payload by type. `submitted` is the client's clock in ns, or None."""

    __slots__ = ("type", "flags", "request_id", "user_data", "payload", "submitted")

    def __init__(self, type, request_id=0, user_data=0, flags=0, payload=b"", submitted=None):
        if len(payload) > MAX_DATA_SIZE:
            raise ValueError("a payload has at most %d bytes" % MAX_DATA_SIZE)
        self.type = type
        self.flags = flags
        self.request_id = request_id
        self.user_data = user_data
        self.payload = bytes(payload).ljust(MAX_DATA_SIZE, b"\0")
        self.submitted = submitted

    @classmethod
    def from_bytes(cls, data, submitted=None):
        type, flags, request_id, user_data = _REQUEST.unpack_from(data)
        return cls(type, request_id, user_data, flags, data[_REQUEST.size : REQUEST_SIZE], submitted)

    def to_bytes(self):
        return _REQUEST.pack(self.type, self.flags, self.request_id, self.user_data) + self.payload

    # COMPUTE
    @property
    def units(self):
        return _COMPUTE.unpack_from(self.payload)[0]

    @property
    def model(self):
        return _COMPUTE.unpack_from(self.payload)[1]

    @property
    def work(self):
        if not self.flags & FLAG_WORK:
            return Work()
        return Work(*_WORK.unpack_from(self.payload, _COMPUTE.size)[:5])

    # READ, WRITE
    @property
    def address(self):
        return _MEMORY.unpack_from(self.payload)[0]

    @property
    def size(self):
        return _MEMORY.unpack_from(self.payload)[1]

    @property
    def data(self):
        """Bytes of an ECHO, or of a WRITE."""
        if self.type == Type.WRITE:
            return self.payload[_MEMORY.size : _MEMORY.size + self.size]
        return self.payload

    # CONFIGURE
    @property
    def param(self):
        return _CONFIG.unpack_from(self.payload)[0]

    @property
    def value(self):
        return _CONFIG.unpack_from(self.payload)[2]


def compute(units, model=0, work=None):
    """(flags, payload) of a COMPUTE."""
    payload = _COMPUTE.pack(units, model, 0)
    if work is None:
        return 0, payload
    return FLAG_WORK, payload + _WORK.pack(work.operations, work.bytes, work.m, work.n, work.k, 0)


def memory(address, size, data=b""):
    """Payload of a READ or WRITE."""
    return _MEMORY.pack(address, size, 0) + data


def config(param, value):
    """Payload of a CONFIGURE."""
    return _CONFIG.pack(param, 0, value)


class Response:
    """An answer. `latency` and `finished` are simulated ns, or None from a server that has no times."""

    __slots__ = ("status", "reserved", "request_id", "user_data", "result", "payload", "latency", "finished")

    def __init__(self, status=Status.OK, result=0, payload=b"", request_id=0, user_data=0, reserved=0):
        self.status = status
        self.reserved = reserved
        self.request_id = request_id
        self.user_data = user_data
        self.result = result
        self.payload = bytes(payload)
        self.latency = None
        self.finished = None

    @classmethod
    def from_bytes(cls, data):
        status, reserved, request_id, user_data, result = _RESPONSE.unpack_from(data)
        return cls(status, result, data[_RESPONSE.size : RESPONSE_SIZE], request_id, user_data, reserved)

    def to_bytes(self):
        header = _RESPONSE.pack(self.status, self.reserved, self.request_id, self.user_data, self.result)
        return header + self.payload.ljust(MAX_DATA_SIZE, b"\0")[:MAX_DATA_SIZE]

    # COMPUTE
    @property
    def cycles(self):
        return _DONE.unpack_from(self.payload)[0]

    @property
    def timestamp(self):
        return _DONE.unpack_from(self.payload)[1]

    # GET_INFO: (version, capabilities, most units, bytes of memory)
    @property
    def info(self):
        return _INFO.unpack_from(self.payload)


def done(cycles, timestamp):
    """Payload of a COMPUTE's answer."""
    return _DONE.pack(cycles & 0xFFFFFFFFFFFFFFFF, timestamp & 0xFFFFFFFFFFFFFFFF)


def info(capabilities, memory_size):
    """Payload of a GET_INFO's answer."""
    return _INFO.pack(VERSION, capabilities, MAX_COMPUTE_UNITS, memory_size)
