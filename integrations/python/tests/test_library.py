# SPDX-License-Identifier: Apache-2.0
"""mimic_test on a real device host without a guest; fakes only where an answer must be wrong or a QEMU must fail."""
import glob
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import types

import pytest

import mimic_test
from mimic_test import (ApiError, BootError, ExecError, ExecTimeout, Lab, MachineEnded, MimicError, MimicNotFound, WaitTimeout,
                        find_mimic, read_trace, wait_for)
from conftest import SOURCE, TOPOLOGY

COMMAND = 4  # offset of the register in configuration space


class TestFinding:
    def test_the_option_comes_first(self, fake, monkeypatch):
        monkeypatch.setenv("MIMIC", "/none")
        path = fake("")
        assert find_mimic(path) == path

    def test_what_is_missing_says_who_named_it(self, monkeypatch):
        monkeypatch.setenv("MIMIC", "/none/mimic")
        with pytest.raises(MimicNotFound, match="environment variable MIMIC names"):
            find_mimic()
        with pytest.raises(MimicNotFound, match="/other, which the option names"):
            find_mimic("/other")
        monkeypatch.delenv("MIMIC")
        monkeypatch.setenv("PATH", "/none")
        with pytest.raises(MimicNotFound, match="install it, or name it by the environment variable MIMIC"):
            find_mimic()


class TestDevices:
    def test_by_name(self, box):
        assert set(box.devices()) >= {"gpu0", "gpu1"}
        assert box.device("gpu1")["vendor_id"].startswith("0x")

    def test_a_wrong_name_gets_the_nearest(self, box):
        with pytest.raises(ApiError, match="did you mean") as error:
            box.device("gpu7")
        assert (error.value.status, error.value.code) == (404, "unknown_device")
        assert "gpu1" in error.value.nearest

    def test_a_name_is_one_part_of_a_path(self, box):
        with pytest.raises(ApiError) as error:
            box.device("gpu0/faults")
        assert error.value.status == 404

    def test_registers(self, box, served):
        registers = box.registers("gpu1")
        assert registers["VENDOR_ID"] == int(box.device("gpu1")["vendor_id"], 16)
        assert registers["COMMAND.MEMORY_SPACE"] == 0
        assert "BAR0.STATUS" in registers and registers["BAR0.STATUS"] == 0
        assert len(registers) == len(list(registers)) > 20
        served.write_config("gpu1", COMMAND, "0200")
        assert registers["COMMAND.MEMORY_SPACE"] == 0  # one look
        assert box.registers("gpu1").device == "gpu1"

    def test_a_wrong_register_gets_the_nearest(self, box):
        with pytest.raises(KeyError, match="did you mean VENDOR_ID"):
            box.registers("gpu1")["VENDOR_IDD"]

    def test_metrics(self, box, served):
        before = box.metrics("mimic_device_accesses_total", device="gpu1", space="config", direction="write")
        served.write_config("gpu1", COMMAND, "0000")
        assert box.metrics("mimic_device_accesses_total", device="gpu1", space="config", direction="write") == before + 1
        with pytest.raises(KeyError, match="no metric mimic_nothing"):
            box.metrics("mimic_nothing")


