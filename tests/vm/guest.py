# SPDX-License-Identifier: Apache-2.0
"""A booted topology for a test: up, exec, cp, verify and down through the mimic program, in folders of its own."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

TREE = pathlib.Path(__file__).resolve().parents[2]

# What a kernel prints when something is wrong with it, or with a driver.
KERNEL_COMPLAINTS = re.compile(
    r"WARNING:|BUG:|Oops|Call Trace|general protection|KASAN|UBSAN|INFO: task|lockdep|refcount_t|"
    r"sysfs: cannot create duplicate|mock-accel .*(?:[Cc]annot|fail)"
)


class Failure(Exception):
    """A check that did not hold; the text says what was expected."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def equal(what, expected, got):
    check(expected == got, f"{what}: expected {expected!r}, got {got!r}")


class Result:
    """How a command ended."""

    def __init__(self, done):
        self.status = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def __str__(self):
        return f"exit status {self.status}\nstdout: {self.out}\nstderr: {self.err}"


class Topology:
    """Boots a file on entry, takes it down on exit and checks that nothing stayed. Machines are named in exec()."""

    def __init__(self, mimic, example, kernel, *options):
        self.mimic = os.path.abspath(mimic)
        self.example = example
        self.kernel = kernel
        self.options = options
        self.left = {}
        self.left_files = []
        self.sleeps = 0
        # Short: a socket's path has 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="mvm-")
        self.environment = dict(
            os.environ,
            XDG_RUNTIME_DIR=os.path.join(self.folder, "run"),
            XDG_STATE_HOME=os.path.join(self.folder, "state"),
        )
        os.mkdir(self.environment["XDG_RUNTIME_DIR"], 0o700)

    def run(self, *arguments, stdin=None, timeout=540):
        done = subprocess.run(
            [self.mimic, *arguments], env=self.environment, text=True, errors="replace", timeout=timeout,
            stdin=subprocess.DEVNULL if stdin is None else None, input=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return Result(done)

    def up(self):
        up = self.run("up", str(TREE / "examples" / self.example), "--kernel", self.kernel, *self.options)
        check(up.status == 0, f"mimic up failed: {up}")

    def down(self):
        """Takes all machines down. What outlives them can still be read."""
        down = self.run("down")
        check(down.status == 0, f"mimic down failed: {down}")

    def __enter__(self):
        try:
            self.up()
            return self
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, error, trace):
        down = self.close(show_logs=kind is not None)
        if kind is None:
            check(down.status == 0, f"mimic down failed: {down}")
            equal("processes left", {}, self.left)
            equal("files left", [], self.left_files)

    def close(self, show_logs=False):
        if show_logs:
            self.print_logs()
        down = self.run("down")
        run = pathlib.Path(self.environment["XDG_RUNTIME_DIR"])
        self.left_files = [str(path) for path in run.rglob("*")
                           if path.name != "mimic" and not path.name.startswith(".")]
        self.left = self.left_processes()
        # The supervisor answers `down` just before it ends; under a sanitizer that takes a moment.
        for _ in range(100):
            if not self.left:
                break
            time.sleep(0.1)
            self.left = self.left_processes()
        for pid in self.left:
            # What a failed test leaves must not disturb the next one.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
        return down

    def left_processes(self):
        """Command lines, by process id, of processes that name our folder: only ours do."""
        left = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if self.folder in text and path.parent.name != str(os.getpid()):
                left[int(path.parent.name)] = text
        return left

    def state_file(self, machine, name):
        """What outlives a machine: its logs and the reason of its end."""
        return (pathlib.Path(self.environment["XDG_STATE_HOME"]) / "mimic" / machine / name).read_text(errors="replace")

    def run_output(self, machine):
        """What the command under `run:` of a machine printed: its console between two markers."""
        console = self.state_file(machine, "console.log").replace("\r", "")
        _, begun, rest = console.partition("mimic: run begins\n")
        out, ended, rest = rest.partition("mimic: run ended with status ")
        check(begun and ended, f"{machine} has not run its command: {console[-2000:]}")
        check(rest.startswith("0\n"), f"the command of {machine} failed: {out[-2000:]} {rest[:10]}")
        return out

    def print_logs(self):
        for path in sorted(pathlib.Path(self.folder).rglob("*.log")):
            lines = path.read_text(errors="replace").splitlines()[-40:]
            print(f"--- {path.name} of {path.parent.name}, last lines", *lines, sep="\n", flush=True)

    def exec(self, machine, *command, **options):
        return self.run("exec", machine, "--", *command, **options)

    def shell(self, machine, script):
        """Output of a shell script that must succeed."""
        done = self.exec(machine, "sh", "-c", script)
        check(done.status == 0, f"in {machine}: {script}\n{done}")
        return done.out.rstrip("\n")

    def verify(self, machine):
        """The verdict of `mimic verify`, which must be that all agrees."""
        done = self.run("verify", machine, "--json")
        check(done.status == 0, f"verify {machine}: {done}")
        verdict = json.loads(done.out)
        check(verdict["agrees"] and verdict["checks"] > 0, f"verify {machine}: {done.out}")
        return verdict

    def inject(self, machine, device, fault, *options):
        done = self.run("inject", machine, device, fault, *options)
        check(done.status == 0, f"inject {machine} {device} {fault} {options}: {done}")

    def answers(self, machine, path):
        """The bodies with which device hosts answer GET, by the control API; without those that do not know `path`."""
        folder = pathlib.Path(self.environment["XDG_RUNTIME_DIR"]) / "mimic" / machine
        for socket_path in sorted(folder.glob("control-*.sock")):
            connection = http.client.HTTPConnection("localhost", timeout=60)
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with contextlib.closing(connection):
                connection.sock.connect(str(socket_path))
                connection.request("GET", path)
                response = connection.getresponse()
                if response.status == 200:
                    yield response.read().decode()

    def api(self, machine, path):
        """What the device host that knows `path` says there."""
        for body in self.answers(machine, path):
            return json.loads(body)
        raise Failure(f"no control socket knows {path}")

    def metrics(self, machine):
        return "".join(self.answers(machine, "/metrics"))

    def counters(self, machine, device):
        return self.api(machine, f"/v1/devices/{device}")["counters"]

    def wait_for(self, machine, condition):
        """Waits, in the guest and for at most some minutes, until a shell condition holds."""
        self.shell(machine, f"""
            tries=0
            until {condition}; do
                tries=$((tries + 1))
                [ $tries -lt 1800 ] || {{ echo never: {shlex.quote(condition)} >&2; dmesg | tail -20 >&2; exit 1; }}
                usleep 100000
            done
        """)

    def sleep_and_wake(self, machine):
        """Devices of the guest are suspended and resumed, as a freeze does with them. Nobody talks to its agent meanwhile:
        Linux throws away what comes to a console's port just before that freezes, and the guest says on its console when
        it is awake."""
        self.sleeps += 1
        self.shell(machine, f"""
            echo 1 >/sys/module/suspend/parameters/pm_test_delay
            {{ sleep 5; echo devices >/sys/power/pm_test; echo freeze >/sys/power/state; s=$?; echo none >/sys/power/pm_test;
              until echo "<1>awake {self.sleeps}: $s" >/dev/kmsg; do usleep 100000; done; }} >/dev/null 2>&1 </dev/null &
        """)
        awake = re.compile(rf"awake {self.sleeps}: (\d+)\r?\n")
        for _ in range(3000):
            said = awake.search(self.state_file(machine, "console.log"))
            if said:
                equal("suspend", "0", said.group(1))
                return
            time.sleep(0.1)
        raise Failure(f"{machine} does not wake")

    def check_dmesg(self, machine):
        bad = [line for line in self.shell(machine, "dmesg").splitlines() if KERNEL_COMPLAINTS.search(line)]
        equal("kernel complaints", [], bad)
