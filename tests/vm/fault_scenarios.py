# SPDX-License-Identifier: Apache-2.0
"""Each fault of `mimic inject`, and Linux seen to notice it: kernel log, AER counters, driver recovery, errors of user
space; and, where hardware would recover, that everything works again afterwards."""
import pathlib
import re
import time

from fabric_scenarios import CLASS, PCI, bench_verifies, fails
from guest import check, equal

MACHINE = "faults"
GPU = "10000:01:00.0"   # gpu0, below port gpu0.port at 10000:00:00.0
PORT = "10000:00:00.0"

# Fault name, what Linux calls it in aer_dev_* and prints for it.
CORRECTABLE = {
    "receiver-error": "RxErr", "bad-tlp": "BadTLP", "bad-dllp": "BadDLLP", "replay-rollover": "Rollover",
    "replay-timeout": "Timeout", "advisory-non-fatal": "NonFatalErr", "corrected-internal": "CorrIntErr",
    "header-log-overflow": "HeaderOF",
}
UNCORRECTABLE = {
    "data-link-protocol": "DLP", "poisoned-tlp": "TLP", "flow-control": "FCP", "completion-timeout": "CmpltTO",
    "completer-abort": "CmpltAbrt", "unexpected-completion": "UnxCmplt", "receiver-overflow": "RxOF",
    "malformed-tlp": "MalfTLP", "ecrc": "ECRC", "unsupported-request": "UnsupReq", "internal": "UncorrIntErr",
}
# What only ports detect.
PORT_ONLY = {
    "surprise-down": "SDES", "acs-violation": "ACSViol", "mc-blocked": "BlockedTLP",
    "atomicop-blocked": "AtomicOpBlocked", "tlp-prefix-blocked": "TLPBlockedErr",
}


def counter(vm, bdf, kind, name):
    """A line of aer_dev_correctable, aer_dev_nonfatal or aer_dev_fatal."""
    for line in vm.shell(MACHINE, f"cat {PCI}/{bdf}/aer_dev_{kind}").splitlines():
        word, number = line.rsplit(" ", 1)
        if word == name:
            return int(number)
    check(False, f"aer_dev_{kind} of {bdf} has no {name}")
    return 0


def unmask(vm, bdf):
    vm.shell(MACHINE, f"setpci -s {bdf} ECAP_AER+08.l=0 ECAP_AER+14.l=0")


def mark_log(vm):
    """Where the kernel log ends now, for log_since()."""
    return int(vm.shell(MACHINE, "dmesg | wc -l"))


def wait_log(vm, mark, pattern):
    vm.wait_for(MACHINE, f"dmesg | tail -n +{mark + 1} | grep -qE '{pattern}'")


def wait_counter(vm, bdf, kind, name, value):
    vm.wait_for(MACHINE, f"grep -qx '{name} {value}' {PCI}/{bdf}/aer_dev_{kind}")


def correctable_errors(vm):
    unmask(vm, GPU)
    for fault, name in CORRECTABLE.items():
        before = counter(vm, GPU, "correctable", name)
        vm.inject(MACHINE, "gpu0", fault)
        wait_counter(vm, GPU, "correctable", name, before + 1)
    wait_log(vm, 0, "severity=Correct(ed|able)")


def uncorrectable_errors(vm):
    """Of the device: the driver is told, recovers, and works. The header of the TLP is in the log."""
    for severity, kind in (("nonfatal", "nonfatal"), ("fatal", "fatal")):
        for fault, name in UNCORRECTABLE.items():
            mark = mark_log(vm)
            unmask(vm, GPU)
            total = int(vm.shell(MACHINE, f"cat {PCI}/{PORT}/aer_rootport_total_err_{kind}"))
            before = counter(vm, GPU, kind, name)
            vm.inject(MACHINE, "gpu0", fault, f"severity={severity}")
            wait_log(vm, mark, "device recovery successful")
            equal(f"total of {fault} {severity}", total + 1,
                  int(vm.shell(MACHINE, f"cat {PCI}/{PORT}/aer_rootport_total_err_{kind}")))
            # A link that had a fatal error is not trusted: Linux asks the device nothing before it has reset it.
            if kind == "nonfatal":
                equal(f"aer_dev_nonfatal {name}", before + 1, counter(vm, GPU, kind, name))
            wait_log(vm, mark, f"mock-accel {GPU}: .*resumed")
    log = vm.shell(MACHINE, "dmesg")
    check(re.search(r"TLP Header: ", log), "no header in the kernel log")
    check(f"mock-accel {GPU}: error detected" in log and re.search(f"mock-accel {GPU}: .*slot reset", log),
          "the driver's handlers did not run")
    bench_verifies(vm, MACHINE, "mock0")
    vm.verify(MACHINE)


