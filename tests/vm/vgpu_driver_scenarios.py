# SPDX-License-Identifier: Apache-2.0
"""The driver of vGPUs: every way to the device that it knows, and what becomes of requests in flight when the function is reset,
taken away or asleep. Freed memory of the guest's kernel is poisoned, so that what touches it is seen."""
import os
import pathlib
import re
import sys

from guest import TREE, check, equal

sys.path.insert(0, str(TREE / "tests/load"))
import mediator as mediators  # noqa: E402

MACHINE = "vgpu-driver"
NODE = "vgpu0"
CLASS = f"/sys/class/vgpu/{NODE}"
JOBS = 64
# One backend takes minutes for all of them, so none of these tests is a race against it.
JOB_MS = 5000
FILE = """version: 1
machine:
  name: {machine}
  arch: {arch}
  cpus: 2
  memory: 1G
  kernel_args: slub_debug=FZPU
  devices:
    - {{name: {node}, model: vgpu-stub, vm_id: 1, priority: high,
       mediator: {{socket: {folder}/m.sock, answer_timeout: 600s}}}}
"""
MEDIATOR_FILE = """version: 1
mediator:
  socket: {folder}/m.sock
  run_folder: {folder}/run
pools:
  - {id: A, backends: [{kind: cpu, threads: 1}]}
vms:
  - {id: 1, priority: high}
others: {}
"""
# Parameters of the module, and what it makes of them.
WAYS = {
    "mode=dma": ("dma", "msix"),
    "mode=dma interrupts=none": ("dma", "none"),
    "mode=registers": ("registers", "msix"),
    "interrupts=intx": ("ring", "intx"),
    "interrupts=none": ("ring", "none"),
    "ring_entries=2": ("ring", "msix"),
    "": ("ring", "msix"),
}


# Those that there are not, and what the log says of them.
REFUSED = {
    "interrupts=msi": "interrupts=msi, want auto, msix, intx or none",
    "mode=fast": "mode=fast, want auto, ring, dma or registers",
    "ring_entries=3": "ring_entries=3, want a power of two from 2 to 256",
}


def writes(arch):
    def write_file(_mimic, folder):
        path = pathlib.Path(folder) / "vgpu-driver.yaml"
        path.write_text(FILE.format(machine=MACHINE, arch=arch, node=NODE, folder=folder))
        return str(path)
    return write_file


def run_test(vm, *arguments):
    done = vm.exec(MACHINE, "vgpu-test", "-d", NODE, *arguments)
    check(done.status == 0 and "failed=0" in done.out, f"vgpu-test {arguments}: {done}")
    return done.out


def statistics(vm):
    names = ("requests", "answers", "timeouts", "late", "bad", "cancelled", "in_flight", "interrupts")
    values = vm.shell(MACHINE, f"cd {CLASS}/statistics; cat {' '.join(names)}").split()
    return dict(zip(names, map(int, values)))


def load_module(vm, parameters):
    vm.shell(MACHINE, f"rmmod vgpu_stub 2>/dev/null; modprobe vgpu-stub {parameters}")
    vm.wait_for(MACHINE, f"[ -e /dev/{NODE} ]")


def every_way(vm):
    """All operations, stress and processes in each mode, with each kind of interrupt and without."""
    for parameters, expected in WAYS.items():
        load_module(vm, parameters)
        got = tuple(vm.shell(MACHINE, f"cat {CLASS}/mode {CLASS}/interrupt_kind").split())
        equal(f"mode and interrupts with '{parameters}'", expected, got)
        out = run_test(vm, "-n", "200", "-p", "4", "operations", "memory", "stress", "batch", "concurrent")
        check(out.count(": pass") >= 60, f"too few tests with '{parameters}': {out}")
        seen = statistics(vm)
        equal(f"bad, cancelled, in flight with '{parameters}'", [0, 0, 0], [seen[name] for name in ("bad", "cancelled", "in_flight")])
        equal(f"requests with '{parameters}'", seen["requests"], seen["answers"] + seen["late"])
        equal(f"timeouts with '{parameters}'", 1, seen["timeouts"])
        check((seen["interrupts"] > 0) == (expected[1] != "none"), f"interrupts with '{parameters}': {seen}")


def refuses(vm):
    """A parameter that there is not: the module is not loaded, and says what there is."""
    for parameters, said in REFUSED.items():
        out = vm.shell(MACHINE, f"rmmod vgpu_stub 2>/dev/null; modprobe vgpu-stub {parameters} 2>&1 && echo loaded; dmesg | tail -5")
        check("Invalid argument" in out and "loaded" not in out and said in out, f"a module with '{parameters}': {out}")


