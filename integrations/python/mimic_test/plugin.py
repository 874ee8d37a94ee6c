# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin `mimic`: machines as fixtures, and in the report of a failure what its machine printed and did.

    @pytest.mark.mimic(file="box.yaml", set={"gpus": 2})
    def test_driver(mimic_machine):
        with mimic_machine.fault("gpu0", "irq-lost"):
            ...

Settings of the marker, or for all tests of the ini file (pytest.ini, pyproject.toml) and the command line:

    file     mimic_file    --mimic-file       the topology file, relative to the test's folder or to that of the ini file
    machine  mimic_machine --mimic-machine    which machine of a file with several
    set      mimic_set     --mimic-set K=V    what ${K} is in the file
    args     mimic_args    --mimic-arg WORD   more for `mimic up`, such as --kernel 6.12
    scope    mimic_scope                      how long a machine lives: session (default), package, module, class or function
    timeout  mimic_timeout                    seconds in which a guest must have booted (600)
                           --mimic PATH       the `mimic` to use (MIMIC, or the one in PATH)
                           --mimic-attach M   a machine that runs already, in place of booting: a loop of seconds

Tests with the same settings share a machine for the length of the scope, those with others have another beside it; faults that a
test leaves behind are cleared.
"""

from __future__ import annotations

import os
import pathlib
from dataclasses import dataclass
from typing import Any, Callable, Dict, Generator, Iterator, List, Mapping, Optional, Tuple

import pytest

from .errors import MimicError, MimicNotFound
from .lab import Lab
from .machine import Machine

_SCOPES = ("session", "package", "module", "class", "function")
_MARK = "mimic(file, machine, set, args, scope, timeout): the machine that the fixture mimic_machine is"


@dataclass(frozen=True)
class Wish:
    """Which machine a test wants. Equal wishes of one scope share one."""

    file: str
    machine: Optional[str]
    set: Tuple[Tuple[str, str], ...]
    args: Tuple[str, ...]
    timeout: float
    place: str = ""  # the node whose end is the machine's


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mimic", "machines with accelerators that are not there")
    group.addoption("--mimic", dest="mimic_program", metavar="PATH", help="the mimic to use ($MIMIC, or the one in PATH)")
    group.addoption("--mimic-file", metavar="FILE", help="topology file of tests that name none")
    group.addoption("--mimic-machine", metavar="NAME", help="which machine of it")
    group.addoption("--mimic-set", metavar="KEY=VALUE", action="append", default=[], help="what ${KEY} is in the file")
    group.addoption("--mimic-arg", metavar="WORD", action="append", default=[], help="one more word for `mimic up`")
    group.addoption("--mimic-attach", metavar="MACHINE", help="use a machine that runs, and boot none")
    parser.addini("mimic_file", "topology file of tests that name none")
    parser.addini("mimic_machine", "which machine of it")
    parser.addini("mimic_set", "lines KEY=VALUE: what ${KEY} is in the file", type="linelist")
    parser.addini("mimic_args", "more words for `mimic up`", type="args")
    parser.addini("mimic_scope", "how long a machine lives: " + ", ".join(_SCOPES), default="session")
    parser.addini("mimic_timeout", "seconds in which a guest must have booted", default="600")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARK)
    config.stash[_pool_key] = Pool(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    pool = config.stash.get(_pool_key, None)
    if pool is not None:
        pool.close()


class Pool:
    """The machines of a pytest run. Each wish has a Lab of its own, so that the same file may run twice, with other settings."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._lab: Optional[Lab] = None
        self._up: Dict[Wish, Tuple[Lab, Dict[str, Machine]]] = {}

    def lab(self, state_dir: Callable[[], pathlib.Path]) -> Lab:
        """That of mimic_lab and --mimic-attach, made when it is first needed. state_dir: makes a folder for logs."""
        if self._lab is None:
            self._lab = self._make(state_dir)
        return self._lab

    def _make(self, state_dir: Callable[[], pathlib.Path]) -> Lab:
        attach = self._config.getoption("mimic_attach")
        return Lab(self._config.getoption("mimic_program"), None if attach else str(state_dir()), own=not attach)

    def attached(self, state_dir: Callable[[], pathlib.Path]) -> Optional[Machine]:
        """The machine of --mimic-attach."""
        name = self._config.getoption("mimic_attach")
        return self.lab(state_dir).attach(name) if name else None

    def get(self, wish: Wish, state_dir: Callable[[], pathlib.Path]) -> Tuple[Dict[str, Machine], bool]:
        """Its machines, and whether they were booted for that. One that has died, or lost a device, is booted anew."""
        if wish in self._up:
            machines = self._up[wish][1]
            if all(machine.whole for machine in machines.values()):
                return machines, False
        self.drop(wish)
        lab = self._make(state_dir)
        try:
            machines = lab.up(wish.file, set=dict(wish.set), machine=wish.machine, arguments=wish.args, timeout=wish.timeout)
        except BaseException:
            lab.close()
            raise
        self._up[wish] = lab, machines
        return machines, True

    def drop(self, wish: Wish) -> None:
        """Ends its machines."""
        if wish in self._up:
            self._up.pop(wish)[0].close()

    def own_machines(self) -> List[Machine]:
        """Those that fixtures of the user have booted by mimic_lab."""
        return self._lab.machines if self._lab is not None else []

    def machines(self) -> List[Machine]:
        """All that run."""
        return [*self.own_machines(), *(machine for _, machines in self._up.values() for machine in machines.values())]

    def close(self) -> None:
        """Ends all."""
        for wish in list(self._up):
            self.drop(wish)
        if self._lab is not None:
            self._lab.close()
            self._lab = None


