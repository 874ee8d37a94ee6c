#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes samples/*.txt: dumps as `lspci -vvvnnxxxx` prints them, of devices that nobody has here.

Hand made: the bytes are laid out below after the PCIe Base Specification and the public documents and ids of such
devices (none was read from hardware), the host's lspci turns them into text, and what it cannot know from bytes, the
sizes of BARs, is added as the kernel would tell it. The results are committed; run this again only to change them.
"""
import pathlib
import re
import struct
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
IO, M32, M64, PREF = "io", "m32", "m64", "pref"


class Function:
    def __init__(self, address, vendor, device, class_code, revision=0, subsystem=(0, 0), header=0, size=4096):
        self.address = address
        self.bytes = bytearray(size)
        self.sizes = {}      # "Region 0" -> "16M"
        self.vf_sizes = {}
        self.last = None
        self.last_extended = None
        self.put("<HHHHI", 0, vendor, device, 0x0406 if header == 0 else 0x0407, 0x0010, class_code << 8 | revision)
        self.put("<BBBB", 0x0c, 0x10, 0, header, 0)
        if header & 0x7f == 0:
            self.put("<HH", 0x2c, *subsystem)

    def put(self, form, at, *values):
        struct.pack_into(form, self.bytes, at, *values)

    def bar(self, index, kind, address, size, prefetchable=False):
        bits = {IO: 1, M32: 0, M64: 4}[kind] | (8 if prefetchable else 0)
        self.put("<I", 0x10 + 4 * index, address & 0xffffffff | bits)
        if kind == M64:
            self.put("<I", 0x14 + 4 * index, address >> 32)
        self.sizes[f"Region {index}"] = size

    def rom(self, address, size):
        self.put("<I", 0x30, address)
        self.sizes["Expansion ROM"] = size

    def interrupt(self, pin, line=0x0b):
        self.put("<BB", 0x3c, line, pin)

    def cap(self, at, identifier, body):
        if self.last is None:
            self.bytes[0x34] = at
        else:
            self.bytes[self.last + 1] = at
        self.bytes[at] = identifier
        self.bytes[at + 2:at + 2 + len(body)] = body
        self.last = at

    def ext(self, at, identifier, version, body):
        if self.last_extended is not None:
            header = struct.unpack_from("<I", self.bytes, self.last_extended)[0]
            self.put("<I", self.last_extended, header & 0xfffff | at << 20)
        self.put("<I", at, identifier | version << 16)
        self.bytes[at + 4:at + 4 + len(body)] = body
        self.last_extended = at

    # --- capabilities that several have -----------------------------------------------------------

    def pm(self, at, pmc=0x0003, pmcsr=0x0008):
        self.cap(at, 0x01, struct.pack("<HHH", pmc, pmcsr, 0))

    def msi(self, at, capable, maskable=False, enable=False):
        control = capable << 1 | 0x80 | (0x100 if maskable else 0) | (1 if enable else 0)
        body = struct.pack("<HIIHH", control, 0xfee00000 if enable else 0, 0, 0, 0)
        self.cap(at, 0x05, body + (struct.pack("<II", 0, 0) if maskable else b""))

    def msix(self, at, vectors, table, pba, enable=True):
        self.cap(at, 0x11, struct.pack("<HII", vectors - 1 | (0x8000 if enable else 0), table, pba))

    def express(self, at, port_type, speed, width, devcap, devctl=0x2936, slot=False, **regs):
        flags = 2 | port_type << 4 | (0x100 if slot else 0)
        no_link = port_type == 9
        lnkcap = 0 if no_link else regs.get("lnkcap", 0x00400c00) | speed | width << 4 | regs.get("port", 0) << 24
        lnksta = 0 if no_link else 0x1000 | speed | width << 4 | (0x2000 if port_type in (4, 6) else 0)
        self.cap(at, 0x10, struct.pack(
            "<HIHHIHHIHHHHIIHHIHHI", flags, devcap, devctl, regs.get("devsta", 0), lnkcap, regs.get("lnkctl", 0x0040), lnksta,
            regs.get("sltcap", 0), regs.get("sltctl", 0), regs.get("sltsta", 0), regs.get("rootctl", 0), 0, 0,
            regs.get("devcap2", 0x0001081f), regs.get("devctl2", 0x0400), 0,
            0 if no_link else ((1 << speed) - 1) << 1, regs.get("lnkctl2", speed),
            0x1e if speed >= 3 and not no_link else 0, 0))

    def aer(self, at, version=2, root=False):
        body = struct.pack("<IIIIII", 0, 0x00400000 if not root else 0, 0x00462030, 0, 0x0000e000, 0xa0) + bytes(16)
        self.ext(at, 0x01, version, body + (struct.pack("<III", 7, 0, 0) if root else b""))

    def dsn(self, at, serial):
        self.ext(at, 0x03, 1, struct.pack("<Q", serial))

    def ari(self, at, next_function):
        self.ext(at, 0x0e, 1, struct.pack("<HH", next_function << 8, 0))

    def sriov(self, at, total, offset, stride, device, bars, enabled=0, pages=0x553):
        lowest = self.address.endswith(".0")  # only that one has ARI Capable Hierarchy
        control = 0x19 if enabled else 0x10 if lowest else 0
        body = struct.pack("<IHHHHHHHHHHII", 0, control, 0, total, total, enabled, 0, offset, stride, 0, device,
                           pages, 1)
        registers = [0] * 6
        for index, (kind, address, size, prefetchable) in bars.items():
            registers[index] = address & 0xffffffff | {M32: 0, M64: 4}[kind] | (8 if prefetchable else 0)
            if kind == M64:
                registers[index + 1] = address >> 32
            self.vf_sizes[index] = size
        self.ext(at, 0x10, 1, body + struct.pack("<6II", *registers, 0))

    def bridge(self, primary, secondary, subordinate, memory, prefetchable):
        self.put("<BBBB", 0x18, primary, secondary, subordinate, 0)
        self.put("<BBH", 0x1c, 0xf1, 0x01, 0)  # no I/O window
        self.put("<HH", 0x20, memory[0] >> 16 & 0xfff0, memory[1] >> 16 & 0xfff0)
        self.put("<HH", 0x24, prefetchable[0] >> 16 & 0xfff0 | 1, prefetchable[1] >> 16 & 0xfff0 | 1)
        self.put("<II", 0x28, prefetchable[0] >> 32, prefetchable[1] >> 32)
        self.put("<H", 0x3e, 0x0003)

    def hexdump(self):
        lines = [f"{at:02x}: " + " ".join(f"{b:02x}" for b in self.bytes[at:at + 16])
                 for at in range(0, len(self.bytes), 16)]
        return "\n".join(lines)


def gpu():
    """An accelerator of the size of today's: three BARs, a ROM, SR-IOV, a 16 GT/s link."""
    f = Function("17:00.0", 0x10de, 0x20b5, 0x030200, 0xa1, (0x10de, 0x1533))
    f.bar(0, M32, 0xc4000000, "16M")
    f.bar(1, M64, 0x39c000000000, "16G", True)
    f.bar(3, M64, 0x39d000000000, "32M", True)
    f.rom(0xc5000000, "512K")
    f.interrupt(1)
    f.pm(0x60, 0x0003)
    f.express(0x78, 0, 4, 16, 0x112c8de1 | 1 << 28, lnkcap=0x00475000)
    f.msix(0xc8, 6, 0x00b90000, 0x00ba0000)
    f.ext(0x100, 0x02, 1, struct.pack("<IIHHIIHH", 0, 0, 0, 0, 0, 0x800000ff, 0, 0))
    f.ext(0x258, 0x1e, 1, struct.pack("<III", 0x0028fe1f, 0, 0x28))
    f.ext(0x128, 0x04, 1, struct.pack("<III", 0, 0x1234, 0))
    f.aer(0x420)
    f.ext(0x600, 0x0b, 1, struct.pack("<I", 0x0002 | 1 << 16 | 0x024 << 20) + bytes(range(0x10, 0x2c)))
    f.ext(0x900, 0x19, 1, struct.pack("<II", 0, 0) + b"\x77\x77" * 16)
    f.ext(0xbb0, 0x15, 1, struct.pack("<II", 0x00ffffc0, 0x21 | 0xe << 8))
    f.sriov(0xbcc, 16, 4, 1, 0x20b5, {0: (M64, 0x39d800000000, "256K", True), 2: (M64, 0x39c800000000, "2G", True),
                                      4: (M64, 0x39d400000000, "32M", True)})
    f.ari(0xc14, 0)
    f.ext(0xc1c, 0x26, 1, bytes(12) + struct.pack("<III", 0xf, 0, 0) + bytes(4) + b"\x55" * 16)
    f.ext(0xd00, 0x27, 1, struct.pack("<HH", 0, 1) + bytes(64))
    f.ext(0xe00, 0x25, 1, struct.pack("<II", 0x80000001, 0x80000001))
    return f


