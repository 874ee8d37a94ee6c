// SPDX-License-Identifier: Apache-2.0
// Model: what a topology file says, after validation. Plain values; every output (QEMU arguments,
// libvirt XML, expected tree, picture) and every check of a running guest is derived from it, and
// from nothing else.
//
// A Model that parse() returned is complete: defaults are filled in, templates and counts are
// expanded, names are unique and every function has its PCI address. All types here are immutable
// by convention and may be read from any thread. Sizes are in bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/function_spec.h"
#include "yaml/diagnostics.h"

namespace mimic::topology {

using model::Bdf;
using model::FunctionSpec;
using model::Link;
using BarSpec = model::Bar;
using CloneSpec = model::CloneSpec;

/// Highest numbers that a file may ask for. Those without a source are arbitrary but far above any
/// sane use.
inline constexpr unsigned kMaxMachines = 64;
inline constexpr unsigned kMaxFunctions = 4096;  // in one file
inline constexpr unsigned kMaxCpus = 255;        // xAPIC ids are eight bits and 255 is broadcast
inline constexpr unsigned kMaxNumaNodes = 15;    // bus numbers 0x10, 0x20 .. 0xf0 (placement.h)
inline constexpr unsigned kMaxSwitches = 4096;   // in one file
inline constexpr unsigned kMaxSlot = 8191;       // 13 bits in Slot Capabilities (PCIe 6.0, 7.5.3.9)
inline constexpr unsigned kMaxShares = 7;        // of a machine: functions of one slot of pcie.0
inline constexpr unsigned kMaxHostFiles = 16;    // in a list of files of the host; arbitrary
inline constexpr unsigned kBusesPerDomain = 256;
inline constexpr uint64_t kMinMachineMemory = 128ull << 20;
inline constexpr uint64_t kMaxMachineMemory = 4ull << 40;
inline constexpr uint64_t kMinMemoryBar = 4096;
inline constexpr uint32_t kFirstFabricDomain = 0x10000;  // Linux's vmd driver: above all of ACPI

// NOLINTNEXTLINE(readability-identifier-naming): the name of the architecture.
enum class Arch : uint8_t { kX86_64, kRiscv64 };

/// kMsi: devices may send messages. kIntx: the machine has no controller for those, and every
/// device interrupts through its INTx line.
enum class Interrupts : uint8_t { kMsi, kIntx };

/// How time passes in a guest. kHost: as here. kLockStep: by instructions alone, the same in each
/// run (QEMU's icount), with a clock that stands while a device answers.
enum class GuestTime : uint8_t { kHost, kLockStep };

/// kAuto: the caller probes whether a guest really runs under KVM, and says kTcg or kKvm in the
/// RunContext.
enum class Accel : uint8_t { kAuto, kTcg, kKvm };

/// What starts the boot loader of an image. kBios: SeaBIOS. kUefi: OVMF.
enum class Firmware : uint8_t { kBios, kUefi };

/// kShared: one device host serves it with others. kProcess: it has a process of its own.
enum class Isolation : uint8_t { kShared, kProcess };

/// How a virtio device reaches the VMM. kPci: as a PCI function over vfio-user, like all others.
/// kVhostUser: QEMU has the PCI function, and the device is a vhost-user backend.
enum class Transport : uint8_t { kPci, kVhostUser };

/// A file or folder of the host that a topology file names: absolute, or relative to that file.
struct HostPath {
    std::string path;
    yaml::Location where;  // of the name; line 0: the command line named it

    bool empty() const { return path.empty(); }
};

/// What a guest boots. Exactly one of `release`, `file` and `image` is not empty.
struct Kernel {
    std::string release;  // "6.1", "6.12" or "newest": Debian's kernel with Mimic's initramfs
    HostPath file;        // a kernel of the user's own, with Mimic's initramfs
    std::string image;    // path of a qcow2 cloud image, absolute or relative to the topology file
    std::vector<HostPath> modules;  // folders of kernel modules; direct boot only
    std::vector<HostPath> initrd;   // cpio archives and scripts for the initramfs; direct boot only
    std::string args;  // appended to the kernel command line (direct boot only); printable ASCII
    std::string run;   // shell command that the guest runs before it is ready; direct boot only

    Firmware firmware = Firmware::kBios;  // image boot only

    bool is_own() const { return !file.empty(); }
    /// The release, or the path of what is booted in its place.
    const std::string& name() const {
        return is_own() ? file.path : image.empty() ? release : image;
    }
};

/// A folder of the host that a guest sees.
struct Share {
    HostPath host;
    std::string guest;  // where: an absolute path of words of a-z, A-Z, 0-9 and "._+@-"
    bool readonly = false;
};

/// What is wrong with a place in a guest for a share, or nothing.
std::optional<std::string> guest_folder_problem(std::string_view path);

/// A device: on a root port of QEMU's of its own (an endpoint), or below a port of a fabric.
struct DeviceSpec {
    std::string name;                           // RFC 1123 label, unique in its machine
    const model::DeviceModel* model = nullptr;  // constant of the program; never null
    std::optional<unsigned> numa_node;
    Link link;
    Isolation isolation = Isolation::kShared;
    Transport transport = Transport::kPci;  // the other one of virtio devices only
    std::vector<FunctionSpec> functions;    // PF first, then VFs by index; never empty