_pool_key = pytest.StashKey[Pool]()
_machines_key = pytest.StashKey[List[Machine]]()


def _pairs(lines: Any) -> Dict[str, str]:
    pairs = {}
    for line in lines:
        key, equals, value = str(line).partition("=")
        if not equals:
            raise pytest.UsageError(f"mimic: expected KEY=VALUE, not {line!r}")
        pairs[key.strip()] = value
    return pairs


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def wish_of(request: pytest.FixtureRequest) -> Tuple[Wish, str]:
    """The wish of the test that asks, and its scope. Raises pytest.UsageError for settings that are none."""
    config = request.config
    said: Dict[str, Any] = {}
    pairs = {**_pairs(config.getini("mimic_set")), **_pairs(config.getoption("mimic_set"))}
    for mark in reversed(list(request.node.iter_markers("mimic"))):  # the closest last
        unknown = set(mark.kwargs) - {"file", "machine", "set", "args", "scope", "timeout"}
        if unknown or len(mark.args) > 1:
            raise pytest.UsageError(f"{request.node.nodeid}: the marker is {_MARK.split(':')[0]}")
        said.update(mark.kwargs, **({"file": mark.args[0]} if mark.args else {}))
        pairs.update({key: _text(value) for key, value in mark.kwargs.get("set", {}).items()})
    scope = said.get("scope") or config.getini("mimic_scope")
    if scope not in _SCOPES:
        raise pytest.UsageError(f"mimic: no scope {scope!r}; expected {', '.join(_SCOPES)}")
    return Wish(_file_of(request, said), said.get("machine") or config.getoption("mimic_machine") or config.getini("mimic_machine")
                or None, tuple(sorted(pairs.items())),
                (*config.getini("mimic_args"), *said.get("args", ()), *config.getoption("mimic_arg")),
                float(said.get("timeout") or config.getini("mimic_timeout")), _node_of(request.node, scope).nodeid), scope


def _file_of(request: pytest.FixtureRequest, said: Mapping[str, Any]) -> str:
    config = request.config
    for name, folder in ((said.get("file"), request.path.parent),
                         (config.getoption("mimic_file"), config.invocation_params.dir),
                         (config.getini("mimic_file"), config.inipath.parent if config.inipath else config.rootpath)):
        if name:
            path = folder / os.fspath(name)
            if not path.is_file():
                raise pytest.UsageError(f"{request.node.nodeid}: there is no topology file {path}")
            return str(path)
    raise pytest.UsageError(f"{request.node.nodeid}: no topology file is named: @pytest.mark.mimic(file=...), mimic_file in the ini "
                            "file, or --mimic-file")


def _node_of(node: Any, scope: str) -> Any:
    kinds = {"function": pytest.Item, "class": pytest.Class, "module": pytest.Module, "package": pytest.Package}
    # A test that is in no class has its machine for itself, as pytest's own fixtures of that scope.
    return node.session if scope == "session" else node.getparent(kinds[scope]) or node