def port_errors(vm):
    unmask(vm, PORT)
    for fault, name in PORT_ONLY.items():
        mark = mark_log(vm)
        unmask(vm, PORT)
        before = counter(vm, PORT, "nonfatal", name)
        vm.inject(MACHINE, "gpu0.port", fault, "severity=nonfatal")
        wait_counter(vm, PORT, "nonfatal", name, before + 1)
        wait_log(vm, mark, "severity=Uncorrected \\(Non-Fatal\\)|severity=Uncorrectable \\(Non-Fatal\\)")
        wait_log(vm, mark, "device recovery successful")
    done = vm.run("inject", MACHINE, "gpu0", "surprise-down")
    check(done.status == 1 and "<device>.port" in done.err, f"an error that an endpoint cannot detect: {done}")


def links(vm):
    """A link below a port without hot-plug: a Surprise Down error. With hot-plug: the slot sees it."""
    mark = mark_log(vm)
    vm.inject(MACHINE, "gpu1", "link-down")
    wait_log(vm, mark, "Slot\\(11\\): Link Down")
    vm.wait_for(MACHINE, f"! [ -e {CLASS}/mock1 ]")
    vm.inject(MACHINE, "gpu1", "link-up")
    vm.wait_for(MACHINE, f"[ -e {CLASS}/mock1 ]")
    bench_verifies(vm, MACHINE, "mock1")
    before = counter(vm, PORT, "fatal", "TOTAL_ERR_FATAL")
    vm.inject(MACHINE, "gpu0", "link-down")
    vm.wait_for(MACHINE, f"[ $(sed -n 's/^TOTAL_ERR_FATAL //p' {PCI}/{PORT}/aer_dev_fatal) -gt {before} ]")
    # Linux could not recover the device and told its driver nothing more.
    fails(vm, MACHINE, f"cat {CLASS}/mock0/status", "No such device", "temporarily unavailable")
    vm.inject(MACHINE, "gpu0", "link-up")
    # As after any fatal error that could not be recovered: somebody has to start over.
    vm.shell(MACHINE, f"echo 1 >{PCI}/{GPU}/remove; echo 1 >/sys/bus/pci/rescan")
    vm.wait_for(MACHINE, f"[ -e {CLASS}/mock0 ]")
    bench_verifies(vm, MACHINE, "mock0")


def wait_status(vm, timeout_ms):
    """A change of STATUS, waited for; the waiter's exit status and message."""
    return vm.exec(MACHINE, "sh", "-c", f"""
        seq=$(mock-accel-ctl info /dev/mock-accel0 | sed -n 's/^status_seq=//p')
        value=$(($(cat {CLASS}/mock0/status) + 1))
        mock-accel-ctl wait /dev/mock-accel0 $seq {timeout_ms} & waiter=$!
        echo $value >{CLASS}/mock0/status
        wait $waiter
    """)


def interrupts(vm):
    vm.inject(MACHINE, "gpu0", "irq-lost", "vector=0")
    done = wait_status(vm, 1500)
    check(done.status == 1, f"a lost interrupt was noticed: {done}")
    equal("status once the interrupt comes again", 0, wait_status(vm, 120_000).status)
    vm.inject(MACHINE, "gpu0", "irq-late", "vector=0", "delay=10s")
    check(wait_status(vm, 300).status == 1, "a late interrupt came at once")
    vm.shell(MACHINE, "sleep 11; mock-accel-ctl info /dev/mock-accel0 >/dev/null")
    equal("after a late interrupt", 0, wait_status(vm, 120_000).status)
    # The kernel does not count interrupts of functions behind a VMD, only those of the VMD.
    count = f"grep vmd /proc/interrupts | awk '{{ for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i }} END {{ print n + 0 }}'"
    before = int(vm.shell(MACHINE, count))
    # A message that finds the one before it still pending merges with it, as on any machine: a guest that was not
    # scheduled for a while counts fewer than were sent.
    vm.inject(MACHINE, "gpu0", "irq-spurious", "count=20", "delay=20ms")
    vm.wait_for(MACHINE, f"[ $({count}) -ge {before + 5} ]")
    sent = [fault for fault in vm.api(MACHINE, "/v1/devices/gpu0/faults")["faults"] if fault["fault"] == "irq-spurious"]
    while sent[0]["state"] != "done":
        time.sleep(0.1)
        sent = [fault for fault in vm.api(MACHINE, "/v1/devices/gpu0/faults")["faults"]
                if fault["fault"] == "irq-spurious"]
    equal("spurious interrupts that were sent", [20], [fault["strikes"] for fault in sent])
    equal("after spurious interrupts", 0, wait_status(vm, 120_000).status)
    bench_verifies(vm, MACHINE, "mock0")


