# SPDX-License-Identifier: Apache-2.0
"""A mediator for tests and benches: started with a file of its own, killed, started again."""
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time


class Mediator:
    """mimic-mediator in `folder`, with sockets there. `text` is its YAML, with {folder} for the folder."""

    def __init__(self, program, folder, text, environment=None):
        self.program = os.path.abspath(program)
        self.folder = pathlib.Path(folder)
        self.environment = dict(os.environ if environment is None else environment)
        # A user has one mediator of a name: tests that run beside each other, and the user's own, are not in each other's way.
        if self.environment.get("XDG_RUNTIME_DIR") == os.environ.get("XDG_RUNTIME_DIR"):
            self.environment["XDG_RUNTIME_DIR"] = str(self.folder / "runtime")
            (self.folder / "runtime").mkdir(mode=0o700, exist_ok=True)
        self.socket = str(self.folder / "m.sock")
        self.file = self.folder / "mediator.yaml"
        self.process = None
        self.seen = set()  # processes of backends
        self.write(text)

    def write(self, text):
        self.file.write_text(text.replace("{folder}", str(self.folder)))

    def start(self):
        log = open(self.folder / "mediator.log", "ab")
        with log:
            self.process = subprocess.Popen([self.program, "--config", str(self.file)], env=self.environment,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self):
        """SIGKILL, for the mediator alone."""
        self.note_backends()
        self.process.kill()
        self.process.wait()

    def stop(self):
        """As a service manager does it; its backends, which would wait for the next one, end too."""
        with contextlib.suppress(OSError):
            self.note_backends()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=120)
        for pid in self.seen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def ask(self, method, path, body=None):
        """What its control API answers. `run_folder` is to be {folder}/run."""
        end = time.monotonic() + 60
        while True:
            status, text = self._ask(method, path, body)
            # Its loop did not run for 2 s: a busy machine.
            if status != 503 or method != "GET" or time.monotonic() > end:
                break
            time.sleep(0.5)
        if status >= 300:
            raise AssertionError(f"{method} {path}: {status} {text}")
        return json.loads(text) if text else {}

    def _ask(self, method, path, body):
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.closing(connection):
            connection.sock.connect(str(self.folder / "run/control.sock"))
            connection.request(method, path, json.dumps(body) if body is not None else None,
                               {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode()

    def backends(self):
        return [one for pool in self.ask("GET", "/v1/mediator/pools")["pools"] for one in pool["backends"]]

    def vms(self):
        return {one["id"]: one for one in self.ask("GET", "/v1/mediator/vms")["vms"]}

    def answers(self):
        """Its API does: the name of its socket is there a moment before somebody listens."""
        try:
            return bool(self.ask("GET", "/v1/mediator/pools"))
        except (OSError, http.client.HTTPException):
            return False

    def is_ready(self):
        """Its API answers, and all its backends are there."""
        try:
            return all(one["ready"] for one in self.note_backends())
        except (OSError, http.client.HTTPException):
            return False

    def note_backends(self):
        """Remembers their processes for stop()."""
        backends = []
        with contextlib.suppress(OSError, http.client.HTTPException):
            backends = self.backends()
            self.seen.update(one["pid"] for one in backends if one["pid"] > 0)
        if not backends:
            raise OSError("no backends")
        return backends

    def wait_until(self, condition, what, seconds=120):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"never: {what}\n{self.log()}")
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the mediator ended with {self.process.returncode} before: {what}\n{self.log()}")
            time.sleep(0.05)

    def log(self):
        path = self.folder / "mediator.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""


def rss_kib(pid):
    """Resident memory of a process in KiB; 0 if it is gone."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def begin(*command):
    """Starts a program that prints one JSON object when it ends."""
    return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def ended(process, timeout=300):
    """What it printed, and its exit status."""
    out, err = process.communicate(timeout=timeout)
    if not out:
        raise AssertionError(f"{process.args[0]}: status {process.returncode}: {err}")
    return json.loads(out), process.returncode
