# SPDX-License-Identifier: Apache-2.0
"""Clones of the samples of tests/clone in a guest: its lspci says of each what it said of the original."""
import difflib
import pathlib
import re
import subprocess

from guest import TREE, check, equal

SAMPLES = TREE / "tests" / "clone" / "samples"
PCI = "/sys/bus/pci/devices"

# What a guest's firmware and kernel choose, and what happens while it runs; docs/clone.md has the same list. Each
# pattern becomes its replacement on both sides, and nothing else is let through.
VOLATILE = [
    (r"^\S+ ", ""),                                                      # the address at the head of a block
    (r"Control: I/O. Mem. BusMaster.(.*) ParErr.(.*) SERR.(.*) DisINTx.", r"Control:\1\2\3"),
    (r"Latency: 0.*", ""),                                               # with bus mastering only; cache line size
    (r"routed to IRQ \d+", "routed to IRQ"),
    (r"Memory at \w+ ", "Memory at "),
    (r"I/O ports at \w+ ", "I/O ports at "),
    (r"Expansion ROM at \w+ ", "Expansion ROM at "),
    (r" \[(disabled|virtual|enhanced)\]", ""),                           # COMMAND, ROM enable, VMD's domain
    (r"Bus: primary=.*", "Bus:"),
    (r"(I/O|Memory|Prefetchable memory) behind bridge: .*", ""),         # windows; a fabric has none for I/O
    (r"BridgeCtl: Parity. SERR.", "BridgeCtl:"),
    (r"MSI(-X)?: Enable. ", r"MSI\1: "),
    (r"Count=\d+/", "Count=/"),                                          # messages that the guest enabled
    (r"Address: \w+  Data: \w+", "Address:"),
    (r"Masking: \w+  Pending: \w+", "Masking:"),
    (r"DevCtl:\tCorrErr. NonFatalErr. FatalErr. UnsupReq.", "DevCtl:"),
    (r"MaxPayload \d+ bytes, MaxReadReq", "MaxReadReq"),                 # of DevCtl: the smallest on the way
    (r"CommClk.", "CommClk"),
    (r"(DevCtl2:.*) ARIFwd.", r"\1 ARIFwd"),                             # Linux turns it on
    (r"(LnkCtl:\t)ASPM [^;]+;", r"\1ASPM;"),                             # vmd of 6.12 turns link power states on
    (r"(ExtSynch.) ClockPM.", r"\1 ClockPM"),
    (r"L1SubCtl1: .*", "L1SubCtl1:"),
    (r"T_CommonMode=\w+( LTR1.2_Threshold=\w+)?", "T_CommonMode"),
    (r"L1SubCtl2: .*", "L1SubCtl2:"),
    (r"snoop latency: (0|3145728)ns", "snoop latency:"),                  # vmd of 6.12 sets what is zero
    (r"NoCompl.", "NoCompl"),                                             # Mimic's slots complete commands at once
    (r"SltCtl:\t.*", "SltCtl:"),                                          # pciehp
    (r"Control: AttnInd \w+, PwrInd \w+, .*", ""),
    (r"SltSta:\t.*", "SltSta:"),
    (r"Changed: MRL. PresDet. LinkState.", "Changed:"),
    (r"RootCtl: .*", "RootCtl:"),
    (r"RootCmd: .*", "RootCmd:"),
    (r"DLActive.", "DLActive"),
    (r"ACSCtl:\t.*", "ACSCtl:"),                                          # Linux turns it on
    (r"IOVCtl:\t.*", "IOVCtl:"),
    (r"Number of VFs: \d+", "Number of VFs:"),
]
IN_SRIOV = [(r" \[size=\w+\]", "")]                                      # lspci has no sizes of VF BARs
LINES_GONE = re.compile(r"^\t(Kernel driver in use|Kernel modules|NUMA node|IOMMU group|DeviceName|Physical Slot): ")


def blocks(text):
    """The text lines of each device, without its bytes; first lines are headings."""
    out = []
    for line in text.splitlines():
        if re.match(r"([0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] ", line):
            out.append([line])
        elif line.startswith("\t") and out:
            out[-1].append(line)
    return out


def ids(block):
    return re.findall(r"\[([0-9a-f]{4}:[0-9a-f]{4})\]", block[0])[-1]