class TestFaults:
    def test_a_block_ends_it(self, box):
        with box.fault("gpu1", "all-ones") as fault:
            assert fault.state == "active"
            assert box.device("gpu1")["faults"]["active"] == 1
        assert fault.state == "cleared"
        assert box.device("gpu1")["faults"]["active"] == 0

    def test_a_block_that_fails_ends_it(self, box):
        with pytest.raises(ZeroDivisionError):
            with box.fault("gpu1", "all-ones"):
                raise ZeroDivisionError
        assert box.device("gpu1")["faults"]["active"] == 0

    def test_blocks_in_each_other_end_their_own(self, box):
        with box.fault("gpu1", "all-ones") as outer:
            with box.fault("gpu1", "irq-lost", count=0) as inner:
                assert (outer.state, inner.state) == ("active", "active")
            assert (outer.state, inner.state) == ("active", "cleared")
        assert outer.state == "cleared"

    def test_it_waits_for_accesses(self, box, served):
        with box.fault("gpu1", "all-ones", after=2) as fault:
            assert fault.state == "armed"
            while fault.strikes == 0:
                served.write_config("gpu1", COMMAND, "0000")
            fault.wait_struck()

    def test_what_is_left_is_known(self, box):
        box.fault("gpu1", "all-ones")
        box.clear_faults()
        assert box.device("gpu1")["faults"]["active"] == 0

    def test_what_cannot_be_is_refused(self, box):
        with pytest.raises(ApiError, match="all-ones"):
            box.fault("gpu1", "all-onse")
        with pytest.raises(ApiError) as error:
            box.fault("gpu1", "bad-tlp")
        assert error.value.status == 409
        with pytest.raises(ValueError, match="not for both"):
            box.fault("gpu1", "all-ones", at=1.0, after=1)


    def test_of_the_process_that_serves_it(self, doomed):
        """They strike a moment after the answer to their injection; a block ends them later, whatever it does."""
        doomed.wait_for(lambda: doomed.whole, what="all answer")
        with doomed.fault("gpu1", "host-hang", delay="6000ms") as fault:
            assert fault.strikes == 1
        assert fault.state in ("active", "done")
        doomed.wait_for(lambda: doomed.whole, what="the hang ends")
        with doomed.fault("gpu1", "host-crash", at=600.0) as fault:
            assert fault.strikes == 0
        doomed.wait_for(lambda: doomed.whole, what="all answer")
        assert fault.state == "cleared"
        with doomed.fault("gpu1", "host-crash") as fault:
            pass
        assert (fault.state, fault.strikes) == ("done", 1)
        fault.clear()
        assert doomed.alive and not doomed.whole
        assert doomed.devices() == {}

    def test_one_that_cannot_be_cleared_leaves_no_other(self, box):
        box.fault("gpu1", "all-ones")
        box.lab.note_fault("box", "gone")
        with pytest.raises(ApiError, match="gone"):
            box.clear_faults()
        assert box.device("gpu1")["faults"]["active"] == 0


class TestTraces:
    def test_a_recording(self, box, served, tmp_path):
        with served.guest("gpu1") as guest, box.record("gpu1") as recording:
            guest.write(COMMAND, b"\6\0")
            guest.read(COMMAND, 2)
            with pytest.raises(MimicError, match="goes on"):
                _ = recording.events
        (write,) = recording.events.find("config-write", reg="COMMAND")
        assert (write.value, write.device, write.size) == (6, "gpu1", 2)
        assert write.nothing is None
        assert not recording.events.find("config-write", reg="COMMAND", value=7)
        assert recording.events.find(where=lambda event: event.addr == COMMAND)[-1:][0].kind == "config-read"
        assert recording.replay().startswith("same:")
        kept = recording.save(tmp_path / "kept.jsonl")
        assert len(read_trace(kept)) == len(recording.events) and recording.events.lost == 0

    def test_what_differs_is_told(self, box, served, tmp_path):
        with box.record("gpu1") as recording:
            served.write_config("gpu1", COMMAND, "0600")
        text = pathlib.Path(recording.path).read_text()
        pathlib.Path(recording.path).write_text(text.replace('"end":true', '"end":true}\n{"mimic'))
        with pytest.raises(MimicError, match="mimic replay"):
            recording.replay()

    def test_a_device_that_is_none(self, box):
        with pytest.raises(MimicError, match="does not record.*gpu7"):
            with box.record("gpu7"):
                pass

    def test_recent(self, box, served):
        served.write_config("gpu1", COMMAND, "0400")
        assert box.recent("gpu1").find("config-write", reg="COMMAND", value=4)
        assert not box.recent("gpu0").find(device="gpu1")
        assert "gpu1" in box.trace_text(5)

    def test_files_that_are_none(self, tmp_path):
        for text, why in (("", "cut off"), ("{}\n", "line 1"), ('{"mimic_trace":1}\n', "cut off"),
                          ('{"mimic_trace":1}\n[1]\n', "line 2"), ("\xff\n", "line 1")):
            path = tmp_path / "wrong.jsonl"
            path.write_text(text)
            with pytest.raises(MimicError, match=why):
                read_trace(path)