def send_jobs(vm):
    vm.shell(MACHINE, f"rm -f /tmp/jobs.*; {{ vgpu-test -d {NODE} -b {JOBS} -w {JOB_MS} inflight >/tmp/jobs.out 2>&1; "
                      "echo $? >/tmp/jobs.status; } >/dev/null 2>&1 </dev/null &")
    vm.wait_for(MACHINE, f"grep -q 'sent {JOBS}' /tmp/jobs.out")


def jobs_end(vm, how, afterwards):
    """Each once: by far most of them with the error `how`; and the file then says `afterwards` of a NOP."""
    vm.wait_for(MACHINE, "[ -s /tmp/jobs.status ]")
    out = vm.shell(MACHINE, "cat /tmp/jobs.out")
    equal(f"status of jobs, which say '{out}'", "0", vm.shell(MACHINE, "cat /tmp/jobs.status"))
    ends = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", re.search("inflight .*", out).group(0))}
    equal(f"ends of jobs: {ends}", JOBS, ends["answered"] + ends[how])
    check(ends[how] > JOBS // 2, f"jobs in flight were not {how}: {ends}")
    check(f"afterwards: {afterwards}" in out, f"want {afterwards}: {out}")


def function_path(vm):
    return vm.shell(MACHINE, f"readlink -f {CLASS}/device")


def survives(vm):
    """64 requests in flight when the function is reset, unbound, removed, asleep; their process killed and the module unloaded."""
    # By default a request ends after 60 s, which a slow machine may need to take the device away.
    vm.shell(MACHINE, "echo 0 >/sys/module/vgpu_stub/parameters/timeout_ms")
    path = function_path(vm)
    bdf = path.rsplit("/", 1)[1]
    driver = "/sys/bus/pci/drivers/vgpu-stub"
    send_jobs(vm)
    vm.shell(MACHINE, f"echo 1 >{path}/reset")
    jobs_end(vm, "cancelled", "success")
    send_jobs(vm)
    vm.shell(MACHINE, f"echo {bdf} >{driver}/unbind; ! [ -e /dev/{NODE} ]")
    jobs_end(vm, "gone", "No such device")
    vm.shell(MACHINE, f"echo {bdf} >{driver}/bind; [ -e /dev/{NODE} ]")
    send_jobs(vm)
    vm.shell(MACHINE, f"echo 1 >{path}/remove")
    jobs_end(vm, "gone", "No such device")
    vm.shell(MACHINE, "echo 1 >/sys/bus/pci/rescan")
    vm.wait_for(MACHINE, f"[ -e /dev/{NODE} ]")
    run_test(vm, "-n", "100", "batch")
    send_jobs(vm)
    vm.sleep_and_wake(MACHINE)
    jobs_end(vm, "cancelled", "success")
    run_test(vm, "-n", "100", "batch")
    send_jobs(vm)
    vm.shell(MACHINE, "killall -9 vgpu-test; while pidof vgpu-test >/dev/null; do usleep 10000; done; rmmod vgpu_stub")
    load_module(vm, "")
    run_test(vm, "-n", "100", "batch")


def vgpu_driver(vm):
    folder = pathlib.Path(vm.example).parent
    # Of its own: what a mediator leaves there is not a machine's.
    environment = dict(os.environ, XDG_RUNTIME_DIR=str(folder / "runtime"))
    (folder / "runtime").mkdir(mode=0o700)
    daemon = mediators.Mediator(pathlib.Path(vm.mimic).with_name("mimic-mediator"), folder, MEDIATOR_FILE, environment)
    try:
        done = vm.exec(MACHINE, "vgpu-test", "-d", NODE, "identity")
        check(done.status == 0, f"the original vGPU's Test 2: {done}")
        daemon.start()
        daemon.wait_until(daemon.is_ready, "a mediator with its backends")
        vm.wait_for(MACHINE, f"vgpu-test -d {NODE} -n 1 stress >/dev/null")
        refuses(vm)
        every_way(vm)
        survives(vm)
        vm.check_dmesg(MACHINE)
    except BaseException:
        print(daemon.log(), file=sys.stderr)
        raise
    finally:
        daemon.stop()


SCENARIOS = {
    "vgpu-driver": (vgpu_driver, writes("x86_64")),
    "vgpu-driver-riscv64": (vgpu_driver, writes("riscv64")),
}
