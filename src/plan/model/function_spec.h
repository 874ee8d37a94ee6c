// SPDX-License-Identifier: Apache-2.0
// FunctionSpec: one PCI function as a topology file describes it, after validation. Plain values: a
// device's folder makes a pci::Function of it, the outputs of `mimic plan` print it, `mimic verify`
// expects it.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/device_model.h"

namespace mimic::model {

/// A PCI address. Immutable value, ordered as lspci orders.
struct Bdf {
    uint32_t domain = 0;  // 16 bits, but 0x10000 and up for what Linux makes (VMD)
    uint8_t bus = 0;
    uint8_t device = 0;    // 0..31
    uint8_t function = 0;  // 0..7

    auto operator<=>(const Bdf&) const = default;

    /// "0000:11:00.0" or "10000:01:00.0", as in /sys/bus/pci/devices.
    std::string str() const;
};

/// Link of a device and the port above it, as maximum and as trained value.
struct Link {
    unsigned generation = 4;  // 1..6: 2.5, 5, 8, 16, 32, 64 GT/s
    unsigned width = 16;      // 1, 2, 4, 8, 12, 16 or 32 lanes

    bool operator==(const Link&) const = default;

    /// "2.5", "5", "8", "16", "32" or "64" GT/s.
    std::string_view gigatransfers() const;
};

/// `uuid:` of a device, as registers and sysfs show it. A parseable RFC 4122 UUID fills `bytes`,
/// prints canonically and leaves `label` empty; any other string of 1..63 printable ASCII
/// characters is the label, prints as is, and its first 16 characters (zero padded) are `bytes`.
struct IdentifierSpec {
    std::string text;                 // as people see it
    std::array<uint8_t, 16> bytes{};  // in register order
    std::string label;                // empty for a UUID
};

/// What a function whose model has Source::kImages looks like.
struct CloneSpec {
    std::vector<uint8_t> config{};     // 64, 256 or 4096 bytes of configuration space
    uint64_t rom_size = 0;             // of the expansion ROM BAR; 0: none
    std::vector<Bar> vf_bars;          // of one VF; empty: VFs cannot be enabled
    std::vector<uint8_t> vf_config{};  // of a VF; empty: not known
    uint32_t total_vfs = 0;            // these follow from `config`; 0 without vf_bars
    unsigned first_vf_offset = 0;
    unsigned vf_stride = 0;
};

/// What a topology file says of a server that is not ours (Source::kExternal). What it leaves out
/// is not known, and not checked.
struct ExternalSpec {
    struct Register {
        std::string name;     // letters, digits, '_', '-', '.'
        uint64_t offset = 0;  // in BAR 0, a multiple of `bytes`
        unsigned bytes = 4;   // 1, 2, 4 or 8
        uint64_t value = 0;
    };

    std::string socket;                // of one that runs; absolute, or relative to the file
    std::vector<std::string> command;  // or: one to start; "{socket}" becomes the socket's path
    std::optional<uint16_t> vendor_id{};
    std::optional<uint16_t> device_id{};
    std::optional<uint32_t> class_code{};
    bool has_bars = false;  // those of the function are all that it has
    std::string driver;     // that must have bound
    std::vector<Register> registers{};
};

/// One PCI function. Below a root port: one socket, one vfio-user-pci; function 0 is the PF, 1..N
/// are its static VFs. On a fabric a VF is there while the PF's SR-IOV capability covers it.
struct FunctionSpec {
    const DeviceModel* model = nullptr;  // constant of the program; never null after validation
    std::string name;  // unique in its machine: the device's name, VFs "<device>-vf<index>"
    Bdf bdf{};         // as the guest will number it
    uint16_t vendor_id = 0;
    uint16_t device_id = 0;
    uint32_t class_code = 0;  // 24 bits
    std::vector<Bar> bars;    // of a native VF: its own share of the PF's VF BARs
    IdentifierSpec identifier{};
    std::vector<uint64_t> values{};      // of the model's properties, in their order
    SettingValue settings{};             // of the model's settings: a group of them
    bool lock_step = false;              // its machine has time: lock-step
    uint32_t total_vfs = 0;              // of a PF; 0 for a VF
    std::optional<uint32_t> vf_index{};  // of a VF, from 0
    uint8_t number = 0;                  // of a clone: its function number in the device
    std::optional<CloneSpec> clone{};    // of a clone; its VFs are no functions here

    std::optional<ExternalSpec> external{};  // of an external device

    bool has_messages = true;  // the machine has an interrupt controller that takes MSIs

    bool is_vf() const { return vf_index.has_value(); }

    /// Value of the model's property called `key`; 0 if it has none.
    uint64_t value(std::string_view key) const;

    /// Values with a meaning to others than the device; 0 if the model has no such property.
    uint64_t memory_size() const { return value(Property::Meaning::kMemorySize); }
    uint64_t memory_bar() const { return value(Property::Meaning::kBar); }

    /// How a guest knows it: the model's, unless a file gave it ids that its driver does not know.
    const DriverFacts& driver() const;

    /// Virtqueues; 0 unless the model is a virtio device.
    unsigned queues() const;

    /// MSI-X vectors.
    unsigned vectors() const;

private:
    uint64_t value(Property::Meaning meaning) const;
};

/// What a device's folder gets to make a pci::Function, or a virtio::Device.
struct FunctionRequest {
    const FunctionSpec& function;
    /// VFs that the SR-IOV capability of this PF brings; empty without.
    std::span<const FunctionSpec> native_vfs{};
    Link link{};
    bool multifunction = false;  // function 0 of a slot with more
};

/// The text in which layer and format show the value, for a function on `numa_node` (-1: none). Of
/// state: what it is after a reset.
std::string expected_text(const Expectation& expectation, const FunctionSpec& function,
                          int numa_node);

/// `value` in a number's format.
std::string formatted(Expectation::Format format, uint64_t value);

/// True if the function shows it at all.
bool applies(const Expectation& expectation, const FunctionSpec& function);

/// "<prefix>N" or, of a VF, "<prefix>N_vfM": the name in the driver's class folder if the device is
/// the Nth of its driver. Empty without a driver.
std::string node_name(const FunctionSpec& function, size_t index);

/// The same if the PF of the device is called `pf_name` there.
std::string node_name_below(const std::string& pf_name, const FunctionSpec& function);

}  // namespace mimic::model