class TestWaiting:
    def test_returns_what_is_true(self):
        answers = iter([0, None, "yes"])
        assert wait_for(lambda: next(answers), interval=0.001) == "yes"

    def test_says_what_it_waited_for(self):
        with pytest.raises(WaitTimeout, match="the light: still None after 0 s"):
            wait_for(lambda: None, timeout=0, what="the light")

    def test_machine(self, box):
        assert box.wait_for(lambda: 3) == 3
        with pytest.raises(WaitTimeout, match="box: "):
            box.wait_for(lambda: False, timeout=0)
        with pytest.raises(MachineEnded, match="nope"):
            mimic_test.Machine(box.lab, "nope").wait_for(lambda: False)

    def test_attach(self, box):
        assert box.alive and box.info()["name"] == "box"
        with pytest.raises(MachineEnded, match="machine nope does not run"):
            box.lab.attach("nope")

    def test_console(self, box):
        assert box.console(1) == "the last words of the guest"


class TestExec:
    """Of the command line alone; examples/python-tests has a guest."""

    def machine(self, script, fake):
        lab = Lab(fake(script), own=False)
        machine = mimic_test.Machine(lab, "box")
        machine.check_alive = lambda: None
        return machine

    def test_bytes_and_status(self, fake):
        done = self.machine('printf "%s|" "$@"; cat; echo oops >&2; exit 3', fake).exec("a b", "--c", input=b"\xff\0", check=False)
        assert (done.status, done.stdout, done.stderr, done.ok) == (3, b"exec|box|--|a b|--c|\xff\0", b"oops\n", False)

    def test_a_failure_shows_what_was_said(self, fake):
        with pytest.raises(ExecError, match="`false` ended with 1\nstdout: this\nstderr: that") as error:
            self.machine("echo this; echo that >&2; exit 1", fake).exec("false")
        assert error.value.result.status == 1

    def test_a_failure_is_fit_for_a_terminal(self, fake):
        with pytest.raises(ExecError) as error:
            self.machine(r"printf 'a\033[2Jb\tc\nd\351\n'; exit 1", fake).exec("cat")
        assert str(error.value) == "`cat` ended with 1\nstdout: a\ufffd[2Jb\tc\nd\ufffd"
        assert error.value.result.stdout == b"a\x1b[2Jb\tc\nd\xe9\n"  # as it was

    def test_mimic_itself_fails(self, fake):
        with pytest.raises(MimicError, match="no agent"):
            self.machine('echo "mimic: no agent" >&2; exit 125', fake).exec("true", check=False)
        assert self.machine("exit 125", fake).exec("x", check=False).status == 125  # the command's own

    def test_time_is_over(self, fake):
        with pytest.raises(ExecTimeout, match="did not end within 0.2 s"):
            self.machine("exec sleep 60", fake).exec("sleep", timeout=0.2)


def fake_qemu(fake, script):
    return fake(f"""case $1 in
    --version) echo 'QEMU emulator version 11.1.3' ;;
    -device) echo 'name "vfio-user-pci"' ;;
    *) {script} ;;
esac
""", "qemu")


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Nothing that boots: neither a kernel nor an initramfs is looked at by a QEMU that is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("vmlinux-6.1", "initrd-6.1"):
        (folder / name).write_bytes(b"none")
    monkeypatch.setenv("MIMIC_GUEST_IMAGES", str(folder))


