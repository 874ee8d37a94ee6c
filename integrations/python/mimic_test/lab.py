# SPDX-License-Identifier: Apache-2.0
"""Where machines of a test run live: a run folder of our own, so that two test runs never meet, and what ends them."""

from __future__ import annotations

import fcntl
import glob
import os
import select
import shutil
import stat
import subprocess
import tempfile
import time
import weakref
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Union

from .api import ControlApi
from .command import Command, end, find_mimic, text
from .errors import BootError, MimicError
from .machine import Machine

_PREFIX = "mimic-test-"
Value = Union[str, int, bool]


class Lab:
    """Boots machines, and ends them with close() (or a `with` block). They also end when this process does, however it does: each
    `mimic up` watches a pipe that only this process holds.

    program: `mimic`, as find_mimic() takes it. state_dir: where logs go, and stay (None: into the run folder, and go with it).
    own: False looks at machines of the user instead of having a run folder of its own; attach() is for those.
    """

    def __init__(self, program: Optional[str] = None, state_dir: Optional[str] = None, own: bool = True) -> None:
        environment = dict(os.environ)
        self._folder: Optional[str] = None
        self._owner: Optional[int] = None
        self._ups: List[_Up] = []
        self._api: Optional[ControlApi] = None
        self._faulty: Dict[str, Set[str]] = {}
        self._attached: List[str] = []
        self._handles: "weakref.WeakValueDictionary[str, Machine]" = weakref.WeakValueDictionary()
        program = find_mimic(program)
        if own:
            self._folder, self._owner = _make_folder()
            environment["XDG_RUNTIME_DIR"] = self._folder
            environment["XDG_STATE_HOME"] = state_dir or os.path.join(self._folder, "state")
        self.command = Command(program, environment)
        # Not atexit alone: a Lab that nobody refers to any more ends at once.
        self._maker = os.getpid()
        _labs.add(self)
        self._finalizer = weakref.finalize(self, _close, self._maker, self._ups, self._folder, self._owner)

    @property
    def run_dir(self) -> Optional[str]:
        """XDG_RUNTIME_DIR for `mimic ps`, `exec`, `logs` by hand while tests run; None: the user's own."""
        return self._folder

    @property
    def api(self) -> ControlApi:
        """The control API of all machines here; `mimic api` is started when it is first needed. Raises MimicError after close()."""
        if not self._finalizer.alive:
            raise MimicError("this Lab is closed: its machines have ended")
        if self._api is None or not self._api.alive:
            self._api = ControlApi(self.command)
        return self._api

    def up(self, file: Union[str, "os.PathLike[str]"], *, set: Optional[Mapping[str, Value]] = None,
           machine: Optional[str] = None, arguments: Sequence[str] = (), timeout: float = 600.0) -> Dict[str, Machine]:
        """Boots the machines of a topology file (or only `machine`), and returns them by name once all are up.

        set: what ${KEY} is in the file. arguments: more for `mimic up`, such as ["--kernel", "6.12"]. timeout: seconds in which a
        guest must have booted. Raises BootError with what `mimic up` said, the console's last lines among it. A name runs once in
        a Lab: down() ends the first machine, or another Lab has the second.
        """
        words = ["up", os.fspath(file), "--foreground", "--until-eof", "--timeout", str(max(1, round(timeout)))]
        for key, value in (set or {}).items():
            words += ["--set", f"{key}={_yaml(value)}"]
        if machine is not None:
            words += ["--machine", machine]
        before = {found["name"] for found in self.api.machines()}
        started = _Up(self.command, [*words, *arguments])
        self._ups.append(started)
        try:
            started.wait_until_up(timeout)
            names = [found["name"] for found in self.api.machines() if found["name"] not in before]
        except BaseException as error:
            self._ups.remove(started)
            started.end()
            if isinstance(error, BootError):
                raise self._explained(error) from None
            raise
        started.names = names
        return {name: self._handle(name) for name in names}

    def _explained(self, error: BootError) -> BootError:
        for name in (name for one in self._ups for name in one.names):
            if f"machine {name} is already running" in str(error):
                return BootError(f"this Lab runs a machine {name}: end it by down(), or boot the other in a Lab of its own: {error}")
        return error

    @property
    def machines(self) -> List[Machine]:
        """All that up() has booted and down() has not ended, and those of attach()."""
        return [self._handle(name) for name in [*(name for one in self._ups for name in one.names), *self._attached]]

    def _handle(self, name: str) -> Machine:
        # Weak, for a machine holds its Lab, which would never be let go of.
        machine = self._handles.get(name)
        if machine is None:
            machine = self._handles[name] = Machine(self, name)
        return machine

    def down(self, machine: Machine) -> None:
        """Ends a machine, and those that were booted with it."""
        for started in [one for one in self._ups if machine.name in one.names]:
            self._ups.remove(started)
            started.end()

    def attach(self, name: str) -> Machine:
        """A machine that somebody else has booted, and will end. Raises MachineEnded if it does not run."""
        machine = self._handle(name)
        machine.check_alive()
        if name not in self._attached:
            self._attached.append(name)
        return machine

    def note_fault(self, machine: str, device: str) -> None:
        """For Machine: this device was given a fault."""
        self._faulty.setdefault(machine, set()).add(device)

    def faulty_devices(self, machine: str) -> List[str]:
        """For Machine: those that were, since the last question."""
        return sorted(self._faulty.pop(machine, set()))

    def close(self) -> None:
        """Ends all that up() has started. May be called again. In a child that was forked it does nothing."""
        if os.getpid() != self._maker:
            return
        if self._api is not None:
            self._api.close()
            self._api = None
        self._finalizer()

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


