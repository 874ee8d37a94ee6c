# SPDX-License-Identifier: Apache-2.0
"""Serves a Device on a UNIX socket: to device hosts of Mimic, to QEMUs with Linux SST's device, to Client."""

import heapq
import os
import selectors
import socket
import sys
import time
import traceback

from . import protocol
from .protocol import Request, Response, Status

MOST_UNREAD = 1 << 20  # bytes that a client has not read: beyond that its requests wait
MOST_IN_FLIGHT = 1024


class _Connection:
    def __init__(self, sock, number):
        self.sock = sock
        self.number = number
        self.input = bytearray()
        self.output = bytearray()
        self.agreed = 0
        self.agreeing = False
        self.in_flight = 0
        self.ended = False
        self.partial_since = None
        self.arrival = 0  # of its last request, simulated
        self.events = selectors.EVENT_READ

    @property
    def timed(self):
        return bool(self.agreed & protocol.FLAG_TIMED)

    @property
    def message_size(self):
        return protocol.REQUEST_SIZE + (protocol.SUBMIT_SIZE if self.timed else 0)

    def may_take(self):
        if self.agreeing or len(self.input) < self.message_size or len(self.output) > MOST_UNREAD:
            return False
        return self.in_flight < (MOST_IN_FLIGHT if self.agreed & protocol.FLAG_PIPELINE else 1)


