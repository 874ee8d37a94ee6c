#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""boot_progress_test.py BIN SOURCE: what mimic up says of a boot on a terminal, without one, as JSON and not at all. The guest is
a program that writes to the console what a guest would, when it is told to."""

import json
import os
import pathlib
import pty
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BIN, SOURCE = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
PATIENCE = 240  # seconds; for hangs only
QEMU = """#!/bin/sh
case $1 in
    --version) echo 'QEMU emulator version 11.1.3' ;;
    -device) echo 'name "vfio-user-pci"' ;;
    *)
        echo begun >"$GUEST/begun"
        while [ ! -e "$GUEST/kernel" ]; do sleep 0.1; done
        printf 'SeaBIOS (hostile \\033[2J)\\nBooting from ROM..' >>"$XDG_STATE_HOME/mimic/single/console.log"
        while [ ! -e "$GUEST/init" ]; do sleep 0.1; done
        echo 'mimic: init' >>"$XDG_STATE_HOME/mimic/single/console.log"
        exec sleep 1000 ;;
esac
"""


class Progress(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="mimic-boot-")
        self.addCleanup(self.folder.cleanup)
        self.at = pathlib.Path(self.folder.name)
        for name in ("run", "state", "guest"):
            (self.at / name).mkdir(mode=0o700)
        (self.at / "qemu").write_text(QEMU)
        (self.at / "qemu").chmod(0o755)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(self.at / "run"), "XDG_STATE_HOME": str(self.at / "state"),
                    "GUEST": str(self.at / "guest"), "MIMIC_QEMU": str(self.at / "qemu")}
        self.process = None
        self.addCleanup(self.end)
        self.seen = b""

    def start(self, *options, terminal=False):
        command = [BIN / "mimic", "up", SOURCE / "examples/single.yaml", "--accel", "tcg", *options]
        self.reader, writer = pty.openpty() if terminal else os.pipe()
        os.set_blocking(self.reader, False)
        self.addCleanup(os.close, self.reader)
        self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL,  # pylint: disable=consider-using-with
                                        stdout=subprocess.DEVNULL, stderr=writer)
        os.close(writer)

    def end(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        self.assertEqual(self.process.wait(PATIENCE), 130)
        self.process = None

    def read(self):
        try:
            self.seen += os.read(self.reader, 65536)
        except (BlockingIOError, OSError):  # nothing yet; a terminal whose other end is closed
            pass
        return self.seen.decode(errors="replace")

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, self.seen)
            self.assertIsNone(self.process.poll(), self.seen)
            time.sleep(0.05)

    def shows(self, text):
        self.until(lambda: text in self.read())

    def guest(self, name):
        (self.at / "guest" / name).touch()

    def begun(self):
        self.until((self.at / "guest/begun").exists)

    def past(self, *boots):
        (self.at / "state/mimic").mkdir()
        (self.at / "state/mimic/.boot-times.json").write_text(json.dumps(
            {"format": "mimic-boot-times", "version": 1, "kinds": {"x86_64 tcg 6.1": boots}}))

    def test_a_terminal_has_one_line_that_is_written_again(self):
        self.past([0, 0.1, 1, 2, None, 3, 5000], [0, 0.1, 1, 2, None, 3, 5000])
        self.start(terminal=True)
        self.begun()
        self.shows("\rmimic: booting single: firmware, ")
        self.guest("kernel")
        self.shows("\rmimic: booting single: kernel, ")
        self.guest("init")
        self.shows("\rmimic: booting single: init, ")
        self.shows(" s, about ")
        # What was said before the boot, such as of another mimic that makes a guest image, is a line of its own.
        self.assertNotIn("\n", self.read().partition("\rmimic: booting")[2])
        self.assertNotIn("\x1b[2J", self.read())
        self.end()
        self.shows_at_end("nothing is left running")

    def shows_at_end(self, text):
        deadline = time.monotonic() + PATIENCE
        while text not in self.read():
            self.assertLess(time.monotonic(), deadline, self.seen)
            time.sleep(0.05)

    def test_without_a_terminal_a_stage_is_a_line(self):
        self.start()
        self.begun()
        time.sleep(10)  # boots that take less than 2 s need no words
        self.guest("kernel")
        self.shows("mimic: single: kernel after ")
        self.guest("init")
        self.shows("mimic: single: init after ")
        self.assertNotIn("\r", self.read())
        self.assertNotIn("about", self.read())  # nothing is known of earlier boots
        self.end()

    def test_programs_get_events(self):
        self.past([0, 0.1, 1, 2, None, 3, 5000])
        self.start("--progress", "json")
        self.shows('"stage":"firmware"')
        self.begun()
        self.guest("kernel")
        self.shows('"stage":"kernel"')
        self.guest("init")
        self.shows('"stage":"init"')
        self.end()
        events = [json.loads(line) for line in self.read().splitlines() if line.startswith("{")]
        self.assertEqual([event["stage"] for event in events], ["devices", "firmware", "kernel", "init"])
        self.assertEqual([event["rest"] for event in events], [5000, 4999.9, 4999, 4998])
        self.assertEqual(sorted(events, key=lambda event: event["seconds"]), events)

    def test_quiet(self):
        self.start("--quiet")
        self.begun()
        time.sleep(2.5)
        self.guest("kernel")
        self.guest("init")
        time.sleep(1)
        self.end()
        self.assertEqual(self.read(), "mimic: error: stopped by a signal; nothing is left running\n")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
