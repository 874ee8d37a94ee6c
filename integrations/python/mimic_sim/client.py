# SPDX-License-Identifier: Apache-2.0
"""Asks a simulator: for tests, sweeps and experiments without a guest."""

import socket
from collections import deque

from . import protocol
from .protocol import Request, Response, Type


class Gone(ConnectionError):
    """The simulator ended the connection."""


class Client:
    """A connection to a simulator. Blocking; one request after the other, or many with submit() and collect()."""

    def __init__(self, path, timeout=10.0, flags=protocol.FLAG_PIPELINE | protocol.FLAG_TIMED):
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(timeout)
        self._ids = 0
        self._waiting = deque()
        self.agreed = 0
        try:
            self._sock.connect(path)
            if flags:
                self.agreed = self._ask(Request(Type.NOOP, flags=flags)).reserved & flags
        except BaseException:
            self._sock.close()
            raise

    def close(self):
        self._sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def timed(self):
        return bool(self.agreed & protocol.FLAG_TIMED)

    def submit(self, request, submitted=0):
        """Sends a request that comes at `submitted` ns of simulated time, where the simulator has times. Its id."""
        self._ids += 1
        request.request_id = self._ids
        message = request.to_bytes()
        if self.timed:
            message += protocol.SUBMIT.pack(submitted)
        self._sock.sendall(message)
        self._waiting.append(request.request_id)
        return request.request_id

    def collect(self):
        """The next answer, of whichever request."""
        response = Response.from_bytes(self._receive(protocol.RESPONSE_SIZE))
        if self.timed:
            response.latency, response.finished = protocol.TIMING.unpack(self._receive(protocol.TIMING_SIZE))
        if response.request_id not in self._waiting:
            raise ValueError("an answer to nothing: id %d" % response.request_id)
        self._waiting.remove(response.request_id)
        return response

    @property
    def in_flight(self):
        return len(self._waiting)

    def _ask(self, request, submitted=0):
        self.submit(request, submitted)
        return self.collect()

    def _receive(self, size):
        parts = bytearray()
        while len(parts) < size:
            data = self._sock.recv(size - len(parts))
            if not data:
                raise Gone("the simulator has gone, %d of %d bytes came" % (len(parts), size))
            parts += data
        return bytes(parts)

    def noop(self):
        return self._ask(Request(Type.NOOP))

    def echo(self, data):
        return self._ask(Request(Type.ECHO, payload=data))

    def compute(self, units, model=0, work=None, submitted=0):
        flags, payload = protocol.compute(units, model, work)
        return self._ask(Request(Type.COMPUTE, flags=flags, payload=payload), submitted)

    def read(self, address, size, submitted=0):
        return self._ask(Request(Type.READ, payload=protocol.memory(address, size)), submitted)

    def write(self, address, data, submitted=0):
        return self._ask(Request(Type.WRITE, payload=protocol.memory(address, len(data), data)), submitted)

    def reset(self):
        return self._ask(Request(Type.RESET))

    def get_info(self):
        return self._ask(Request(Type.GET_INFO))

    def configure(self, param, value):
        return self._ask(Request(Type.CONFIGURE, payload=protocol.config(param, value)))