class Server:
    """One device for all clients. `pace` is "fast", or "scaled" by `scale`; poll() or serve() makes it go."""

    def __init__(self, device, path, pace="fast", scale=1.0, patience=5.0, log=sys.stderr):
        if pace not in ("fast", "scaled"):
            raise ValueError("a pace is fast or scaled, not %r" % pace)
        self.device = device
        self.path = path
        self.pace = pace
        self.scale = scale
        self.patience = patience
        self.log = log
        self.requests = 0
        self.answers = 0
        self.malformed = 0
        self.connections = 0
        self._clients = {}
        self._due = []  # (wall time, order, connection, request, response): what waits for its time
        self._order = 0
        self._start = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._listener = self._listen(path)
        self._selector.register(self._listener, selectors.EVENT_READ, None)

    @staticmethod
    def _listen(path):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if os.path.exists(path):
                probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    probe.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)  # left behind by one that was killed
                finally:
                    probe.close()
            before = os.umask(0o177)
            try:
                listener.bind(path)
            finally:
                os.umask(before)
            listener.listen(16)
        except OSError:
            listener.close()
            raise
        listener.setblocking(False)
        return listener

    def close(self):
        for connection in list(self._clients.values()):
            self._drop(connection)
        self._selector.unregister(self._listener)
        self._listener.close()
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        self._selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def clients(self):
        return len(self._clients)

    def serve(self, until=None):
        """Until `until()` is true, or for ever."""
        while until is None or not until():
            self.poll(0.2 if until else None)

    def poll(self, timeout=None):
        """Waits for at most `timeout` seconds and handles what has come."""
        for key, events in self._selector.select(self._wait(timeout)):
            if key.data is None:
                self._accept()
            elif key.data.number in self._clients:
                self._ready(key.data, events)
        self._deliver()
        self._look_at_parts()

    def _wait(self, timeout):
        now = time.monotonic()
        if self._due:
            left = max(0.0, self._due[0][0] - now)
            timeout = left if timeout is None else min(timeout, left)
        if any(connection.partial_since is not None for connection in self._clients.values()):
            timeout = self.patience / 4 if timeout is None else min(timeout, self.patience / 4)
        return timeout

    def _accept(self):
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        sock.setblocking(False)
        self.connections += 1
        connection = _Connection(sock, self.connections)
        self._clients[connection.number] = connection
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _drop(self, connection):
        if self._clients.pop(connection.number, None) is None:
            return
        self._selector.unregister(connection.sock)
        connection.sock.close()

    def _ready(self, connection, events):
        if events & selectors.EVENT_READ and not connection.ended:
            try:
                data = connection.sock.recv(1 << 18)
            except BlockingIOError:
                data = None
            except OSError:
                return self._drop(connection)
            if data:
                connection.input += data
            elif data is not None:
                connection.ended = True
        self._take(connection)

    def _take(self, connection):
        while connection.may_take():
            size = connection.message_size
            message = bytes(connection.input[:size])
            del connection.input[:size]
            submitted = None
            if connection.timed:
                (submitted,) = protocol.SUBMIT.unpack_from(message, protocol.REQUEST_SIZE)
            self._handle(connection, Request.from_bytes(message, submitted))
        left = len(connection.input)
        if not 0 < left < connection.message_size:
            connection.partial_since = None
        elif connection.partial_since is None:
            connection.partial_since = time.monotonic()
        if connection.ended and connection.partial_since is not None:
            self._answer_part(connection)
        self._flush(connection)

    def _handle(self, connection, request):
        self.requests += 1
        connection.in_flight += 1
        wanted = request.flags & (protocol.FLAG_PIPELINE | protocol.FLAG_TIMED)
        if wanted and not connection.agreed and connection.in_flight == 1:
            connection.agreeing = True
        # Without a clock of its own, a client's request comes when what it last waited for was over.
        arrival = self._simulated() if request.submitted is None else request.submitted
        arrival = connection.arrival = max(arrival, connection.arrival)
        try:
            response, finished = self.device.handle(request, arrival)
        except Exception:  # a user's function may do anything; the request is answered
            print("mimic_sim: the model failed:\n" + traceback.format_exc(), file=self.log)
            response, finished = Response(Status.ERROR), arrival
        finished = max(finished, arrival)
        response.request_id = request.request_id
        response.user_data = request.user_data
        response.latency = finished - arrival
        response.finished = finished
        if self.pace == "fast":
            if request.submitted is None:
                connection.arrival = finished
            return self._answer(connection, request, response)
        wall = self._start + finished * 1e-9 * self.scale
        if request.submitted is not None:  # by the client's clock: from now on
            wall = time.monotonic() + response.latency * 1e-9 * self.scale
        self._order += 1
        heapq.heappush(self._due, (wall, self._order, connection, request, response))

    def _simulated(self):
        if self.pace == "fast":
            return 0
        return int((time.monotonic() - self._start) / self.scale * 1e9)

    def _deliver(self):
        touched = {}
        while self._due and self._due[0][0] <= time.monotonic():
            _, _, connection, request, response = heapq.heappop(self._due)
            if connection.number in self._clients:
                self._answer(connection, request, response)
                touched[connection.number] = connection
        for connection in touched.values():
            self._take(connection)

    def _answer(self, connection, request, response):
        connection.in_flight -= 1
        self.answers += 1
        agreed = 0
        if connection.agreeing:
            agreed = request.flags & (protocol.FLAG_PIPELINE | protocol.FLAG_TIMED)
        response.reserved = agreed
        connection.output += response.to_bytes()
        if connection.timed:
            connection.output += protocol.TIMING.pack(response.latency, response.finished)
        if connection.agreeing:
            connection.agreed = agreed
            connection.agreeing = False

    def _answer_part(self, connection):
        """A short request is answered, since its sender waits; where the next would begin is not known."""
        header = bytes(connection.input[:24]).ljust(24, b"\0")
        request = Request.from_bytes(header)
        connection.input.clear()
        connection.partial_since = None
        connection.ended = True
        self.malformed += 1
        connection.output += Response(
            Status.INVALID, request_id=request.request_id, user_data=request.user_data
        ).to_bytes()

    def _look_at_parts(self):
        now = time.monotonic()
        for connection in list(self._clients.values()):
            since = connection.partial_since
            if since is not None and now - since >= self.patience:
                self._answer_part(connection)
                self._flush(connection)

    def _flush(self, connection):
        try:
            while connection.output:
                sent = connection.sock.send(connection.output)
                del connection.output[:sent]
        except BlockingIOError:
            pass
        except OSError:
            return self._drop(connection)
        if connection.ended and not connection.output and not connection.in_flight:
            return self._drop(connection)
        reads = not connection.ended and len(connection.input) < MOST_UNREAD
        events = (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if connection.output else 0)
        if events == connection.events:
            return
        if events and connection.events:
            self._selector.modify(connection.sock, events, connection)
        elif events:
            self._selector.register(connection.sock, events, connection)
        else:
            self._selector.unregister(connection.sock)
        connection.events = events
