# SPDX-License-Identifier: Apache-2.0
"""mimic_test.plugin: pytest runs of small test files, on a device host without a guest, or on a Lab that only counts."""
import os
import subprocess
import sys

import pytest

from mimic_test import find_mimic
from conftest import SOURCE

FAKE_LAB = '''
import mimic_test.plugin as plugin

class Machine:
    def __init__(self, name):
        self.name, self.whole, self.last_recording = name, True, None
    def clear_faults(self):
        pass
    def console(self):
        return "console of " + self.name
    def trace_text(self):
        raise plugin.MimicError("no trace")
    def devices(self):
        return {}

class Lab:
    def __init__(self, program, state_dir, own):
        self.up_now = {}
    def up(self, file, *, set=(), machine=None, arguments=(), timeout=600.0):
        names = [machine] if machine else {"two.yaml": ["a", "b"]}.get(file.rsplit("/", 1)[-1], ["box"])
        for name in names:
            if name in self.up_now:
                raise plugin.MimicError(f"machine {name} is already running")
        print("\\nUP", file.rsplit("/", 1)[-1], dict(sorted(dict(set).items())), *arguments, timeout)
        self.up_now.update((name, Machine(name)) for name in names)
        return {name: self.up_now[name] for name in names}
    @property
    def machines(self):
        return list(self.up_now.values())
    def close(self):
        print("\\nDOWN", *self.up_now)

plugin.Lab = Lab
'''


@pytest.fixture
def project(tmp_path):
    """Writes files, runs pytest on them, and returns its exit status and what it said."""
    def run(files, *arguments, environment=()):
        for name, text in {"pytest.ini": "[pytest]\nmimic_file = box.yaml\n", "box.yaml": "", "two.yaml": "", **files}.items():
            (tmp_path / name).write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:mimic", "-p", "mimic_test.plugin", "-p", "no:cacheprovider", "-s", *arguments],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(SOURCE / "integrations/python"), "PYTEST_ADDOPTS": "", "MIMIC": "/bin/true",
                               **dict(environment)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        return done.returncode, done.stdout
    return run


def ups(output):
    return [line for line in output.splitlines() if line.startswith(("UP", "DOWN"))]


def test_one_machine_for_a_session(project):
    status, said = project({"conftest.py": FAKE_LAB, "test_a.py": "def test_1(mimic_machine): pass\ndef test_2(mimic_machine): pass\n",
                            "test_b.py": "def test_3(mimic_machine):\n    assert mimic_machine.name == 'box'\n"})
    assert status == 0, said
    assert ups(said) == ["UP box.yaml {} 600.0", "DOWN box"]


@pytest.mark.parametrize("scope, boots", [("session", 1), ("module", 2), ("class", 3), ("function", 4)])
def test_scopes(project, scope, boots):
    status, said = project({
        "conftest.py": FAKE_LAB, "pytest.ini": f"[pytest]\nmimic_file = box.yaml\nmimic_scope = {scope}\n",
        "test_a.py": "class TestA:\n    def test_1(self, mimic_machine): pass\n    def test_2(self, mimic_machine): pass\n"
                     "class TestB:\n    def test_3(self, mimic_machine): pass\n",
        "test_b.py": "class TestC:\n    def test_4(self, mimic_machine): pass\n"})
    assert status == 0, said
    assert [line.split()[0] for line in ups(said)] == ["UP", "DOWN"] * boots


def test_settings_of_ini_command_line_and_marker(project):
    status, said = project({
        "conftest.py": FAKE_LAB,
        "pytest.ini": "[pytest]\nmimic_file = box.yaml\nmimic_set =\n    gpus=1\n    memory=1G\n"
                      "mimic_args = --kernel 6.12\nmimic_timeout = 90\n",
        "test_a.py": "import pytest\npytestmark = pytest.mark.mimic(set={'gpus': 3})\n"
                     "@pytest.mark.mimic('two.yaml', machine='b', set={'fast': True}, args=['--accel', 'tcg'])\n"
                     "def test_1(mimic_machine):\n    assert mimic_machine.name == 'b'\n"
                     "@pytest.mark.mimic(file='two.yaml')\ndef test_2(mimic_machines):\n    assert list(mimic_machines) == ['a', 'b']\n"
    }, "--mimic-set", "memory=2G", "--mimic-arg=--quick")
    assert status == 0, said
    assert ups(said) == ["UP two.yaml {'fast': 'true', 'gpus': '3', 'memory': '2G'} --kernel 6.12 --accel tcg --quick 90.0",
                         "UP two.yaml {'gpus': '3', 'memory': '2G'} --kernel 6.12 --quick 90.0", "DOWN b", "DOWN a b"]


def test_one_file_with_different_settings(project):
    """Each machine is there until the end of its scope, under the same name; settings that come again boot nothing."""
    status, said = project({"conftest.py": FAKE_LAB, "test_a.py": "import pytest\ndef test_1(mimic_machine): pass\n"
                            "@pytest.mark.mimic(set={'gpus': 2})\ndef test_2(mimic_machine): pass\n"
                            "@pytest.mark.mimic(timeout=9, scope='function')\ndef test_3(mimic_machine): pass\n"
                            "def test_4(mimic_machine, mimic_lab):\n    assert mimic_lab.up('box.yaml')['box'] is not mimic_machine\n"
                            "@pytest.mark.mimic(set={'gpus': 2})\ndef test_5(mimic_machine): pass\n"})
    assert status == 0, said
    assert ups(said) == ["UP box.yaml {} 600.0", "UP box.yaml {'gpus': '2'} 600.0", "UP box.yaml {} 9.0", "DOWN box",
                         "UP box.yaml {} 600.0", "DOWN box", "DOWN box", "DOWN box"]