def nvme(address="01:00.0", base=0xf7d00000):
    f = Function(address, 0x144d, 0xa808, 0x010802, 0, (0x144d, 0xa801))
    f.bar(0, M64, base, "16K")
    f.interrupt(1)
    f.pm(0x40, 0x0003)
    f.msi(0x50, 5)
    f.express(0x70, 0, 3, 4, 0x10008fc1 | 1 << 28, lnkcap=0x00477c00, lnkctl=0x0142, devcap2=0x0001081f)
    f.msix(0xb0, 33, 0x3000, 0x2000)
    f.aer(0x100)
    f.dsn(0x148, 0)
    f.ext(0x158, 0x04, 1, struct.pack("<III", 0, 0x0a41, 0))
    f.ext(0x168, 0x19, 1, struct.pack("<II", 0, 0) + b"\x75\x65" * 4)
    f.ext(0x188, 0x18, 1, struct.pack("<HH", 0x1003, 0x1003))
    f.ext(0x190, 0x1e, 1, struct.pack("<III", 0x000a1e1f, 0x40500f, 0x28))
    return f


def nic():
    """Two ports of 10 Gbit/s with 64 VFs each, of which one is enabled."""
    out = []
    for port in range(2):
        f = Function(f"5e:00.{port}", 0x8086, 0x1563, 0x020000, 1, (0x8086, 0x001a), header=0x80)
        f.bar(0, M64, 0x38bffe800000 - 0x400000 * port, "4M", True)
        f.bar(4, M64, 0x38bffec04000 - 0x4000 * port, "16K", True)
        f.rom(0xaae80000 - 0x80000 * port, "512K")
        f.interrupt(1 + port)
        f.pm(0x40, 0x4823, 0x2008)
        f.msi(0x50, 0, maskable=True)
        f.msix(0x70, 64, 0x00000004, 0x00002004)
        f.express(0xa0, 0, 3, 4, 0x10008cc2 | 1 << 28, lnkcap=0x00434c00, devcap2=0x0000081f, devctl2=0)
        f.aer(0x100)
        f.dsn(0x140, 0xa0369fffff123456)
        f.ari(0x150, 1 - port)
        f.sriov(0x160, 64, 128, 2, 0x1565, {0: (M64, 0x38bffea00000 + 0x200000 * port, "16K", True),
                                             3: (M64, 0x38bffeb00000 + 0x200000 * port, "16K", True)},
                enabled=1 - port)
        f.ext(0x1b0, 0x0d, 1, struct.pack("<HH", 0, 0))
        f.ext(0x1c0, 0x18, 1, struct.pack("<HH", 0, 0)) if port == 0 else None
        out.append(f)
    vf = Function("5e:10.0", 0xffff, 0xffff, 0x020000, 1, (0x8086, 0x001a))
    vf.put("<H", 4, 4)
    vf.sizes = {"Region 0": "16K", "Region 3": "16K"}
    vf.msix(0x70, 3, 0x00000003, 0x00002003)
    vf.express(0xa0, 0, 3, 4, 0x10008cc2 | 1 << 28, devctl=0, lnkcap=0x00434c00, devcap2=0, devctl2=0, lnkctl=0)
    vf.ext(0x100, 0x01, 2, bytes(40))
    vf.ari(0x150, 0)
    return out + [vf]