def normalised(block):
    out = []
    in_sriov = False
    for number, line in enumerate(block):
        if "Capabilities:" in line:
            in_sriov = "SR-IOV" in line
        if LINES_GONE.match(line):
            continue
        for pattern, replacement in VOLATILE[0 if number == 0 else 1:] + (IN_SRIOV if in_sriov else []):
            line = re.sub(pattern, replacement, line)
        if line.strip():
            out.append(line.rstrip())
    return out


def same_text(originals, clones):
    """Compares in order those of the same ids; names of vendors depend on pci.ids, so headings are compared by ids."""
    left = list(clones)
    for original in originals:
        found = next((block for block in left if ids(block) == ids(original)), None)
        check(found is not None, f"the guest has no {original[0]}")
        left.remove(found)
        expected, got = normalised(original)[1:], normalised(found)[1:]
        drop = re.compile(r"^\tSubsystem: .*?(\[[0-9a-f:]+\])$")
        expected, got = ([drop.sub(r"\tSubsystem: \1", line) for line in side] for side in (expected, got))
        difference = "\n".join(difflib.unified_diff(expected, got, "original", "clone", lineterm="", n=1))
        check(not difference, f"{original[0]} differs:\n{difference}")


def sample_blocks(*names):
    return [block for name in names for block in blocks((SAMPLES / f"{name}.txt").read_text())]


def clone_file(vm_mimic, folder):
    """One machine with everything: GPU, NIC and switch on a fabric, and the drive once more as an endpoint."""
    fabric = pathlib.Path(folder) / "fabric.txt"
    fabric.write_text("\n\n".join((SAMPLES / f"{name}.txt").read_text() for name in ("gpu", "nic", "switch")))
    parts = []
    for source in (fabric, SAMPLES / "nvme.txt"):
        done = subprocess.run([vm_mimic, "clone", str(source)], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL)
        check(done.returncode == 0 and "not cloned:" in done.stderr, f"mimic clone: {done}")
        parts.append(done.stdout)
    more = parts[1].split("  devices:\n")[1].replace("name: nvme0", "name: disk0")
    out = pathlib.Path(folder) / "clone.yaml"
    out.write_text(parts[0] + more)
    return out


def vfs_appear(vm, machine):
    """The NIC's VFs come where its capability says and look like the VF of the dump. Linux enables VFs for drivers only,
    and none is bound; so the registers are written, and the endpoint's BAR0 is read, which is the configuration space
    of all buses: VF 0 of 06:00.0 is function 0x80 of bus 6, VF 1 function 0x82."""
    nic = "10000:06:00.0"
    equal("sriov_totalvfs", "64", vm.shell(machine, f"cat {PCI}/{nic}/sriov_totalvfs"))

    def classes():
        return [vm.shell(machine, f"mock-accel-ctl peek 0000:02:00.0 {(6 << 20 | function << 12) + 8:#x} 32")
                for function in (0x80, 0x81, 0x82, 0x84)]

    equal("without VFs", ["0xffffffff"] * 4, classes())
    vm.shell(machine, f"setpci -s {nic} ECAP_SRIOV+10.w=2 && setpci -s {nic} ECAP_SRIOV+8.w=19")
    equal("with two VFs", ["0x02000001", "0xffffffff", "0x02000001", "0xffffffff"], classes())
    vm.shell(machine, f"setpci -s {nic} ECAP_SRIOV+8.w=10")
    equal("without VFs again", ["0xffffffff"] * 4, classes())


def clone(vm):
    machine = "clone"
    verdict = vm.verify(machine)
    equal("functions", 6, len(verdict["functions"]))
    guest = blocks(vm.shell(machine, "lspci -vvvnn -D"))
    fabric = [block for block in guest if block[0].startswith("1000")]
    endpoint = [block for block in guest if not block[0].startswith("1000")]
    is_vf = re.compile(r"5e:10\.0 ")
    originals = [block for block in sample_blocks("gpu", "nic", "switch") if not is_vf.match(block[0])]
    # A port with nothing below it is no part of a clone.
    originals = [block for block in originals if not block[0].startswith("3c:10.0 ")]
    same_text(originals, fabric)
    same_text(sample_blocks("nvme"), endpoint)
    vfs_appear(vm, machine)
    vm.check_dmesg(machine)


SCENARIOS = {"clone": (clone, clone_file)}
