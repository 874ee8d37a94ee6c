# SPDX-License-Identifier: Apache-2.0
"""Commands and files by a guest's stream port: terminal, environment, folders, what dies in the middle."""
import hashlib
import os
import pathlib
import pty
import select
import signal
import subprocess
import tempfile
import time

from guest import check, equal

PATIENCE = 120


def started(vm, *arguments, **options):
    return subprocess.Popen([vm.mimic, *arguments], env=vm.environment, stderr=subprocess.PIPE, **options)


def eventually(what, is_true):
    end = time.monotonic() + PATIENCE
    while not is_true():
        check(time.monotonic() < end, f"it never was: {what}")
        time.sleep(0.1)


def has_folder_and_environment(vm, machine):
    done = vm.run("exec", "--env", "A=x y", "-e", "B=", "--cwd", "/lib/mimic", machine, "--",
                  "sh", "-c", 'pwd; echo "$A|$B|"; exit 3')
    equal("folder, environment, status", ("/lib/mimic\nx y||\n", 3), (done.out, done.status))
    equal("a folder that is not there", 125, vm.run("exec", "-w", "/none", machine, "--", "true").status)
    equal("what is no NAME=VALUE", 125, vm.run("exec", "-e", "A", machine, "--", "true").status)
    equal("a command in brackets", 1, vm.exec(machine, "sh", "-c", "[ -e /none ]").status)
    equal("input", "abc\n", vm.run("exec", "-i", machine, "--", "cat", stdin="abc\n").out)
    equal("no input", "", vm.run("exec", "-n", machine, "--", "cat", stdin="abc\n").out)


def terminal(vm, machine):
    """Through a terminal of ours: a size, one stream, ^C, and ours is as it was."""
    ours, theirs = pty.openpty()
    subprocess.run(["stty", "rows", "31", "cols", "91"], stdin=theirs, check=True)
    before = subprocess.run(["stty", "-g"], stdin=theirs, stdout=subprocess.PIPE, check=True).stdout
    shell = started(vm, "exec", "-it", machine, "--", "sh", stdin=theirs, stdout=theirs)
    said = b""

    def says(text):
        nonlocal said
        end = time.monotonic() + PATIENCE
        while text not in said:
            check(time.monotonic() < end, f"{text} is not in what the terminal shows: {said}")
            if select.select([ours], [], [], 1)[0]:
                said += os.read(ours, 65536)

    # What is typed is shown as well: it is not what is waited for.
    os.write(ours, b"echo size=$(stty size); echo e'rr' >&2; trap 'got=1; echo c\"augh\"t' INT; echo rea'dy'; "
                   b"until [ \"$got\" ]; do sleep 1; done\n")
    for text in (b"size=31 91", b"err", b"ready"):
        says(text)
    os.write(ours, b"\x03")
    says(b"caught")
    subprocess.run(["stty", "rows", "32", "cols", "92"], stdin=theirs, check=True)
    os.kill(shell.pid, signal.SIGWINCH)
    os.write(ours, b"until [ \"$(stty size)\" = '32 92' ]; do sleep 1; done; exit 9\n")
    equal("status of the shell", 9, shell.wait(PATIENCE))
    # SIGKILL restores as well.
    killed = started(vm, "exec", "-it", machine, "--", "sh", "-c", "echo b'egu'n; sleep 1000", stdin=theirs, stdout=theirs)
    says(b"begun")
    killed.kill()
    killed.wait()
    eventually("the terminal as before", lambda: subprocess.run(
        ["stty", "-g"], stdin=theirs, stdout=subprocess.PIPE, check=True).stdout == before)
    os.close(ours)
    os.close(theirs)