def port(address, ids, kind, buses, memory, prefetchable, number=0, **more):
    f = Function(address, ids[0], ids[1], 0x060400, ids[2], header=1)
    f.bridge(*buses, memory, prefetchable)
    f.interrupt(1)
    f.pm(0x40, 0xc823)
    f.msi(0x48, 0 if kind == 4 else 3, maskable=True)
    f.express(0x68, kind, 3, 16, 0x00008002, devcap2=0x0000081f | (0x20 if kind != 5 else 0), devctl2=0,
              lnkcap=0x00400c00 | (0x00100000 if kind != 5 else 0), port=number, **more)
    f.cap(0xa4, 0x0d, struct.pack("<HHH", 0, ids[0], ids[1]))
    f.aer(0x100, 1 if kind != 4 else 2, root=kind == 4)
    if kind != 5:
        f.ext(0x520, 0x0d, 1, struct.pack("<HH", 0x005f, 0x0000))
    f.ext(0x700 if kind != 4 else 0x300, 0x19, 1, struct.pack("<II", 0, 0) + b"\x77\x77" * 16)
    return f


def accelerator():
    f = Function("3e:00.0", 0x10ee, 0x5000, 0x120000, 0, (0x10ee, 0x000e))
    f.bar(0, M64, 0x38ffc2000000, "32M", True)
    f.bar(2, M64, 0x38ffc4000000, "64K", True)
    f.pm(0x40, 0x0003)
    f.msix(0x60, 32, 0x00000002, 0x00008002)
    f.express(0x70, 0, 3, 16, 0x10008002 | 1 << 28)
    f.aer(0x100)
    f.ari(0x140, 0)
    f.ext(0x1c0, 0x19, 1, struct.pack("<II", 0, 0) + b"\x77\x77" * 16)
    f.ext(0x400, 0x0d, 1, struct.pack("<HH", 0, 0))
    f.ext(0x480, 0x0b, 1, struct.pack("<I", 0x0020 | 0 << 16 | 0x010 << 20) + bytes(range(8)))
    return f


