#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""integrations/python: its protocol against the C header, a device's answers and times, and a server with clients that
behave as Linux SST's QEMU, as device hosts, and badly.

usage: python_test.py SOURCE"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest

SOURCE = os.path.abspath(sys.argv[1])
PACKAGE = os.path.join(SOURCE, "integrations", "python")
sys.path.insert(0, PACKAGE)
import mimic_sim  # noqa: E402
from mimic_sim import Device, Param, Request, Status, Type, protocol  # noqa: E402


class Protocol(unittest.TestCase):
    def setUp(self):
        with open(os.path.join(SOURCE, "src/lib/sim/sst_protocol.h")) as header:
            self.header = header.read()

    def number(self, name):
        value = re.search(r"\b%s\b\s*=?\s*(0x[0-9a-f]+|\d+u? << \d+|\d+)" % name, self.header).group(1)
        return eval(value.replace("u", ""))

    def test_numbers_are_the_headers(self):
        for prefix, members in (("SST_REQ_", Type), ("SST_STATUS_", Status), ("SST_PARAM_", Param)):
            names = set(re.findall(r"^    %s(\w+) = " % prefix, self.header, re.M))
            self.assertEqual(names, {member.name for member in members})
            for member in members:
                self.assertEqual(self.number(prefix + member.name), member.value)
        for flag in ("EVENT", "WORK", "PIPELINE", "TIMED"):
            self.assertEqual(self.number("SST_FLAG_" + flag), getattr(protocol, "FLAG_" + flag))
        self.assertEqual(self.number("SST_MAX_COMPUTE_UNITS"), protocol.MAX_COMPUTE_UNITS)
        self.assertEqual(self.number("SST_VERSION"), protocol.VERSION)
        self.assertEqual(self.number("SST_MAX_DATA_SIZE"), protocol.MAX_DATA_SIZE)

    def test_sizes(self):
        self.assertEqual(len(Request(Type.NOOP).to_bytes()), 4104)
        self.assertEqual(len(mimic_sim.Response().to_bytes()), 4112)

    def test_a_request_comes_back(self):
        work = protocol.Work(1, 2, 3, 4, 5)
        flags, payload = protocol.compute(9, 2, work)
        request = Request.from_bytes(Request(Type.COMPUTE, 7, 8, flags, payload).to_bytes())
        self.assertEqual((request.type, request.request_id, request.user_data), (Type.COMPUTE, 7, 8))
        self.assertEqual((request.units, request.model, request.work), (9, 2, work))


class Times(unittest.TestCase):
    def compute(self, device, units, time, model=0):
        flags, payload = protocol.compute(units, model)
        return device.handle(Request(Type.COMPUTE, flags=flags, payload=payload), time)

    def test_a_function_says_how_long(self):
        device = Device(function=lambda work: 50 + 2 * work.units + 1000 * work.model)
        response, finished = self.compute(device, 25, 1000)
        self.assertEqual((response.status, response.result, finished), (Status.OK, 100, 1100))
        self.assertEqual(self.compute(device, 0, 5000, 2)[1], 7050)

    def test_units_are_waited_for(self):
        device = Device(function=lambda work: 100, units=2)
        self.assertEqual([self.compute(device, 1, 0)[1] for _ in range(5)], [100, 100, 200, 200, 300])
        device.reset()
        self.assertEqual(self.compute(device, 1, 0)[1], 100)

    def test_clock_changes_cycles_only(self):
        device = Device(function=lambda work: 100)
        request = Request(Type.CONFIGURE, payload=protocol.config(Param.CLOCK_HZ, 500_000_000))
        self.assertEqual(device.handle(request, 0)[0].result, 1_000_000_000)
        response, finished = self.compute(device, 1, 0)
        self.assertEqual((response.cycles, response.timestamp, finished), (50, 50, 100))

    def test_refuses(self):
        device = Device(memory_size=4096)
        for request in (
            Request(99),
            Request(Type.READ, payload=protocol.memory(4090, 7)),
            Request(Type.READ, payload=protocol.memory(2**64 - 1, 8)),
            Request(Type.READ, payload=protocol.memory(0, 4081)),
            Request(Type.WRITE, payload=protocol.memory(0, 4065)),
            Request(Type.CONFIGURE, payload=protocol.config(77, 1)),
            Request(Type.CONFIGURE, payload=protocol.config(Param.CLOCK_HZ, 0)),
            Request(Type.COMPUTE, payload=protocol.compute(1_000_001)[1]),
        ):
            self.assertEqual(device.handle(request, 0)[0].status, Status.INVALID)