def dma(vm):
    """User space is told of failed DMA, finds corrupted DMA, and a slow or unheard engine catches up."""
    bench = "mock-accel-bench --device mock0 --verify --queues 1"
    for fault, count in (("dma-fail", 3), ("dma-corrupt", 1)):
        vm.inject(MACHINE, "gpu0", fault, f"count={count}")
        done = vm.exec(MACHINE, "sh", "-c", bench)
        check(done.status == 1 and done.err, f"{fault} was not noticed: {done}")
        vm.inject(MACHINE, "gpu0", "clear")
        bench_verifies(vm, MACHINE, "mock0")
    vm.inject(MACHINE, "gpu0", "dma-slow", "delay=20ms", "count=20")
    bench_verifies(vm, MACHINE, "mock0")
    vm.inject(MACHINE, "gpu0", "doorbell-stuck", "count=1")
    done = vm.exec(MACHINE, "sh", "-c", bench)
    check(done.status == 1, f"a stuck doorbell was not noticed: {done}")
    bench_verifies(vm, MACHINE, "mock0")


def all_ones(vm):
    vm.inject(MACHINE, "gpu0", "all-ones")
    fails(vm, MACHINE, f"cat {CLASS}/mock0/status", "No such device")
    equal("vendor id of a dead device", "ffff", vm.shell(MACHINE, f"setpci -s {GPU} 00.w"))
    vm.inject(MACHINE, "gpu0", "clear")
    vm.shell(MACHINE, f"cat {CLASS}/mock0/status")
    vm.inject(MACHINE, "gpu0", "all-ones", "--after", "40")
    vm.shell(MACHINE, f"cat {CLASS}/mock0/status")  # not yet
    vm.wait_for(MACHINE, f"! cat {CLASS}/mock0/status 2>/dev/null >/dev/null")
    vm.inject(MACHINE, "gpu0", "clear")
    vm.verify(MACHINE)


def host(vm):
    """A device host that hangs for a while is only slow; one that dies takes its devices along, and Linux sees that."""
    vm.inject(MACHINE, "gpu0", "host-hang", "delay=7s")  # more than QEMU's own 5 s
    time.sleep(0.2)
    vm.shell(MACHINE, f"cat {CLASS}/mock0/status")
    bench_verifies(vm, MACHINE, "mock0")
    vm.check_dmesg(MACHINE)
    vm.inject(MACHINE, "gpu0", "host-crash")
    vm.wait_for(MACHINE, f"! cat {CLASS}/mock0/status 2>/dev/null >/dev/null")
    fails(vm, MACHINE, f"cat {CLASS}/mock0/status", "No such device")
    fails(vm, MACHINE, "mock-accel-bench --device mock0 --verify", "")
    dumps = pathlib.Path(vm.environment["XDG_STATE_HOME"]).glob(f"mimic/{MACHINE}/trace-*.jsonl")
    check(any("host-crash struck" in dump.read_text() for dump in dumps), "the crash left no dump of the last events")
    check("degraded" in vm.run("ps").out, "mimic ps does not say that the machine is degraded")


def faults_aer(vm):
    correctable_errors(vm)
    uncorrectable_errors(vm)
    port_errors(vm)
    vm.check_dmesg(MACHINE)


def faults_device(vm):
    interrupts(vm)
    dma(vm)
    all_ones(vm)
    links(vm)
    host(vm)


SCENARIOS = {
    "faults-aer": (faults_aer, "../tests/vm/faults.yaml"),
    "faults-device": (faults_device, "../tests/vm/faults.yaml"),
}
