#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mimic-sim from the outside: clients as Linux SST's QEMUs are (one write, one blocking read), the bare-metal protocol,
clients that send parts or go, reconnects, statistics; `ping` on servers that keep to the protocol and that do not.

usage: mimic_sim_test.py BIN SOURCE"""

import http.client
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BIN = os.path.abspath(sys.argv[1])
sys.path.insert(0, os.path.join(os.path.abspath(sys.argv[2]), "integrations", "python"))
import mimic_sim  # noqa: E402
from mimic_sim import protocol  # noqa: E402

PROGRAM = os.path.join(BIN, "mimic-sim")
REQUEST = struct.Struct("<IIQQ4080s")
RESPONSE = struct.Struct("<IIQQQ4080s")
ACCESS = struct.Struct("<BBHQQ")
ANSWER = struct.Struct("<B7xQ")


def connect(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(60)
    sock.connect(path)
    return sock


def exchange(sock, type, request_id, payload=b"", flags=0):
    """As Linux SST's QEMU: a write, then one read of the whole answer."""
    request = REQUEST.pack(type, flags, request_id, request_id * 2, payload)
    assert sock.send(request) == len(request)
    data = sock.recv(RESPONSE.size, socket.MSG_WAITALL)
    assert len(data) == RESPONSE.size, len(data)
    return RESPONSE.unpack(data)