@pytest.fixture(scope="session")
def mimic_lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The Lab of this run, for fixtures of your own: `mimic_lab.up("lab.yaml", set={"gpus": 8})` boots a machine that lives until the
    run ends, or until its down(). Its logs stay where pytest keeps temporary folders."""
    return request.config.stash[_pool_key].lab(_state_dir(tmp_path_factory))


def _state_dir(factory: pytest.TempPathFactory) -> Callable[[], pathlib.Path]:
    return lambda: factory.mktemp("mimic-state", numbered=True)


@pytest.fixture
def mimic_machines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Machine]:
    """All machines of the test's topology file, by name; booted if no test before had the same wish."""
    pool = request.config.stash[_pool_key]
    state_dir = _state_dir(tmp_path_factory)
    machine = pool.attached(state_dir)
    if machine is not None:
        machines = {machine.name: machine}
    else:
        wish, scope = wish_of(request)
        machines, booted = pool.get(wish, state_dir)
        if booted and scope != "session":
            _node_of(request.node, scope).addfinalizer(lambda: pool.drop(wish))
    request.node.stash[_machines_key] = list(machines.values())
    return machines


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, None]:
    for machine in item.config.stash[_pool_key].machines():
        machine.last_recording = None  # that of another test
    yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, None]:
    yield
    for machine in item.config.stash[_pool_key].machines():
        try:
            machine.clear_faults()
        except (MimicError, OSError):
            # The device is gone, or the machine: the next test boots another, and the report of this one is made.
            pass


@pytest.fixture
def mimic_machine(request: pytest.FixtureRequest, mimic_machines: Dict[str, Machine]) -> Machine:
    """The machine of the test's topology file (mimic_test.Machine)."""
    if len(mimic_machines) != 1:
        raise pytest.UsageError(f"{request.node.nodeid}: the file has machines {', '.join(mimic_machines)}: say machine=..., or use "
                                "the fixture mimic_machines")
    return next(iter(mimic_machines.values()))


def _uses_mimic(item: pytest.Item) -> bool:
    return bool({"mimic_lab", "mimic_machines"} & set(getattr(item, "fixturenames", ())))


def pytest_report_collectionfinish(config: pytest.Config, items: List[pytest.Item]) -> List[str]:
    # Not in the header: that is printed in every run of an environment that has the plugin, also where no test uses it.
    if not any(_uses_mimic(item) for item in items):
        return []
    from .command import Command, find_mimic
    try:
        program = find_mimic(config.getoption("mimic_program"))
        said = Command(program, os.environ).ask("--version").strip()
    except MimicNotFound as error:
        return [f"mimic: {error}"]
    except (MimicError, OSError) as error:
        return [f"mimic: {program}: {error}"]
    return [f"mimic: {program}, {said}"]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    machines = item.stash.get(_machines_key, [])
    if "mimic_lab" in getattr(item, "fixturenames", ()):
        machines = [*machines, *(one for one in item.config.stash[_pool_key].own_machines() if one not in machines)]
    for machine in machines:
        for title, text in _evidence(machine):
            report.sections.append((f"mimic {machine.name}: {title}", text))


def _evidence(machine: Machine) -> Iterator[Tuple[str, str]]:
    """What was going on. Never fails, not by an answer that is not what was expected either: the test has, already."""
    looks: List[Tuple[str, Callable[[], str]]] = [("console", machine.console), ("trace", machine.trace_text),
                                                  ("recorded", lambda: _recorded(machine)), ("faults", lambda: _faults(machine))]
    for title, look in looks:
        try:
            text = look()
        except Exception as error:
            text = f"(not to be had: {error})"
        if text:
            yield title, text


def _recorded(machine: Machine) -> str:
    # A device host begins anew with its trace at the end of a recording.
    recording = machine.last_recording
    return recording.events.text() if recording is not None and recording.ended else ""


def _faults(machine: Machine) -> str:
    lines = []
    for name, device in machine.devices().items():
        if any(device["faults"].values()):
            lines.append(f"{name}: " + ", ".join(f"{count} {state}" for state, count in device["faults"].items()))
    return "\n".join(lines)