class Served(unittest.TestCase):
    def serve(self, model, **settings):
        folder = tempfile.TemporaryDirectory(prefix="mimic-sim-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "sst.sock")
        self.server = mimic_sim.Server(model, self.path, log=open(os.devnull, "w"), **settings)
        self.addCleanup(self.server.log.close)
        self.over = False
        thread = threading.Thread(target=self.server.serve, args=(lambda: self.over,))
        thread.start()

        def end():
            self.over = True
            thread.join()
            self.server.close()

        self.addCleanup(end)

    def test_as_the_seeds_qemu_asks(self):
        self.serve(Device())
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(60)
            sock.connect(self.path)
            for type in range(10):
                request = Request(type, 10 + type, 20 + type, 0xFFFC, protocol.memory(0, 8))
                self.assertEqual(sock.send(request.to_bytes()), 4104)
                response = mimic_sim.Response.from_bytes(sock.recv(4112, socket.MSG_WAITALL))
                got = (response.request_id, response.user_data, response.reserved)
                self.assertEqual(got, (10 + type, 20 + type, 0))

    def test_with_a_client(self):
        self.serve(Device(function=lambda work: 10 * work.units))
        with mimic_sim.Client(self.path) as client:
            self.assertTrue(client.timed)
            answer = client.compute(5, submitted=1000)
            self.assertEqual((answer.latency, answer.finished, answer.cycles), (50, 1050, 50))
            client.write(4000, b"a" * 200)
            self.assertEqual(client.read(3999, 202).payload[:202], b"\0" + b"a" * 200 + b"\0")
            self.assertEqual(client.get_info().info[3], 256 << 20)
            client.reset()
            self.assertEqual(client.read(4000, 4).payload[:4], b"\0" * 4)
            for units in range(100):
                client.submit(Request(Type.COMPUTE, payload=protocol.compute(units)[1]), 10**6)
            self.assertEqual(sorted(client.collect().cycles for _ in range(100)), [10 * units for units in range(100)])

    def test_a_part_is_answered(self):
        self.serve(Device(), patience=0.1)
        for end in (lambda sock: None, lambda sock: sock.shutdown(socket.SHUT_WR)):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(60)
                sock.connect(self.path)
                sock.send(Request(Type.ECHO, 5, 6).to_bytes()[:100])
                end(sock)
                response = mimic_sim.Response.from_bytes(sock.recv(4112, socket.MSG_WAITALL))
                self.assertEqual((response.status, response.request_id), (Status.INVALID, 5))
                self.assertEqual(sock.recv(1), b"")

    def test_a_model_that_fails_answers_error(self):
        self.serve(Device(function=lambda work: 1 / 0))
        with mimic_sim.Client(self.path) as client:
            self.assertEqual(client.compute(1).status, Status.ERROR)
            self.assertEqual(client.noop().status, Status.OK)

    def test_scaled_pace_holds_answers(self):
        self.serve(Device(function=lambda work: 1_000_000), pace="scaled", scale=100.0)
        with mimic_sim.Client(self.path) as client:
            import time

            start = time.monotonic()
            self.assertEqual(client.compute(1).latency, 1_000_000)
            self.assertGreaterEqual(time.monotonic() - start, 0.1)

    def test_from_a_command_line(self):
        with tempfile.TemporaryDirectory(prefix="mimic-sim-") as folder:
            model = os.path.join(folder, "mine.py")
            path = os.path.join(folder, "sst.sock")
            with open(model, "w") as file:
                file.write(textwrap.dedent("""
                    def latency(work):
                        return 7 * work.units
                """))
            environment = dict(os.environ, PYTHONPATH=PACKAGE)
            command = [sys.executable, "-m", "mimic_sim", "--socket", path]
            process = subprocess.Popen([*command, model + ":latency"], env=environment)
            try:
                while True:
                    try:
                        client = mimic_sim.Client(path)
                        break
                    except (FileNotFoundError, ConnectionRefusedError):
                        self.assertIsNone(process.poll())
                with client:
                    self.assertEqual(client.compute(6).cycles, 42)
            finally:
                process.terminate()
                self.assertEqual(process.wait(60), 0)
            self.assertFalse(os.path.exists(path))
            wrong = subprocess.run([*command, model + ":nothing"], env=environment, capture_output=True, text=True)
            self.assertEqual(wrong.returncode, 2)
            self.assertIn("has no 'nothing'", wrong.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
