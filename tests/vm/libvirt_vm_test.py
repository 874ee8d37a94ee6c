#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the lines of docs/libvirt.md under a libvirt of its own: a machine is prepared, served, defined and started, its console
shows the devices, and it goes. Then QEMU alone, by the script that lies beside the domain. Only the page's folder is another one.

libvirt's session daemon begins with the first virsh, as the user's own, in folders of this test. As root it would be the
system's: then all of this runs in a user namespace, as somebody who is not root there."""
import argparse
import contextlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from guest import TREE, Failure, check, equal
from passed import Passed

PAGE = TREE / "docs" / "libvirt.md"
FOLDER = "/tmp/lab"
MACHINE = "dual-numa"
BLOCKS = re.compile(r"<!-- run: tests/vm/libvirt_vm_test.py -->\n```bash\n(.*?)```", re.DOTALL)
ADDRESSES = {"0000:11:00.0": "0", "0000:21:00.0": "1"}  # of examples/dual-numa.yaml, with their NUMA nodes
INSIDE = "MIMIC_LIBVIRT_TEST_INSIDE"
PATIENCE = 300  # seconds; for hangs only
SKIP = 77


def missing():
    """Why this cannot run here, or nothing."""
    os.environ["PATH"] += ":/usr/sbin"
    for program, package in (("virsh", "libvirt-clients"), ("virt-xml-validate", "libvirt-clients"),
                             ("libvirtd", "libvirt-daemon"), ("xmllint", "libxml2-utils")):
        if shutil.which(program) is None:
            return f"there is no {program} ({package}; tools/setup test)"
    if not list(pathlib.Path("/usr/lib").glob("*/libvirt/connection-driver/libvirt_driver_qemu.so")):
        return "libvirt has no driver for QEMU (libvirt-daemon-driver-qemu; tools/setup test)"
    if os.geteuid() == 0:
        tried = subprocess.run(["unshare", "--user", "--map-user=1000", "true"], stderr=subprocess.PIPE, text=True, check=False)
        if tried.returncode != 0:
            return f"root's libvirt is the system's, and no user namespace can be made: {tried.stderr.strip()}"
    return None


class Sandbox:
    """Folders for the machine and for libvirt, and the page's lines in them."""

    def __init__(self, mimic):
        # Short: a socket's path has 107 bytes.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mlv-"))
        self.lab = self.folder / "lab"
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "mimic").symlink_to(os.path.abspath(mimic))
        self.environment = dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}")
        # The cache of what guests boot stays the user's.
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        self.environment.setdefault("MIMIC_CACHE", f"{cache}/mimic")
        for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
            self.environment[name] = str(self.folder / name.split("_")[1].lower())
            os.mkdir(self.environment[name], 0o700)
        self.served = None

    def shell(self, lines, expect=0):
        """Runs lines of the page; returns what they printed."""
        done = subprocess.run(["bash", "-e", "-c", lines.replace(FOLDER, str(self.lab))], env=self.environment, cwd=TREE, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False)
        equal(f"exit status of\n{lines}\nwhich printed\n{done.stdout}", expect, done.returncode)
        return done.stdout

    def virsh(self, *words):
        return self.shell("virsh -c qemu:///session " + " ".join(words))

    def serve(self, line):
        """The page's line with the server, which goes on while others run."""
        check(line.rstrip().endswith("&"), f"the page does not serve in the background: {line}")
        command = "exec " + line.rstrip().rstrip("&").replace(FOLDER, str(self.lab))
        self.served = subprocess.Popen(["bash", "-c", command], env=self.environment, cwd=TREE, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, text=True)
        said = self.served.stdout.readline()
        check(said.startswith("ready 2 functions"), f"mimic serve said {said!r}")

    def close(self):
        if self.served is not None:
            self.served.terminate()
            self.served.wait(PATIENCE)
            self.served.stdout.close()
        for pidfile in (self.folder / "runtime").rglob("*.pid"):  # the daemons of libvirt's session
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(pidfile.read_text()), signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)