def switch():
    """A root port, a switch with three ports, and what is below two of them."""
    everything = (0xaad00000, 0xaaf00000)
    wide = (0x38ffc0000000, 0x38ffdff00000)
    closed = (0xfff00000, 0x00000000)
    nothing = (0xfff00000, 0x00000000)
    root = port("3a:00.0", (0x8086, 0x2030, 0x07), 4, (0x3a, 0x3b, 0x3f), everything, wide, slot=True,
                sltcap=0x1 << 19 | 0x80, sltsta=0x0040)
    up = port("3b:00.0", (0x10b5, 0x8747, 0xca), 5, (0x3b, 0x3c, 0x3f), everything, wide)
    downs = [port(f"3c:{device:02x}.0", (0x10b5, 0x8747, 0xca), 6, (0x3c, bus, bus), memory, prefetchable, number=device,
                  slot=True, sltcap=device << 19 | hotplug, sltsta=present)
             for device, bus, memory, prefetchable, hotplug, present in (
                 (0x08, 0x3d, (0xaae00000, 0xaae00000), nothing, 0x60, 0x40), (0x09, 0x3e, closed, wide, 0, 0x40),
                 (0x10, 0x3f, closed, nothing, 0, 0))]
    return [root, up, *downs, nvme("3d:00.0", 0xaae00000), accelerator()]


TREE = """-[0000:3a]---00.0-[3b-3f]----00.0-[3c-3f]--+-08.0-[3d]----00.0
                                           +-09.0-[3e]----00.0
                                           \\-10.0-[3f]--
"""


def text_of(function):
    """lspci's text, with the sizes that it would have from the kernel."""
    ids = bytes(function.bytes[:4])
    if ids == b"\xff\xff\xff\xff":  # of a VF the kernel knows the ids, and its BARs
        function.put("<HH", 0, 0x8086, 0x1565)
        function.put("<I", 0x10, 0xfea0000c)
        function.put("<I", 0x1c, 0xfeb0000c)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(f"{function.address} x\n{function.hexdump()}\n\n")
        file.flush()
        text = subprocess.run(["lspci", "-F", file.name, "-vvvnn"], capture_output=True, text=True, check=True).stdout
    if ids == b"\xff\xff\xff\xff":
        function.bytes[:4] = ids
        function.put("<I", 0x10, 0)
        function.put("<I", 0x1c, 0)
        text = re.sub(r"(Region \d: Memory at) \w+", r"\1 38bffea00000 [virtual]", text)
        text = re.sub(r" \[virtual\] (\(.*\))", r" \1 [virtual]", text)
    in_sriov = False
    lines = []
    for line in text.rstrip("\n").split("\n"):
        if "Capabilities:" in line:
            in_sriov = "SR-IOV" in line
        match = re.match(r"\s*(Region \d|Expansion ROM)", line)
        if match and not in_sriov and match.group(1) in function.sizes:
            line += f" [size={function.sizes[match.group(1)]}]"
        elif match and not in_sriov:
            continue  # the upper half of a BAR, which lspci -F takes for one
        elif match and in_sriov and int(match.group(1)[-1]) in function.vf_sizes:
            line += f" [size={function.vf_sizes[int(match.group(1)[-1])]}]"
        lines.append(line)
    return "\n".join(lines) + "\n" + function.hexdump() + "\n"


def main():
    samples = {"gpu": [gpu()], "nvme": [nvme()], "nic": nic(), "switch": switch()}
    for name, functions in samples.items():
        text = "\n".join(text_of(function) for function in functions)
        if name == "switch":
            text += "\n" + TREE
        (HERE / "samples" / f"{name}.txt").write_text(text, encoding="ascii", errors="replace")


if __name__ == "__main__":
    main()