def test_a_machine_that_has_died_is_booted_anew(project):
    status, said = project({"conftest.py": FAKE_LAB, "test_a.py": "def test_1(mimic_machine):\n    mimic_machine.whole = False\n"
                                                                  "def test_2(mimic_machine):\n    assert mimic_machine.whole\n"})
    assert status == 0, said
    assert [line.split()[0] for line in ups(said)] == ["UP", "DOWN", "UP", "DOWN"]


def test_interrupted(project):
    status, said = project({"conftest.py": FAKE_LAB, "test_a.py": "def test_1(mimic_machine):\n    raise KeyboardInterrupt\n"})
    assert status == 2, said
    assert ups(said)[-1] == "DOWN box"


@pytest.mark.parametrize("files, why", [
    ({"pytest.ini": "[pytest]\n"}, "no topology file is named"),
    ({"pytest.ini": "[pytest]\nmimic_file = none.yaml\n"}, "there is no topology file"),
    ({"pytest.ini": "[pytest]\nmimic_file = box.yaml\nmimic_scope = forever\n"}, "no scope 'forever'; expected session"),
    ({"pytest.ini": "[pytest]\nmimic_file = box.yaml\nmimic_set = gpus\n"}, "expected KEY=VALUE, not 'gpus'"),
    ({"pytest.ini": "[pytest]\nmimic_file = two.yaml\n"}, "the file has machines a, b: say machine="),
    ({"test_a.py": "import pytest\n@pytest.mark.mimic(fiel='x')\ndef test_1(mimic_machine): pass\n"}, "the marker is mimic(file"),
])
def test_settings_that_are_wrong(project, files, why):
    status, said = project({"conftest.py": FAKE_LAB, "test_a.py": "def test_1(mimic_machine): pass\n", **files})
    assert status == 1 and why in said, said


def test_without_mimic(project):
    status, said = project({"test_a.py": "def test_1(mimic_machine): pass\n"}, environment={"MIMIC": "/none"})
    assert status == 1 and "/none, which the environment variable MIMIC names, is no program" in said, said


def test_a_failure_has_what_its_machine_did(project, served, box):
    served.write_config("gpu1", 4, "0600")
    status, said = project({"test_a.py": """
def test_1(mimic_machine):
    mimic_machine.fault('gpu1', 'all-ones')
    assert False, 'mine'
def test_3(mimic_machine):
    with mimic_machine.record('gpu1') as recording:
        mimic_machine.fault('gpu1', 'all-ones')
    assert not recording.events
def test_2(mimic_machine):
    assert not mimic_machine.device('gpu1')['faults']['active']
"""}, "--mimic-attach", "box", environment={**served.environment, "MIMIC": find_mimic()})
    assert status == 1 and "2 failed, 1 passed" in said, said
    for words in ("mine", "mimic box: console", "the last words of the guest", "mimic box: trace", "config write COMMAND",
                  "mimic box: faults", "gpu1: 0 armed, 1 active", "mimic box: recorded", "gpu1 fault"):
        assert words in said, (words, said)
    assert box.alive  # who attaches does not end it


def test_a_machine_of_mimic_lab_is_as_good(project, served, box):
    """Also one that a fixture has booted: here one that is attached, for what boots needs a guest."""
    served.write_config("gpu1", 4, "0600")
    status, said = project({"conftest.py": "import pytest\n@pytest.fixture(scope='session')\ndef rack(mimic_lab):\n"
                            "    return mimic_lab.attach('box')\n",
                            "test_a.py": """
def test_1(rack):
    rack.fault('gpu1', 'all-ones')
    assert False, 'mine'
def test_2(rack):
    assert not rack.device('gpu1')['faults']['active']
def test_3():
    assert False, 'not about machines'
"""}, "--mimic-attach", "box", environment={**served.environment, "MIMIC": find_mimic()})
    assert status == 1 and "2 failed, 1 passed" in said, said
    for words in ("the last words of the guest", "mimic box: trace", "gpu1: 0 armed, 1 active"):
        assert said.count(words) == 1, (words, said)


def test_evidence_that_is_not_to_be_had(project):
    status, said = project({"conftest.py": FAKE_LAB, "test_a.py": "def test_1(mimic_machine):\n    mimic_machine.devices = lambda: "
                            "{'gpu0': {}}\n    assert False\n"})
    assert status == 1 and "console of box" in said and "(not to be had: no trace)" in said, said
    assert "mimic box: faults" in said and "(not to be had: 'faults')" in said and "INTERNALERROR" not in said, said


def test_mimic_is_asked_for_its_version_only_where_it_is_used(project, tmp_path, fake):
    program = fake(f"touch {tmp_path}/asked; echo mimic 7\n", "mimic")
    for test, asked in (("def test_1(): pass\n", False), ("def test_1(mimic_lab): pass\n", True)):
        status, said = project({"conftest.py": FAKE_LAB, "test_a.py": test}, environment={"MIMIC": program})
        assert status == 0, said
        assert ((tmp_path / "asked").exists(), f"mimic: {program}, mimic 7" in said) == (asked, asked), said
