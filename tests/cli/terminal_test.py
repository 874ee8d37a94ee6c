#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mimic top and mimic regs --watch on a pseudo terminal: keys, sizes, signals, and a terminal that is left as it was.

Usage: terminal_test.py MIMIC, with a machine "box" and its devices gpu0 and gpu1 in the run root."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

MIMIC = sys.argv[1]
CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vfio_client.py")
SOCKET = os.environ.get("XDG_RUNTIME_DIR", "") + "/mimic/box/gpu1.sock"
PATIENCE = 30  # seconds; for hangs only
REDRAW = b"\x0c"


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *arguments, rows=24, columns=100, environment=None):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        environment = dict(os.environ, TERM="xterm") if environment is None else environment
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [MIMIC, *arguments], stdin=self.slave, stdout=self.slave, stderr=self.slave, env=environment,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds=0.2):
        """What comes within a moment."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ready, _, _ = select.select([self.master], [], [], 0.05)
            if ready:
                self.seen += os.read(self.master, 65536)

    def plain(self):
        """What was written, without escape sequences."""
        text = re.sub(rb"\x1b(\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78])", b"", self.seen)
        return text.decode(errors="replace")

    def wait(self, text):
        """Until `text` is on the screen. Terminals are sent what differs only, so all is asked for again and again; and
        blanks are sent in several ways."""
        wanted = "".join(text.split())
        end = time.monotonic() + PATIENCE
        while wanted not in "".join(self.plain().split()):
            assert time.monotonic() < end, f"no {text!r} in {self.plain()!r}"
            if self.process.poll() is not None:
                self.read()
                assert wanted in "".join(self.plain().split()), f"it ended without {text!r}: {self.plain()!r}"
                return
            os.write(self.master, REDRAW)
            self.read(0.1)

    def type(self, keys):
        """Types, and forgets what was on the screen before."""
        self.read(0.1)
        os.write(self.master, keys)
        self.read(0.1)
        self.seen = b""

    def quit(self, key=b"q"):
        os.write(self.master, key)
        self.end()

    def end(self, status=0):
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        if self.process.poll() is None:
            self.process.kill()
        self.read(0.1)
        got = self.process.wait()
        assert got == status, f"exit status {got}, expected {status}: {self.plain()!r}"
        after = termios.tcgetattr(self.slave)
        assert after == self.before, "the terminal is not as it was"
        os.close(self.master)
        os.close(self.slave)

    def has_left_full_screen(self):
        return self.seen.rfind(b"\x1b[?1049l") > self.seen.rfind(b"\x1b[?1049h")


def top_takes_keys():
    top = Terminal("top", "--interval", "0.1")
    top.wait("ACC/s")
    top.wait("gpu1")
    top.type(b"n")
    top.wait("name")
    for key, word in ((b"i", "interrupts"), (b"d", "dma"), (b"f", "faults"), (b"a", "accesses")):
        top.type(key)
        top.wait(word)
    top.type(b"v")
    top.wait("shown")
    top.type(b"/gpu1\r")
    top.wait("filter: gpu1")
    top.type(b"\x1b")
    top.wait("gpu0")
    top.type(b"h")
    top.wait("Any key goes back")
    top.type(b"x")
    top.wait("gpu0")
    top.type(b"\x1b[B\x1b[A\x1b[6~\x1b[5~\x1bOH\x1bOF")
    top.quit()
    assert top.has_left_full_screen()


def top_fits_any_window():
    top = Terminal("top", "--interval", "0.1")
    top.wait("gpu0")
    for rows, columns in ((1, 1), (2, 200), (3, 5), (4, 20), (200, 500), (1, 300), (5, 40)):
        top.resize(rows, columns)
        top.type(b"\x1b[B")
        top.read(0.3)
        assert top.process.poll() is None, f"it ended at {rows}x{columns}"
    top.seen = b""
    top.resize(24, 100)
    top.wait("gpu0")
    # In a window of one line below the heading, the rows move.
    top.resize(4, 80)
    top.type(b"n")
    top.wait("box")
    top.type(b"\x1bOF")
    top.wait("gpu1")
    top.quit()


def signals_end_cleanly():
    for command in (("top",), ("regs", "box", "gpu0", "--watch", "0.1")):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            program = Terminal(*command)
            program.wait("gpu0")
            os.kill(program.process.pid, number)
            program.end()
            assert program.has_left_full_screen(), f"{command} left the screen full"
    program = Terminal("top")
    program.wait("gpu0")
    program.quit(b"\x03")


def without_a_terminal_type():
    for value in (None, "", "no-such-terminal", "dumb"):
        environment = {key: text for key, text in os.environ.items() if key != "TERM"}
        if value is not None:
            environment["TERM"] = value
        top = Terminal("top", "--interval", "0.1", environment=environment)
        top.wait("gpu1")
        top.end()
        assert b"\x1b" not in top.seen, f"escape sequences with TERM={value!r}"


def regs_marks_changes():
    for colour in (True, False):
        environment = dict(os.environ, TERM="xterm")
        if not colour:
            environment["NO_COLOR"] = "1"
        regs = Terminal("regs", "box", "gpu1", "--config", "--watch", "0.1", rows=200, environment=environment)
        regs.wait("COMMAND")
        regs.type(b"x")
        with subprocess.Popen([sys.executable, CLIENT, SOCKET, "4", "0400"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL) as guest:
            regs.wait("COMMAND.BUS_MASTER 0 -> 1")
            regs.wait("* 004 COMMAND")
            guest.stdin.close()
        regs.wait("COMMAND.BUS_MASTER 1 -> 0")
        regs.quit()


for case in (top_takes_keys, top_fits_any_window, signals_end_cleanly, without_a_terminal_type, regs_marks_changes):
    print(case.__name__, flush=True)
    case()