def who_dies(vm, machine):
    """A command that is killed here ends there; a program that dies there is said here, and comes back."""
    command = started(vm, "exec", machine, "--", "sh", "-c", "echo $$ >/tmp/mine; exec sleep 12345")
    eventually("the command", lambda: vm.exec(machine, "sh", "-c", "kill -0 $(cat /tmp/mine)").status == 0)
    command.kill()
    command.communicate()
    eventually("the end of the command in the guest",
               lambda: vm.exec(machine, "sh", "-c", "kill -0 $(cat /tmp/mine)").status != 0)
    # Output that nobody reads keeps no signal away; the third one is for mimic. Those that come before it looks are one.
    stalled = started(vm, "exec", machine, "--", "sh", "-c", "trap '' TERM; echo >/tmp/stalled; exec yes", stdout=subprocess.PIPE)
    eventually("the stalled command", lambda: vm.exec(machine, "test", "-e", "/tmp/stalled").status == 0)
    eventually("the end of one that nobody reads",
               lambda: stalled.send_signal(signal.SIGTERM) or stalled.poll() is not None)
    equal("its status", 128 + signal.SIGTERM, stalled.returncode)
    stalled.stdout.close()
    stalled.stderr.close()
    lost = started(vm, "exec", machine, "--", "sh", "-c", "killall -9 mimic-streamd; sleep 12345", stdout=subprocess.PIPE)
    said = lost.communicate(timeout=PATIENCE)[1].decode()
    equal("status of a command whose streams are lost", 125, lost.returncode)
    check("lost" in said, f"what is said: {said}")
    equal("afterwards", "back\n", vm.exec(machine, "echo", "back").out)
    slow = started(vm, "exec", machine, "--", "yes", stdout=subprocess.PIPE)
    for _ in range(5):
        equal("beside one that nobody reads", "quick\n", vm.exec(machine, "echo", "quick").out)
    slow.stdout.close()
    status = slow.wait(PATIENCE)
    equal(f"status of one whose reader went ({slow.stderr.read()})", 128 + signal.SIGPIPE, status)
    slow.stderr.close()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def streams_of_files(vm, machine, folder):
    data = os.urandom(9_000_001)
    put = subprocess.run([vm.mimic, "cp", "-", f"{machine}:/tmp/piped"], env=vm.environment, input=data, check=False)
    equal("cp - to the guest", 0, put.returncode)
    equal("its bytes", digest(data), vm.shell(machine, "sha256sum /tmp/piped").split()[0])
    got = subprocess.run([vm.mimic, "cp", f"{machine}:/tmp/piped", "-"], env=vm.environment, stdout=subprocess.PIPE, check=False)
    check(got.returncode == 0 and got.stdout == data, "cp - from the guest differs")
    done = vm.run("cp", f"{machine}:/proc/version", f"{folder}/version")
    check(done.status == 0 and b"Linux version" in (folder / "version").read_bytes(), f"a file without a size: {done}")


def make_tree(root):
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "sub" / ("n" * 200)).write_bytes(b"long")
    (root / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (root / "run.sh").chmod(0o755)
    pathlib.Path(os.fsdecode(os.fsencode(root) + b"/odd \xff\n-name")).write_bytes(b"odd")
    (root / "-rf").write_bytes(b"dash")
    (root / "link").symlink_to("/etc/passwd")
    (root / "large").write_bytes(os.urandom(3_000_000))


def content(root):
    found = {}
    for path in root.rglob("*"):
        name = os.fsencode(path.relative_to(root))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("folder", path.stat().st_mode & 0o777)
        else:
            found[name] = (digest(path.read_bytes()), path.stat().st_mode & 0o777)
    return found


def folders(vm, machine, folder):
    make_tree(folder / "tree")
    for arguments in ((f"{folder}/tree", f"{machine}:/tmp"), (f"{machine}:/tmp/tree", f"{folder}/back")):
        done = vm.run("cp", "-r", *arguments)
        check(done.status == 0, f"cp -r {arguments}: {done}")
    equal("what came back", content(folder / "tree"), content(folder / "back"))
    equal("a program of it", "ran\n", vm.exec(machine, "/tmp/tree/run.sh").out)
    done = vm.run("cp", f"{folder}/tree", f"{machine}:/tmp")
    check(done.status == 1 and "cp -r" in done.err, f"a folder without -r: {done}")


def streams(vm, machine):
    has_folder_and_environment(vm, machine)
    terminal(vm, machine)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        streams_of_files(vm, machine, folder)
        folders(vm, machine, folder)
    who_dies(vm, machine)