def read_until(fd, wanted, what, text=b""):
    """Reads a terminal until `wanted` matches."""
    deadline = time.monotonic() + PATIENCE
    while not re.search(wanted, text):
        check(time.monotonic() < deadline, f"{what}: no {wanted!r} in {text[-3000:]!r}")
        if not select.select([fd], [], [], 1)[0]:
            continue
        try:
            part = os.read(fd, 65536)
        except OSError:  # EIO: the other end has closed
            part = b""
        check(part, f"{what} ended, having said {text[-3000:]!r}")
        text += part
    return text


def look_at_console(sandbox, line):
    """Types into `virsh console`, as a person would, and looks for the devices."""
    process, fd = pty.fork()
    if process == 0:
        os.execvpe("bash", ["bash", "-c", "exec " + line], sandbox.environment)
    try:
        read_until(fd, rb"Escape character", "virsh console")
        # The shell comes when the boot is over; a line that nobody reads yet is no loss.
        prompt, text = rb"dual-numa:~# ", b""
        deadline = time.monotonic() + PATIENCE
        while not re.search(prompt, text):
            check(time.monotonic() < deadline, f"no prompt on the console: {text[-3000:]!r}")
            os.write(fd, b"\n")
            with contextlib.suppress(Failure):
                text = read_some(fd, text)
        for address, node in ADDRESSES.items():
            os.write(fd, f"cd /sys/bus/pci/devices/{address} && echo =$(cat vendor device numa_node)=; cd\n".encode())
            read_until(fd, f"=0x1de5 0x0001 {node}=".encode(), f"{address} in the guest")
    finally:
        os.kill(process, signal.SIGTERM)
        os.close(fd)
        os.waitpid(process, 0)


def read_some(fd, text):
    """What comes within a second."""
    if select.select([fd], [], [], 1)[0]:
        with contextlib.suppress(OSError):
            text += os.read(fd, 65536)
    return text


def named_files(sandbox):
    """Each file that domain and script name is there; sockets and what QEMU makes come later."""
    found = 0
    for name in ("domain.xml", "qemu.sh"):
        text = (sandbox.lab / MACHINE / name).read_text()
        for path in re.findall(r"(/[\w./-]+)", text):
            if path.startswith(str(sandbox.lab)) and not re.search(r"\.(sock|log|pid)$", path):
                found += 1
                check(os.path.exists(path.rstrip(".")), f"{name} names {path}, which is not there")
    check(found >= 4, f"{found} files are named")
    check("<emulator>" in (sandbox.lab / MACHINE / "domain.xml").read_text(), "the domain has no emulator")


def ping_agent(sandbox):
    """The agent answers virsh. The shell's prompt can come before the agent has its port open: until then libvirt refuses."""
    line = f"virsh -c qemu:///session qemu-agent-command {MACHINE} '{{\"execute\":\"guest-ping\"}}'"
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            equal("the guest agent's answer", {"return": {}}, json.loads(sandbox.shell(line)))
            return
        except Failure as error:
            if "is not connected" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def run_domain(sandbox, define_and_start, end):
    """libvirt's part of the page."""
    lines = [line for line in define_and_start.splitlines() if line]
    equal("the last line", f"virsh -c qemu:///session console {MACHINE}", lines[-1])
    started = False
    try:
        for line in lines[:-1]:
            sandbox.shell(line)
            started = started or " start " in line
        check(MACHINE in sandbox.virsh("list", "--name"), "the domain does not run")
        look_at_console(sandbox, lines[-1])
        ping_agent(sandbox)
    except Failure:
        for log in (sandbox.folder / "cache").rglob(f"{MACHINE}.log"):
            print(log.read_text(errors="replace")[-5000:], file=sys.stderr)
        raise
    finally:
        if started:
            sandbox.shell(end)
    check(MACHINE not in sandbox.virsh("list", "--all", "--name"), "the domain is still defined")