    bool on_fabric = false;
    std::optional<size_t> parent_switch;  // index into Machine::switches
    std::optional<size_t> fabric;         // index into Machine::fabrics; has a value if on_fabric
    size_t fabric_port = 0;               // index into Fabric::ports: the port above
    unsigned slot = 0;                    // physical slot number, 1..kMaxSlot
    bool hotplug = false;                 // the slot above is hot-plug capable
    bool plugged = true;                  // false: the slot is empty at boot
    bool acs = true;                      // the port above has Access Control Services
    bool ari = true;                      // the port above forwards ARI
    std::vector<uint8_t> port_config{};   // the port above looks like this; empty: Mimic's own
    bool native_sriov = false;            // the PF has the SR-IOV capability; false: static VFs

    /// The root port of QEMU's that holds an endpoint. `id` is QEMU's; (chassis, slot) is unique in
    /// the machine.
    struct RootPort {
        std::string id;
        Bdf bdf;               // of the port itself
        unsigned chassis = 0;  // 1..255
        unsigned slot = 0;     // physical slot number, 1..8191
        uint8_t secondary_bus = 0;
        size_t host_bus = 0;  // index into Machine::host_buses
    };
    RootPort port;  // without meaning on a fabric

    bool is_clone() const { return functions.front().clone.has_value(); }
    bool is_external() const { return functions.front().external.has_value(); }
    bool is_vhost_user() const { return transport == Transport::kVhostUser; }

    /// Buses besides that of the device which its VFs need on a fabric.
    unsigned vf_buses() const;
};

/// A PCIe switch of a fabric: an upstream port and a downstream port for each switch and device
/// that is attached to it.
struct SwitchSpec {
    std::string name;  // RFC 1123 label, unique in its machine
    std::optional<unsigned> numa_node;
    std::optional<size_t> parent;        // index into Machine::switches; none: on a root port
    Link link;                           // above it
    bool acs = true;                     // of its downstream ports
    std::vector<uint8_t> config{};       // of its upstream port; empty: Mimic's own
    std::vector<uint8_t> port_config{};  // of the port above it; the same
};

/// A PCI-PCI bridge of a fabric, with the bus numbers that it has at start.
struct PortSpec {
    enum class Kind : uint8_t { kRootPort, kSwitchUpstream, kSwitchDownstream };

    /// "<device or switch>.port" for the port above that, "<switch>.up" for an upstream port. No
    /// device can have such a name.
    std::string name;
    Kind kind = Kind::kRootPort;
    std::optional<size_t> parent;  // index into Fabric::ports; none: on bus 0
    Bdf bdf;
    uint8_t secondary_bus = 0;
    uint8_t subordinate_bus = 0;
    Link link;
    unsigned slot = 0;  // physical slot number; 0: no slot
    bool hotplug = false;
    bool acs = false;               // never of an upstream port
    bool ari = false;               // ARI forwarding; never of an upstream port
    std::optional<size_t> device;   // index into Machine::devices of what is plugged below
    std::vector<uint8_t> config{};  // what it looks like; empty: Mimic's own
};

/// A whole PCI domain behind one vfio-user endpoint, which the guest's vmd driver takes for an
/// Intel Volume Management Device. Bus 0 of the domain holds the root ports.
struct FabricSpec {
    const model::DeviceModel* model = nullptr;  // of the endpoint in front; never null after
                                                // parse()
    std::string name;  // "fabric", or "fabric<node>" on a NUMA node; its socket's name
    std::optional<unsigned> numa_node;
    Isolation isolation = Isolation::kShared;
    DeviceSpec::RootPort port;  // of QEMU's, id "rpf<n>", holds the VMD endpoint
    Bdf bdf;                    // of the VMD endpoint, in domain 0
    uint32_t domain = kFirstFabricDomain;
    unsigned buses = 1;              // highest bus number plus one
    uint64_t config_bar_size = 0;    // BAR0 of the VMD endpoint: ECAM, 1 MiB a bus
    uint64_t memory32_bar_size = 0;  // BAR2: window of 32-bit BARs
    uint64_t memory64_bar_size = 0;  // BAR4: window of 64-bit prefetchable BARs
    std::vector<PortSpec> ports;     // a port comes before those below it
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
    Interrupts interrupts = Interrupts::kMsi;
    Accel accel = Accel::kAuto;  // kTcg for an architecture that is always emulated
    GuestTime time = GuestTime::kHost;
    uint64_t seed = 1;               // of what is random in a guest whose time is kLockStep
    unsigned cpus = 2;               // sum over nodes
    uint64_t memory = 512ull << 20;  // sum over nodes
    std::vector<NumaNode> nodes;     // never empty; one node for a machine without `numa:`
    bool has_numa = false;           // false: `nodes` is one node that the guest is not told about
    Kernel kernel;
    std::vector<Share> shares;         // in file order, at most kMaxShares
    std::vector<SwitchSpec> switches;  // in file order
    std::vector<DeviceSpec> devices;   // in file order
    std::vector<FabricSpec> fabrics;   // by domain, which is by BDF of the VMD endpoint
    std::vector<HostBus> host_buses;   // pcie.0 first, then by number

    /// The function called `name`, or nullptr.
    const FunctionSpec* find_function(std::string_view name) const;

    /// The first device that looks like another by its images, or nullptr.
    const DeviceSpec* find_clone() const;

    /// The bridge above `device`: a root port of QEMU's, or a port of its fabric.
    Bdf port_above(const DeviceSpec& device) const;
};

/// A whole file.
struct Model {
    unsigned version = 1;
    std::string file_name;           // as given to parse()
    std::vector<std::string> notes;  // lines for people: old words that the file has
    std::vector<Machine> machines;

    /// The machine called `name`, or nullptr.
    const Machine* find_machine(std::string_view name) const;
};

}  // namespace mimic::topology