_labs: "weakref.WeakSet[Lab]" = weakref.WeakSet()


def _let_go() -> None:
    """In a child that was forked: a lock that it has too would keep the folder of a run that was killed."""
    for lab in list(_labs):
        if lab._owner is not None and lab._finalizer.alive:
            os.close(lab._owner)
            lab._owner = None


os.register_at_fork(after_in_child=_let_go)


class _Up:
    """A `mimic up --foreground --until-eof`."""

    def __init__(self, command: Command, arguments: Sequence[str]) -> None:
        # A file, for a pipe that nobody reads would hold it up.
        self._log = tempfile.TemporaryFile(prefix="mimic-up-")
        self.names: List[str] = []
        self._process = command.start(arguments, stdout=subprocess.PIPE, stderr=self._log.fileno())

    def wait_until_up(self, timeout: float) -> None:
        assert self._process.stdout is not None
        # `timeout` is for a guest; downloads, several guests one after another and the host's pauses come on top.
        deadline = time.monotonic() + 3 * timeout + 600.0
        ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if ready and self._process.stdout.read(65536):
            return
        self.end()
        self._log.seek(0)
        said = text(self._log.read()).strip()
        raise BootError(said or "`mimic up` ended without a word" if ready else f"`mimic up` does not come to an end:\n{said}")

    def end(self) -> None:
        end(self._process)
        if self._process.stdout is not None:
            self._process.stdout.close()


def _yaml(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _root() -> str:
    # Names of sockets have 107 bytes: $TMPDIR of a build may be too long for them.
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for folder in (runtime, tempfile.gettempdir()):
        if folder and len(folder) <= 40 and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return "/tmp"


def _make_folder() -> "tuple[str, int]":
    """A run folder, and the descriptor of its lock, which says that we live."""
    root = _root()
    _sweep(root)
    while True:
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=root)  # mode 0700, as mimic wants it
        try:
            owner = _lock(os.path.join(folder, "owner"))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if owner is not None:
            return folder, owner


def _lock(path: str) -> Optional[int]:
    """Makes a file and locks it. None: the sweep of another run, which came between the two, has removed it."""
    owner = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(owner), os.stat(path)):
            return owner
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(owner)
        raise
    os.close(owner)
    return None


def _sweep(root: str) -> None:
    """Removes folders of runs that were killed, once their machines are gone."""
    for folder in glob.glob(os.path.join(glob.escape(root), _PREFIX + "*")):
        try:
            # /tmp is everybody's: what lies there under our name may be another's, or lead elsewhere.
            found = os.lstat(folder)
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                continue
            owner = os.open(os.path.join(folder, "owner"), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # another sweep, or a folder that is being made
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not glob.glob(os.path.join(glob.escape(folder), "mimic", "*", "")):
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # its run goes on
        finally:
            os.close(owner)


def _close(maker: int, ups: List[_Up], folder: Optional[str], owner: Optional[int]) -> None:
    if os.getpid() != maker:
        return  # a child that was forked; all of it is its parent's
    while ups:
        ups.pop().end()
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    if owner is not None:
        os.close(owner)


__all__ = ["Lab", "MimicError"]
