#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""integrations/sst with a real sst-core: built against the one whose sst-config is on the PATH (or in the cache of
tools/sst), and run with both examples. Skipped, with words, where there is none: no package of it exists.

usage: sst_test.py BIN SOURCE BUILD"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

BIN, SOURCE, BUILD = (os.path.abspath(path) for path in sys.argv[1:4])
sys.path.insert(0, os.path.join(SOURCE, "integrations", "python"))
import mimic_sim  # noqa: E402
from mimic_sim import Status, protocol  # noqa: E402

ELEMENTS = os.path.join(SOURCE, "integrations", "sst")


def find_sst():
    """Folder of sst-config, or None."""
    found = shutil.which("sst-config")
    if found:
        return os.path.dirname(found)
    cached = subprocess.run([os.path.join(SOURCE, "tools", "sst"), "--path"], capture_output=True, text=True)
    return cached.stdout.strip() or None


class Elements(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os.environ["PATH"] = SST + os.pathsep + os.environ["PATH"]
        subprocess.run(["make", "-s", "-C", ELEMENTS, "BUILD=" + BUILD], check=True)

    def sst(self, script, *options):
        folder = tempfile.TemporaryDirectory(prefix="mimic-sst-")
        self.addCleanup(folder.cleanup)
        socket_path = os.path.join(folder.name, "sst{}.sock")
        self.process = subprocess.Popen(
            ["sst", "--add-lib-path", BUILD, os.path.join(SOURCE, "examples/sst", script), "--", "--socket",
             socket_path.format("") if script == "linux_basic.py" else socket_path, *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.output = ""
        return socket_path

    def connect(self, path, **options):
        while True:
            try:
                return mimic_sim.Client(path, timeout=120, **options)
            except (FileNotFoundError, ConnectionRefusedError):
                self.assertIsNone(self.process.poll(), self.process.poll() and self.process.stdout.read())

    def end(self):
        output = self.process.stdout.read()
        self.assertEqual(self.process.wait(120), 0, output)
        return output

    def test_one_device_with_a_compute_component(self):
        path = self.sst("linux_basic.py", "--sessions", "4", "--units", "2").format("")
        with self.connect(path, flags=0) as seed:  # as Linux SST's QEMU
            self.assertEqual(seed.noop().status, Status.OK)
            self.assertEqual(seed.echo(b"hello").payload[:5], b"hello")
            self.assertEqual(seed.compute(7).cycles, 700)
            self.assertEqual(seed._ask(mimic_sim.Request(99)).status, Status.INVALID)
        with self.connect(path) as client:  # it comes again
            answer = client.compute(10)
            self.assertEqual((answer.cycles, answer.latency), (1000, 1010))  # and two links of 5 ns
            # Many at once, two units: their latencies say that they waited.
            for _ in range(6):
                flags, payload = protocol.compute(10)
                client.submit(mimic_sim.Request(mimic_sim.Type.COMPUTE, flags=flags, payload=payload))
            answers = sorted((client.collect() for _ in range(6)), key=lambda each: each.finished)
            self.assertEqual({each.cycles for each in answers}, {1000})
            self.assertGreaterEqual(answers[-1].finished - answers[0].finished, 2000 - 1000)
            client.write(4090, b"0123456789")
            self.assertEqual(client.read(4088, 14).payload[:14], b"\0\0" + b"0123456789" + b"\0\0")
            self.assertEqual(client.read(2**40, 1).status, Status.INVALID)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:  # a part is answered
            sock.settimeout(120)
            sock.connect(path)
            sock.send(bytes(100))
            sock.shutdown(socket.SHUT_WR)
            response = mimic_sim.Response.from_bytes(sock.recv(4112, socket.MSG_WAITALL))
            self.assertEqual(response.status, Status.INVALID)
        self.connect(path).close()
        output = self.end()
        self.assertIn("sst0.total_requests", output)
        self.assertIn("4 clients, 1 parts of requests", output)

    def test_devices_contend_for_units(self):
        path = self.sst("linux_multi.py", "--devices", "3", "--sessions", "1", "--units", "1")
        clients = [self.connect(path.format(number)) for number in range(3)]
        # latency_model 2 is 100 cycles a unit.
        for client in clients:
            flags, payload = protocol.compute(1_000_000, 2)
            client.submit(mimic_sim.Request(mimic_sim.Type.COMPUTE, flags=flags, payload=payload))
        answers = sorted((client.collect() for client in clients), key=lambda each: each.finished)
        # 100 ms each, one after the other, however far apart they came in simulated time.
        for before, after in zip(answers, answers[1:]):
            self.assertGreaterEqual(after.finished - before.finished, 100_000_000)
        self.assertEqual(clients[0].compute(1, 3).status, Status.INVALID)
        for client in clients:
            client.close()
        self.assertIn("compute.busy_cycles", self.end())


if __name__ == "__main__":
    SST = find_sst()
    if SST is None:
        print("SKIP: no sst-config on the PATH: SST is in no distribution; `tools/sst ARCHIVE` prepares one (opt-in)")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