class TestUp:
    def test_a_guest_that_does_not_boot(self, fake, images, monkeypatch, tmp_path):
        (tmp_path / "box.yaml").write_text(TOPOLOGY)
        monkeypatch.setenv("MIMIC_QEMU", fake_qemu(fake, 'echo "qemu: no such machine" >&2; exit 1'))
        with Lab() as lab:
            with pytest.raises(BootError, match="qemu: no such machine"):
                lab.up(tmp_path / "box.yaml", arguments=["--accel", "tcg"])
            assert lab.api.machines() == []
            folder = lab.run_dir
        assert not os.path.exists(folder)

    def test_a_file_that_is_wrong(self, tmp_path):
        (tmp_path / "box.yaml").write_text(TOPOLOGY.replace("model: mock-accel}", "modle: mock-accel}"))
        with Lab() as lab, pytest.raises(BootError, match=r"box.yaml:6:.*modle"):
            lab.up(tmp_path / "box.yaml")

    def test_nothing_is_left_of_a_run_that_is_killed(self, fake, images, monkeypatch, tmp_path):
        (tmp_path / "box.yaml").write_text(TOPOLOGY)
        monkeypatch.setenv("MIMIC_QEMU", fake_qemu(fake, f"touch {tmp_path}/booting; exec sleep 600"))
        script = ("import sys, mimic_test\nlab = mimic_test.Lab()\nprint(lab.run_dir, flush=True)\n"
                  "lab.up(sys.argv[1], arguments=['--accel', 'tcg'])\n")
        run = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "box.yaml")], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": str(SOURCE / "integrations/python")})
        folder = run.stdout.readline().strip()
        wait_for(lambda: (tmp_path / "booting").exists(), what="QEMU starts")
        assert processes_of(folder)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        wait_for(lambda: not processes_of(folder) and not glob.glob(folder + "/mimic/*/"), what="all of it ends")
        Lab().close()  # sweeps
        assert not os.path.exists(folder)


    def test_a_child_that_was_forked_ends_nothing(self, fake, images, monkeypatch, tmp_path):
        """Neither when it ends as any program does, nor by close(); and it does not keep machines up after its parent."""
        (tmp_path / "box.yaml").write_text(TOPOLOGY)
        monkeypatch.setenv("MIMIC_QEMU", fake_qemu(fake, f"touch {tmp_path}/booting; exec sleep 600"))
        script = """
import os, sys, threading, time, mimic_test
lab = mimic_test.Lab()
print(lab.run_dir, flush=True)
threading.Thread(target=lambda: lab.up(sys.argv[1], arguments=["--accel", "tcg"]), daemon=True).start()
mimic_test.wait_for(lambda: os.path.exists(sys.argv[2]))
lasts = os.fork()
if lasts == 0:
    os.close(1)
    time.sleep(600)
    os._exit(0)
print(lasts, flush=True)
if os.fork() == 0:
    lab.close()
    sys.exit(0)
status = os.wait()[1]
print(status, lab.api.alive, os.path.isdir(lab.run_dir), [found["name"] for found in lab.api.machines()], flush=True)
time.sleep(600)
"""
        run = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "box.yaml"), str(tmp_path / "booting")],
                               stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONPATH": str(SOURCE / "integrations/python")})
        folder, lasts = run.stdout.readline().strip(), int(run.stdout.readline())
        try:
            assert run.stdout.readline().strip() == "0 True True ['box']"
            assert processes_of(folder)
            run.send_signal(signal.SIGKILL)
            run.communicate()
            wait_for(lambda: processes_of(folder) == [] and not glob.glob(folder + "/mimic/*/"),
                     what="all of it ends, though a child lives")
            Lab().close()  # sweeps
            assert not os.path.exists(folder)
        finally:
            run.kill()
            os.kill(lasts, signal.SIGKILL)

    def test_a_name_runs_once_in_a_lab(self, fake):
        """A script stands in for the guest: the machine is a folder with a lock, as a supervisor has it."""
        program = fake(f"""[ $1 = up ] || exec '{find_mimic()}' "$@"
box="$XDG_RUNTIME_DIR/mimic/box"
[ ! -e "$box" ] || {{ echo "mimic: machine box is already running. Stop it with: mimic down box" >&2; exit 1; }}
mkdir -m 700 -p "$box"; exec 9>"$box/lock"; flock -x 9
trap 'rm -r "$box"; exit 0' INT
echo up; cat >/dev/null; rm -r "$box"
""", "mimic")
        with Lab(program) as lab:
            first = lab.up("box.yaml")["box"]
            with pytest.raises(BootError, match=r"this Lab runs a machine box: end it by down\(\), .* is already running"):
                lab.up("box.yaml", set={"gpus": 2})
            assert lab.machines == [first]
            lab.down(first)
            assert lab.up("box.yaml").keys() == {"box"}

    def test_a_lab_that_is_closed_says_so(self):
        lab = Lab()
        lab.close()
        with pytest.raises(MimicError, match="closed"):
            _ = lab.api
        lab.close()

    def test_folders_that_are_made_side_by_side(self):
        """Nobody's sweep takes one away between its making and its lock."""
        with tempfile.TemporaryDirectory(prefix="mpy-") as root:
            script = ("import os\nfrom mimic_test import lab\nfor _ in range(150):\n    folder, owner = lab._make_folder()\n"
                      "    assert os.path.exists(folder + '/owner'), 'lost'\n    os.close(owner)\n")
            runs = [subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True,
                                     env={**os.environ, "PYTHONPATH": str(SOURCE / "integrations/python"), "XDG_RUNTIME_DIR": root})
                    for _ in range(8)]
            assert [run.communicate()[1] for run in runs] == [""] * len(runs)

    def test_a_sweep_leaves_what_is_not_ours(self, tmp_path):
        target = tmp_path / "target"
        folders = [target, *(tmp_path / f"mimic-test-{name}" for name in ("ours", "others"))]
        for folder in folders:
            folder.mkdir()
            (folder / "owner").touch()
        (tmp_path / "mimic-test-link").symlink_to(target)
        if os.getuid() == 0:  # who else may give a folder away?
            os.chown(tmp_path / "mimic-test-others", 65534, 65534)
        mimic_test.lab._sweep(str(tmp_path))
        assert (target / "owner").exists() and (tmp_path / "mimic-test-link").exists()
        assert not (tmp_path / "mimic-test-ours").exists()
        assert (tmp_path / "mimic-test-others").exists() == (os.getuid() == 0)

    def test_a_sweep_that_comes_between(self, monkeypatch):
        """As above, made to happen: another process has the file locked when it is ours to be locked, and removes it."""
        with tempfile.TemporaryDirectory(prefix="mpy-") as root:
            monkeypatch.setenv("XDG_RUNTIME_DIR", root)
            swept, flock = [], mimic_test.lab.fcntl.flock

            def late(descriptor, how):
                if not swept:
                    swept.append(os.readlink(f"/proc/self/fd/{descriptor}"))
                    mimic_test.lab._sweep(root)
                    assert not os.path.exists(swept[0])
                return flock(descriptor, how)
            monkeypatch.setattr(mimic_test.lab, "fcntl", types.SimpleNamespace(
                flock=late, LOCK_EX=mimic_test.lab.fcntl.LOCK_EX, LOCK_NB=mimic_test.lab.fcntl.LOCK_NB))
            folder, owner = mimic_test.lab._make_folder()
            assert os.path.samestat(os.fstat(owner), os.stat(folder + "/owner")) and os.path.dirname(swept[0]) != folder
            mimic_test.lab._sweep(root)
            assert os.path.exists(folder)
            os.close(owner)


def processes_of(folder):
    """Processes whose machine is in this run folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if f"XDG_RUNTIME_DIR={folder}".encode() in file.read().split(b"\0"):
                    found.append(pid)
        except OSError:
            pass
    return found


def test_the_version_is_mimics():
    cmake = (SOURCE / "CMakeLists.txt").read_text()
    version = cmake.split("project(mimic VERSION ")[1].split()[0]
    assert f'version = "{version}"' in (SOURCE / "integrations/python/pyproject.toml").read_text()