class Serving(unittest.TestCase):
    def serve(self, *options):
        self.folder = tempfile.TemporaryDirectory(prefix="mimic-sim-")
        self.addCleanup(self.folder.cleanup)
        options = [option.replace("DIR", self.folder.name) for option in options]
        self.process = subprocess.Popen([PROGRAM, "serve", *options], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        sockets = sum(option in ("-s", "--registers") for option in options)
        for _ in range(sockets):
            self.assertIn("serving", self.process.stdout.readline())

    def path(self, name="sst.sock"):
        return os.path.join(self.folder.name, name)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        output = self.process.stdout.read()
        self.assertEqual(self.process.wait(60), 0)
        return output

    def test_answers_all_types_to_the_seeds_qemu(self):
        self.serve("-s", "DIR/sst.sock")
        with connect(self.path()) as sock:
            for type in range(8):
                payload = protocol.config(1, 10**9) if type == 7 else struct.pack("<QII", 10, 0, 0)
                status, reserved, request_id, user_data, _, _ = exchange(sock, type, 100 + type, payload)
                self.assertEqual((status, reserved, request_id, user_data), (0, 0, 100 + type, 200 + 2 * type))
            self.assertEqual(exchange(sock, 8, 1)[0], 3)
            status, _, _, _, result, data = exchange(sock, 1, 2, b"x" * 4080)
            self.assertEqual((status, result, data), (0, 4080, b"x" * 4080))
        self.stop()
        self.assertFalse(os.path.exists(self.path()))

    def test_clients_come_again_and_have_a_device_each(self):
        self.serve("-s", "DIR/sst.sock")
        for _ in range(3):
            with connect(self.path()) as one, connect(self.path()) as two:
                self.assertEqual(exchange(one, 3, 1, protocol.memory(0, 4))[5][:4], b"\0\0\0\0")
                exchange(one, 4, 1, protocol.memory(0, 4, b"mine"))
                self.assertEqual(exchange(two, 3, 1, protocol.memory(0, 4))[5][:4], b"\0\0\0\0")
                self.assertEqual(exchange(one, 3, 1, protocol.memory(0, 4))[5][:4], b"mine")

    def test_shares_one_device_when_asked_to(self):
        self.serve("-s", "DIR/sst.sock", "--shared")
        with connect(self.path()) as one:
            exchange(one, 4, 1, protocol.memory(8, 4, b"ours"))
        with connect(self.path()) as two:
            self.assertEqual(exchange(two, 3, 1, protocol.memory(8, 4))[5][:4], b"ours")

    def test_a_part_of_a_request_is_answered(self):
        self.serve("-s", "DIR/sst.sock", "--patience", "0.2")
        with connect(self.path()) as sock:
            sock.send(REQUEST.pack(2, 0, 42, 43, b"")[:777])
            status, _, request_id, user_data, _, _ = RESPONSE.unpack(sock.recv(4112, socket.MSG_WAITALL))
            self.assertEqual((status, request_id, user_data), (3, 42, 43))
            self.assertEqual(sock.recv(1), b"")
        with connect(self.path()) as sock:
            self.assertEqual(exchange(sock, 0, 1)[0], 0)
        self.assertIn("1 malformed", self.stop())

    def test_scaled_pace_spends_the_time(self):
        self.serve("-s", "DIR/sst.sock", "--model", "fixed:latency=20ms", "--pace", "scaled", "--scale", "5")
        with connect(self.path()) as sock:
            start = time.monotonic()
            status, _, _, _, cycles, _ = exchange(sock, 2, 1, struct.pack("<QII", 1, 0, 0))
            self.assertGreaterEqual(time.monotonic() - start, 0.1)
            self.assertEqual((status, cycles), (0, 20_000_000))

    def test_many_in_flight_with_times(self):
        self.serve("-s", "DIR/sst.sock", "--model", "linear:per-unit=10ns", "--units", "4", "--shared")
        with mimic_sim.Client(self.path()) as client:
            self.assertEqual(client.agreed, protocol.FLAG_PIPELINE | protocol.FLAG_TIMED)
            for units in range(64):
                flags, payload = protocol.compute(units)
                client.submit(mimic_sim.Request(mimic_sim.Type.COMPUTE, flags=flags, payload=payload))
            answers = [client.collect() for _ in range(64)]
            self.assertEqual(sorted(answer.cycles for answer in answers), [10 * units for units in range(64)])

    def test_only_the_seeds_protocol_when_asked_to(self):
        self.serve("-s", "DIR/sst.sock", "--plain")
        with mimic_sim.Client(self.path()) as client:
            self.assertEqual(client.agreed, 0)
            self.assertEqual(client.compute(3).cycles, 300)

    def test_registers_of_the_bare_metal_protocol(self):
        self.serve("--registers", "DIR/echo=echo", "--registers", "DIR/one=compute@0x10300000",
                   "--registers", "DIR/two=compute", "--peers", "DIR/one,DIR/two")

        def access(sock, type, address, data=0, size=4):
            sock.send(ACCESS.pack(type, size, 0, address, data))
            return ANSWER.unpack(sock.recv(16, socket.MSG_WAITALL))

        with connect(self.path("echo")) as sock:  # as Linux SST's QEMU: START sends DATA_IN, then DATA_OUT is read
            self.assertEqual(access(sock, 1, 0x10200000, 0xABCD), (1, 0))
            self.assertEqual(access(sock, 0, 0x10200004), (1, 0xABCD))
            self.assertEqual(access(sock, 0, 0x10200004, size=3), (0, 0))
            self.assertEqual(access(sock, 2, 0x10200004), (0, 0))
        with connect(self.path("one")) as one, connect(self.path("two")) as two:
            for offset, value in ((0, 6), (4, 7), (8, 2), (0x14, 2)):
                self.assertEqual(access(one, 1, 0x10300000 + offset, value), (1, 0))
            self.assertEqual(access(one, 0, 0x1030000C), (1, 42))
            self.assertEqual(access(one, 0, 0x10301000), (0, 0))
            self.assertEqual(access(one, 1, 0x10300018, 99), (1, 0))
            self.assertEqual(access(two, 0, 0x1C), (1, 99))
            one.send(b"\0\4\0")
            one.shutdown(socket.SHUT_WR)
            self.assertEqual(one.recv(16, socket.MSG_WAITALL), ANSWER.pack(0, 0))
            self.assertEqual(one.recv(1), b"")

    def test_metrics_and_statistics(self):
        self.serve("-s", "DIR/sst.sock", "--metrics", "DIR/http", "--stats", "0.05")
        with connect(self.path()) as sock:
            exchange(sock, 0, 1)
            connection = http.client.HTTPConnection("localhost")
            connection.sock = connect(self.path("http"))
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            connection.close()
        self.assertIn('mimic_sim_requests_total{socket="%s",protocol="virtio"} 1\n' % self.path(), text)
        self.assertIn('mimic_sim_clients{socket="%s",protocol="virtio"} 1\n' % self.path(), text)
        self.assertIn("requests", self.process.stdout.readline())

    def test_many_processes_get_every_answer_once(self):
        self.serve("-s", "DIR/sst.sock", "--shared")
        failures = []

        def work(seed):
            try:
                with connect(self.path()) as sock:
                    for i in range(300):
                        request_id = seed * 1000 + i
                        answer = exchange(sock, 1, request_id, b"%d" % request_id)
                        assert answer[2] == request_id and answer[5].rstrip(b"\0") == b"%d" % request_id
            except Exception as error:  # noqa: BLE001 - told below
                failures.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertIn("3000 requests, 3000 answers, 0 in flight, 0 malformed", self.stop())

    def test_wrong_usage_is_told(self):
        for options in (["--model", "rooflin"], ["--model", "fixed:latenci=1"], ["--clock", "fast"],
                        ["--registers", "x=gpu"], ["--peers", "a,b"], ["--pace", "slow"], ["--scale", "0"]):
            done = subprocess.run([PROGRAM, "serve", "-s", "/tmp/mimic-sim-unused.sock", *options],
                                  capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (2, ""), options)
            self.assertTrue(done.stderr)


class Ping(unittest.TestCase):
    def ping(self, path, *options):
        return subprocess.run([PROGRAM, "ping", path, "--timeout", "20", *options], capture_output=True, text=True)

    def with_peer(self, serve, *options):
        with tempfile.TemporaryDirectory(prefix="mimic-sim-") as folder:
            path = os.path.join(folder, "sst.sock")
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(path)
            listener.listen(4)

            def run():
                while True:
                    try:
                        sock, _ = listener.accept()
                    except OSError:
                        return
                    with sock:
                        serve(sock)

            thread = threading.Thread(target=run)
            thread.start()
            try:
                return self.ping(path, *options)
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()
                listener.close()

    @staticmethod
    def seed_peer(sock):
        """Like Linux SST's component: NOOP, ECHO and COMPUTE; parts are never answered."""
        while True:
            data = sock.recv(4104, socket.MSG_WAITALL)
            if len(data) != 4104:
                return
            type, _, request_id, user_data, payload = REQUEST.unpack(data)
            result, answer = (4080, payload) if type == 1 else (0, b"")
            sock.sendall(RESPONSE.pack(0 if type < 3 else 3, 0, request_id, user_data, result, answer))

    def test_finds_a_peer_of_the_seed_good(self):
        done = self.with_peer(self.seed_peer, "--count", "3")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("one in flight, no times", done.stdout)

    def test_names_what_is_wrong(self):
        def wrong_id(sock):
            data = sock.recv(4104, socket.MSG_WAITALL)
            if len(data) == 4104:
                sock.sendall(RESPONSE.pack(0, 0, 12345, 0, 0, b""))
                sock.recv(1)

        done = self.with_peer(wrong_id)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another request_id", done.stdout)

        def short(sock):
            sock.recv(4104, socket.MSG_WAITALL)
            sock.sendall(b"x" * 100)

        done = self.with_peer(short)
        self.assertEqual(done.returncode, 1)
        self.assertIn("100 of 4112 bytes came, then the end", done.stdout)

    def test_says_that_nobody_serves(self):
        done = self.ping("/tmp/mimic-sim-nobody.sock")
        self.assertEqual(done.returncode, 1)
        self.assertIn("No such file", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