def run_script(sandbox):
    """QEMU alone boots the same guest from the same files."""
    log = sandbox.lab / MACHINE / "console.log"
    log.unlink(missing_ok=True)
    qemu = subprocess.Popen([sandbox.lab / MACHINE / "qemu.sh"], env=sandbox.environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (log.exists() and "mimic: ready" in log.read_text(errors="replace")):
            check(qemu.poll() is None, f"qemu.sh ended with {qemu.returncode}")
            check(time.monotonic() < deadline, "the guest of qemu.sh did not boot")
            time.sleep(0.2)
    finally:
        # The private QEMU is a script that starts it: both end.
        os.killpg(qemu.pid, signal.SIGTERM)
        qemu.wait(PATIENCE)


OWN = """version: 1
machine:
  name: own
  kernel: ./bzImage
  share: [{ host: ., guest: /src, readonly: true }]
  devices: [{ name: gpu0, model: mock-accel }]
"""


def fill_cache(mimic):
    """What guests boot is built before the namespace: in it the cache is somebody else's, who may not write there."""
    sandbox = Sandbox(mimic)
    try:
        sandbox.shell(f"mimic plan examples/{MACHINE}.yaml --prepare {FOLDER}")
        write_own(sandbox)
        sandbox.shell(f"mimic plan {sandbox.folder}/own/own.yaml --prepare {FOLDER}")
    finally:
        sandbox.close()


def write_own(sandbox):
    """A topology file that names a kernel beside it. Returns their folder, and the kernel's bytes."""
    folder = sandbox.folder / "own"
    folder.mkdir()
    kernel = pathlib.Path(sandbox.environment["MIMIC_CACHE"]) / "kernels" / "6.1" / "vmlinuz"
    before = kernel.read_bytes()
    (folder / "bzImage").write_bytes(before)
    (folder / "own.yaml").write_text(OWN)
    return folder, before


def prepare_own(sandbox):
    """A kernel of the user's own is copied and stays as it is; a shared folder is in both outputs."""
    folder, before = write_own(sandbox)
    sandbox.shell(f"mimic plan {folder}/own.yaml --prepare {FOLDER}")
    check((folder / "bzImage").read_bytes() == before, "the user's kernel was written to")
    for name in ("domain.xml", "qemu.sh"):
        text = (sandbox.lab / "own" / name).read_text()
        for wanted in (f"{sandbox.lab}/own/vmlinuz", f"{sandbox.lab}/own/initrd", "virtio-9p-pci", str(folder)):
            check(wanted in text, f"{name} lacks {wanted}: {text}")
        check(f"{folder}/bzImage" not in text, f"{name} names the user's own file")
    sandbox.shell(f"virt-xml-validate {FOLDER}/own/domain.xml domain")


def follow_page(mimic):
    blocks = BLOCKS.findall(PAGE.read_text())
    equal("blocks of the page", 4, len(blocks))
    check(all(FOLDER in block for block in blocks[:3]), f"the page does not use {FOLDER}")
    prepare, serve, start, end = blocks
    sandbox = Sandbox(mimic)
    try:
        sandbox.shell(prepare)
        named_files(sandbox)
        print(sandbox.shell(f"virt-xml-validate {FOLDER}/{MACHINE}/domain.xml domain").strip())
        prepare_own(sandbox)
        sandbox.serve(serve)
        run_domain(sandbox, start, end)
        run_script(sandbox)
    finally:
        sandbox.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mimic", required=True, help="the program under test")
    options = parser.parse_args()
    reason = None if INSIDE in os.environ else missing()
    if reason:
        print(f"SKIP: {reason}")
        return SKIP
    if os.geteuid() == 0:
        fill_cache(options.mimic)
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--user", "--map-user=1000", "--", sys.executable, *sys.argv])
    passed = Passed(options.mimic, "libvirt", PAGE.read_text())
    if passed.when():
        print(f"CACHED: passed with the same inputs at {passed.when()}; MIMIC_TEST_CACHE=0 runs it again")
        return 0
    try:
        follow_page(options.mimic)
    except (Failure, subprocess.TimeoutExpired) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    passed.note()
    print("the page's lines start a machine under libvirt, and its script starts it without")
    return 0


if __name__ == "__main__":
    sys.exit(main())
