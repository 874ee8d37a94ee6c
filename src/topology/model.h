// SPDX-License-Identifier: Apache-2.0
// Model: what a topology file says, after validation. Plain values; every output (QEMU arguments,
// libvirt XML, expected tree, picture) and every check of a running guest is derived from it, and
// from nothing else.
//
// A Model that parse() returned is complete: defaults are filled in, templates and counts are
// expanded, names are unique and every function has its PCI address. All types here are immutable
// by convention and may be read from any thread. Sizes are in bytes.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mimic::topology {

/// Highest numbers that a file may ask for. Those without a source are arbitrary but far above any
/// sane use.
inline constexpr unsigned kMaxMachines = 64;
inline constexpr unsigned kMaxFunctions = 4096;  // in one file
inline constexpr unsigned kMaxCpus = 255;        // xAPIC ids are eight bits and 255 is broadcast
inline constexpr unsigned kMaxNumaNodes = 15;    // bus numbers 0x10, 0x20 .. 0xf0 (placement.h)
inline constexpr unsigned kMaxStaticVfs = 7;     // functions 1..7 of a PCI device
inline constexpr uint64_t kMinMachineMemory = 128ull << 20;
inline constexpr uint64_t kMaxMachineMemory = 4ull << 40;
inline constexpr uint64_t kMaxDeviceMemory = 1ull << 60;  // only a number in a register
inline constexpr uint32_t kNoVfIndex = 0xffffffff;        // VF_INDEX register of a PF

enum class Arch : uint8_t { kX86_64 };

/// kAuto: the caller probes whether a guest really runs under KVM, and says kTcg or kKvm in the
/// RunContext.
enum class Accel : uint8_t { kAuto, kTcg, kKvm };

/// kShared: one device host serves it with others. kProcess: it has a process of its own.
enum class Isolation : uint8_t { kShared, kProcess };

/// What a guest boots. Exactly one of `release` and `image` is not empty.
struct Kernel {
    std::string release;  // "6.1", "6.12" or "newest": Debian's kernel with Mimic's initramfs
    std::string image;    // path of a qcow2 cloud image, absolute or relative to the topology file
    std::string args;     // appended to the kernel command line (direct boot only); printable ASCII
};

/// A PCI address. Immutable value, ordered as lspci orders.
struct Bdf {
    uint16_t domain = 0;
    uint8_t bus = 0;
    uint8_t device = 0;    // 0..31
    uint8_t function = 0;  // 0..7

    auto operator<=>(const Bdf&) const = default;

    /// "0000:11:00.0", as in /sys/bus/pci/devices.
    std::string str() const;
};

/// Link of a device and its root port, as maximum and as trained value.
struct Link {
    unsigned generation = 4;  // 1..6: 2.5, 5, 8, 16, 32, 64 GT/s
    unsigned width = 16;      // 1, 2, 4, 8, 12, 16 or 32 lanes

    bool operator==(const Link&) const = default;

    /// "2.5", "5", "8", "16", "32" or "64" GT/s.
    std::string_view gigatransfers() const;
};

/// A base address register of a device model.
struct Bar {
    unsigned index = 0;
    uint64_t size = 0;
    bool is_64bit = false;
    bool prefetchable = false;
};

/// `uuid:` of a device, as registers and sysfs show it. A parseable RFC 4122 UUID fills `bytes`,
/// prints canonically and leaves `label` empty; any other string of 1..63 printable ASCII
/// characters is the label, prints as is, and its first 16 characters (zero padded) are `bytes`.
struct Identifier {
    std::string text;                 // what sysfs prints, and what mock-accel-server gets with -u
    std::array<uint8_t, 16> bytes{};  // the UUID register block, in register order
    std::string label;                // the LABEL register block; empty for a UUID
};

/// One PCI function: one socket, one vfio-user-pci. Function 0 of a device is its PF, 1..N are its
/// static VFs.
struct Function {
    std::string name;  // unique in its machine: the device's name, VFs "<device>-vf<index>"
    Bdf bdf;           // as the guest's firmware will number it
    uint16_t vendor_id = 0;
    uint16_t device_id = 0;
    uint32_t class_code = 0;  // 24 bits
    std::vector<Bar> bars;
    Identifier identifier;
    uint64_t memory_size = 0;        // MEMORY_SIZE register; no host memory is used
    uint32_t capabilities = 0;       // CAPABILITIES register
    uint32_t total_vfs = 0;          // TOTAL_VFS register of a PF; 0 for a VF
    uint32_t vf_index = kNoVfIndex;  // 0-based for a VF

    bool is_vf() const { return vf_index != kNoVfIndex; }
};

/// A device on a root port of its own.
struct Device {
    std::string name;   // RFC 1123 label, unique in its machine
    std::string model;  // "mock-accel"
    std::optional<unsigned> numa_node;
    Link link;
    Isolation isolation = Isolation::kShared;
    std::vector<Function> functions;  // PF first, then VFs by index; never empty

    /// The root port that holds it. `id` is QEMU's; (chassis, slot) is unique in the machine.
    struct RootPort {
        std::string id;
        Bdf bdf;               // of the port itself
        unsigned chassis = 0;  // 1..255
        unsigned slot = 0;     // physical slot number, 1..8191
        uint8_t secondary_bus = 0;
        size_t host_bus = 0;  // index into Machine::host_buses
    };
    RootPort port;
};

/// CPUs and memory that are close to each other. `first_cpu`..`first_cpu + cpus - 1` are the
/// guest's CPU numbers.
struct NumaNode {
    unsigned first_cpu = 0;
    unsigned cpus = 0;
    uint64_t memory = 0;
    std::vector<unsigned> distances;  // to each node, 10 for itself; empty: the guest's default (10
                                      // and 20)
};

/// A root bus: pcie.0, or a pxb-pcie that gives the devices below it a NUMA node.
struct HostBus {
    std::string id;  // "pcie.0" or "numa<k>", QEMU's bus name
    std::optional<unsigned> numa_node;
    uint8_t number = 0;    // 0 for pcie.0, bus_nr for a pxb
    uint8_t last_bus = 0;  // highest bus number below it
    uint8_t pxb_slot = 0;  // device number of the pxb on pcie.0; 0 for pcie.0 itself
};

/// One virtual machine.
struct Machine {
    std::string name;  // RFC 1123 label, unique in the file
    Arch arch = Arch::kX86_64;
    Accel accel = Accel::kAuto;
    unsigned cpus = 2;               // sum over nodes
    uint64_t memory = 512ull << 20;  // sum over nodes
    std::vector<NumaNode> nodes;     // never empty; one node for a machine without `numa:`
    bool has_numa = false;           // false: `nodes` is one node that the guest is not told about
    Kernel kernel;
    std::vector<Device> devices;      // in file order
    std::vector<HostBus> host_buses;  // pcie.0 first, then by number

    /// The function called `name`, or nullptr.
    const Function* find_function(std::string_view name) const;
};

/// A whole file.
struct Model {
    unsigned version = 1;
    std::string file_name;  // as given to parse()
    std::vector<Machine> machines;

    /// The machine called `name`, or nullptr.
    const Machine* find_machine(std::string_view name) const;
};

}  // namespace mimic::topology
