# SPDX-License-Identifier: Apache-2.0
"""Machines without a guest for these tests: a device host in a run folder whose lock is held, as a supervisor would."""
import contextlib
import fcntl
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile

import pytest

collect_ignore = ["guest"]  # a run of its own, vm_python_package
SOURCE = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(SOURCE / "integrations/python"))

from mimic_test import Lab, find_mimic  # noqa: E402

TOPOLOGY = """version: 1
machine:
  name: box
  devices:
    - {name: gpu0, model: mock-accel, sriov: native, vfs: {count: 2}}
    - {name: gpu1, model: mock-accel}
"""


VERSION, REGION_READ, REGION_WRITE, CONFIG_REGION = 1, 9, 10, 7  # of vfio-user


def ask(link, command, body):
    """A request of the vfio-user protocol, and its answer."""
    link.sendall(struct.pack("<HHIII", 1, command, 16 + len(body), 0, 0) + body)
    head = link.recv(16, socket.MSG_WAITALL)
    size, error = struct.unpack_from("<I", head, 4)[0], struct.unpack_from("<I", head, 12)[0]
    link.recv(size - 16, socket.MSG_WAITALL)
    assert error == 0, (command, os.strerror(error))


class Guest:
    """Accesses of configuration space."""

    def __init__(self, link):
        self._link = link

    def read(self, offset, size):
        ask(self._link, REGION_READ, struct.pack("<QII", offset, CONFIG_REGION, size))

    def write(self, offset, data):
        ask(self._link, REGION_WRITE, struct.pack("<QII", offset, CONFIG_REGION, len(data)) + data)


class Served:
    """`mimic serve` as machine "box"."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.environment = {"XDG_RUNTIME_DIR": str(folder), "XDG_STATE_HOME": str(self.folder / "state")}
        run = self.folder / "mimic" / "box"
        run.mkdir(parents=True, mode=0o700)
        run.parent.chmod(0o700)
        logs = self.folder / "state/mimic/box"
        logs.mkdir(parents=True, mode=0o700)
        (logs / "console.log").write_text("booting\nthe last words of the guest\n")
        for path in (self.folder / "box.yaml", run / "topology.yaml"):
            path.write_text(TOPOLOGY)
        self.lock = open(run / "lock", "w", encoding="ascii")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.run = run
        self.process = subprocess.Popen(
            [find_mimic(), "serve", str(self.folder / "box.yaml"), "--run-dir", str(run), "--control", str(run / "control-0.sock"),
             "--dump-dir", str(self.folder / "dumps")],
            env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        ready, _, _ = select.select([self.process.stdout], [], [], 120)
        assert ready and self.process.stdout.readline().startswith("ready"), "mimic serve is not ready"

    @contextlib.contextmanager
    def guest(self, device):
        """A VMM that is connected meanwhile."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(120)
            link.connect(str(self.run / f"{device}.sock"))
            ask(link, VERSION, struct.pack("<HH", 0, 1) + b'{"capabilities":{}}\0')
            yield Guest(link)

    def write_config(self, device, offset, data):
        """What a guest that writes configuration space would do."""
        with self.guest(device) as guest:
            guest.write(offset, bytes.fromhex(data))

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=120)
        self.lock.close()


@contextlib.contextmanager
def serving():
    # Not below pytest's own folder: its path is long, and names of sockets are short.
    with tempfile.TemporaryDirectory(prefix="mpy-") as folder:
        machine = Served(folder)
        yield machine
        machine.close()


@contextlib.contextmanager
def attached(served):
    """The machine, as a Lab sees it that somebody else has booted."""
    before = {key: os.environ.get(key) for key in served.environment}
    os.environ.update(served.environment)
    try:
        lab = Lab(own=False)
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})
    with lab:
        yield lab.attach("box")


@pytest.fixture(scope="session")
def served():
    with serving() as machine:
        yield machine


@pytest.fixture(scope="session")
def box(served):
    with attached(served) as machine:
        yield machine


@pytest.fixture
def doomed():
    """A machine of which a test may kill what it likes."""
    with serving() as machine, attached(machine) as box:
        yield box


def fake_program(path, script):
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def fake(tmp_path):
    """Makes a program out of a shell script; for answers that the real one gives but rarely."""
    return lambda script, name="fake": fake_program(tmp_path / name, script)
