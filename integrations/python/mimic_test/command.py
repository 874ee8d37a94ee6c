# SPDX-License-Identifier: Apache-2.0
"""The `mimic` command: where it is, and how it is run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import weakref
from typing import Dict, List, Mapping, Optional, Sequence

from .errors import MimicError, MimicNotFound


def find_mimic(wish: Optional[str] = None) -> str:
    """The path of `mimic`: `wish`, else $MIMIC, else the one in $PATH. Raises MimicNotFound."""
    said = wish or os.environ.get("MIMIC")
    found = shutil.which(said or "mimic")
    if found:
        return os.path.abspath(found)
    if said:
        where = "the option" if wish else "the environment variable MIMIC"
        raise MimicNotFound(f"{said}, which {where} names, is no program")
    raise MimicNotFound("there is no `mimic` in PATH: install it, or name it by the environment variable MIMIC")


class Command:
    """`mimic` with an environment in which its machines live. Thread-safe: nothing of it changes."""

    def __init__(self, program: str, environment: Mapping[str, str]) -> None:
        self.program = program
        self.environment: Dict[str, str] = dict(environment)

    def run(self, *arguments: str, input: bytes = b"", timeout: float = 120.0) -> "subprocess.CompletedProcess[bytes]":
        """Runs `mimic ARGUMENTS` to its end, whatever its exit status is. Raises MimicError after `timeout` seconds."""
        try:
            return subprocess.run([self.program, *arguments], env=self.environment, input=input,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            raise MimicError(f"`mimic {' '.join(arguments)}` did not end within {timeout:g} s") from None

    def ask(self, *arguments: str, timeout: float = 120.0) -> str:
        """What it prints. Raises MimicError, with what it says on standard error, if it fails."""
        done = self.run(*arguments, timeout=timeout)
        if done.returncode != 0:
            raise MimicError(f"`mimic {' '.join(arguments)}` ended with {done.returncode}: {text(done.stderr).strip()}")
        return text(done.stdout)

    def start(self, arguments: Sequence[str], **pipes: int) -> "subprocess.Popen[bytes]":
        """Starts it in a session of its own: a ^C at the terminal is for the tests, which then end it. Standard input is a
        pipe; commands with --until-eof end when its other end, which only this process has, is closed or dies."""
        argv: List[str] = [self.program, *arguments]
        process = subprocess.Popen(argv, env=self.environment, stdin=subprocess.PIPE, start_new_session=True, bufsize=0,
                                   stdout=pipes.get("stdout", subprocess.DEVNULL),
                                   stderr=pipes.get("stderr", subprocess.DEVNULL))
        _started.add(process)
        return process


_started: "weakref.WeakSet[subprocess.Popen[bytes]]" = weakref.WeakSet()


def _let_go() -> None:
    """In a child that was forked: else its copy of a pipe would keep machines up after its parent has died."""
    for process in list(_started):
        if process.stdin is not None:
            process.stdin.close()


os.register_at_fork(after_in_child=_let_go)


def end(process: "subprocess.Popen[bytes]", signal_number: int = signal.SIGINT, timeout: float = 120.0) -> int:
    """Ends what start() began, kills it after `timeout` seconds, and says its exit status."""
    if process.stdin is not None:
        try:
            process.stdin.close()
        except OSError:
            pass  # it had ended
    if process.poll() is None:
        process.send_signal(signal_number)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def text(data: bytes) -> str:
    """Bytes of a guest or a program as text; what is no UTF-8 becomes U+FFFD."""
    return data.decode("utf-8", "replace")
