// SPDX-License-Identifier: Apache-2.0
// DeviceModel: what a device says about itself, as constant data. A device's folder defines one;
// the topology reader, the outputs of `mimic plan`, `mimic verify`, the kernel bus, the guest's
// image and boot, the schema and the tables of the documents walk it. So a new device is one
// folder, and none of these names it.
//
// Data and pure functions: no YAML, no PCI objects, no process. Everything here is immutable and
// may be read from any thread. Sizes are in bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/setting.h"
#include "reg/map_view.h"

namespace mimic::model {

struct FunctionSpec;

/// A base address register of a function.
struct Bar {
    unsigned index = 0;
    uint64_t size = 0;
    bool is_64bit = false;
    bool prefetchable = false;
    bool is_io = false;

    bool operator==(const Bar&) const = default;
};

/// Where a device's ids, class and BARs come from.
enum class Source : uint8_t {
    kFacts,     // its ModelFacts
    kImages,    // images of configuration space in the topology file: keys `config`, `bars`, ..
    kExternal,  // keys of the topology file, or nobody: a server that is not ours
};

/// Which part of a machine a model is for.
enum class Part : uint8_t {
    kDevice,  // `model:` of a device
    kFabric,  // the endpoint in front of a fabric: no file names it
};

/// What a virtio device says besides (virtio 1.3, chapter 5). Its ids on PCI follow from it, and
/// its BARs are those of its transport. One MSI-X vector a queue and one for its configuration.
struct VirtioFacts {
    uint16_t id = 0;            // of chapter 5; 0: not a virtio device
    unsigned queues = 0;        // without those of properties (Property::Meaning::kQueues)
    uint16_t queue_size = 256;  // most entries of a queue: a power of two
    uint32_t config_bytes = 0;  // of its configuration space
};

/// Ids that virtio has on PCI (4.1.2): the vendor, and the device id of a modern device.
inline constexpr uint16_t kVirtioVendorId = 0x1af4;
inline constexpr uint16_t kVirtioFirstDeviceId = 0x1040;
inline constexpr uint16_t kMaxVirtioId = 0x3f;  // 0x1080 and up are no ids of virtio

/// BARs of Mimic's virtio-pci: the virtio structures in BAR0, MSI-X in BAR1; and of QEMU's in front
/// of a vhost-user backend, with its class (hw/virtio/virtio-pci.c).
inline constexpr Bar kVirtioPciBars[] = {{.index = 0, .size = 16384}, {.index = 1, .size = 4096}};
inline constexpr Bar kVhostUserPciBars[] = {
    {.index = 1, .size = 4096},
    {.index = 2, .size = 16384, .is_64bit = true, .prefetchable = true}};
inline constexpr uint32_t kVhostUserClassCode = 0x078000;

struct ModelFacts {
    std::string_view name;        // as a topology file writes it
    std::string_view old_name{};  // a name that files still may have; accepted with a note
    std::string_view doc{};       // one sentence for the table of models
    Part part = Part::kDevice;
    Source source = Source::kFacts;
    uint16_t vendor_id = 0;
    uint16_t pf_device_id = 0;
    uint16_t vf_device_id = 0;
    bool any_ids = false;     // `vendor_id` and `device_id` of a file may be others; no driver of a
                              // guest knows those by itself
    uint32_t class_code = 0;  // 24 bits: default of `class`, below a root port
    uint32_t fabric_class_code = 0;  // the same on a fabric, where Linux wants a known class
    std::span<const Bar> bars{};     // of PF and VF, without those of properties
    unsigned max_static_vfs = 0;     // functions 1..7 of the PF's slot
    unsigned max_native_vfs = 0;     // behind an SR-IOV capability
    unsigned vectors = 0;            // MSI-X vectors, without those of properties
    /// Register by which a driver says how many static VFs it shows; empty: none.
    std::string_view static_vfs_register{};
    /// A virtio device leaves out ids, BARs, VFs and vectors: they follow from this.
    VirtioFacts virtio{};

    constexpr bool is_virtio() const { return virtio.id != 0; }

    /// Ids of the PF on PCI.
    constexpr uint16_t vendor() const { return is_virtio() ? kVirtioVendorId : vendor_id; }
    constexpr uint16_t device() const {
        return is_virtio() ? static_cast<uint16_t>(kVirtioFirstDeviceId + virtio.id) : pf_device_id;
    }
};

/// How a guest knows the device. All empty: Linux has no driver for it.
struct DriverFacts {
    std::string_view name{};         // in /sys/bus/pci/drivers
    std::string_view sysfs_class{};  // folder of /sys/class
    std::string_view node_prefix{};  // of names there: "gpu" of gpu0; VF M of it is gpu0_vfM
    /// A program of the image: `<tool> regs BDF` prints registers, `<tool> info /dev/<class>N` what
    /// the driver's ioctl says, both as name=value lines.
    std::string_view tool{};
    /// Modules of the guest's own kernel that are (or belong to) its driver: loaded at boot, where
    /// that kernel has them.
    std::span<const std::string_view> kernel_modules{};
    std::string_view module_folder{};               // below the source tree; built for each kernel
    std::string_view module{};                      // file name without ".ko"
    std::span<const std::string_view> tools{};      // folders of guest/ with programs for the image
    std::span<const std::string_view> libraries{};  // folders of guest/ that those programs use
};

/// A key of a device (and of its VFs) in a topology file, with a number as its value, or a word
/// that stands for one.
struct Property {
    enum class Kind : uint8_t {
        kNumber,      // decimal or hexadecimal
        kSize,        // bytes, with a unit
        kPowerOfTwo,  // a size that is a power of two from min to max, or 0
        kWord,        // one of `words`; the value is its index
        kLetter,      // a capital letter, min to max; the value is its code
    };

    /// What it is of a VF whose `vfs:` does not say it.
    enum class OfVf : uint8_t {
        kDefault,  // vf_default
        kAsPf,     // what it is of the PF
        kCountOn,  // the PF's, plus 1 and the VF's index
    };

    /// What others than the device itself use the value for.
    enum class Meaning : uint8_t {
        kOwn,         // nothing
        kMemorySize,  // how much memory the device says that it has: shown in pictures
        kBar,      // a BAR of that size: `bar`, 64-bit, prefetchable. VFs of a native PF share it
        kVectors,  // as many MSI-X vectors
        kQueues,   // `each` virtqueues for each
    };

    std::string_view key;
    Kind kind = Kind::kNumber;
    uint64_t min = 0;
    uint64_t max = 0;
    uint64_t pf_default = 0;
    uint64_t vf_default = 0;
    std::string_view doc{};
    Meaning meaning = Meaning::kOwn;
    unsigned bar = 0;
    unsigned each = 1;     // of kQueues
    bool in_tree = false;  // the expected tree has it under its key
    OfVf of_vf = OfVf::kDefault;
    std::span<const std::string_view> words{};  // of kWord

    /// The value as a file writes it.
    std::string text(uint64_t value) const;
};

/// Something that software in a guest must see.
struct Expectation {
    enum class Layer : uint8_t {
        kRegister,  // `name` is one of the model's register map
        kSysfs,     // an attribute in the device's class folder
        kIoctl,     // a field that the driver's tool prints
    };

    /// Where the value comes from.
    enum class From : uint8_t {
        kConstant,         // `constant`
        kProperty,         // the property called `key`
        kIdentifierBytes,  // 16 bytes of `uuid:`
        kIdentifierLabel,  // the label, empty for a UUID
        kIdentifierText,   // `uuid:` as people see it
        kHasLabel,         // 1 if there is a label
        kTotalVfs,         // of a PF
        kVfIndex,          // of a VF; all ones of a PF
        kIsVf,             // 1 of a VF
        kNumaNode,         // -1: none
        kInterrupts,       // 1: the driver has its MSIs
        kState,       // changes while it runs; 0 after a reset. Layers with the same `key` agree
        kEnabledVfs,  // state, too: VFs that the driver enabled, at most those of the PF
    };

    enum class Format : uint8_t {
        kHex32,    // 0x%08x
        kHex64,    // 0x%016x
        kDecimal,  // signed for kNumaNode
        kBytes,    // hexadecimal digits; a register is an array of 32-bit words
        kDashed,   // bytes as a UUID is printed
        kText,     // as it is; a register is an array of 32-bit words, padded with zeros
    };

    enum class Whose : uint8_t {
        kAll,
        kPfWithVfs,
    };

    Layer layer = Layer::kRegister;
    std::string_view name;
    From from = From::kConstant;
    Format format = Format::kHex32;
    std::string_view key{};
    uint64_t constant = 0;
    Whose whose = Whose::kAll;

    constexpr bool is_state() const { return from == From::kState || from == From::kEnabledVfs; }
};

/// Everything that a device says about itself.
struct DeviceModel {
    ModelFacts facts;
    DriverFacts driver{};
    std::span<const Property> properties{};
    std::span<const Expectation> expects{};
    const reg::MapView* map = nullptr;         // registers of BAR 0; nullptr: none that are known
    const reg::MapView* config_map = nullptr;  // registers of a virtio device's configuration space
    Settings settings{};                       // keys of a device, not of VFs
    /// What is wrong with a function whose keys are each right; nullptr: nothing can be. Pure.
    std::vector<SettingProblem> (*check)(const FunctionSpec& function) = nullptr;

    /// Index of the property called `key`, or properties.size().
    size_t find_property(std::string_view key) const;

    /// Index of the first property with this meaning, or properties.size().
    size_t find_property(Property::Meaning meaning) const;
};

/// The models that a program knows. Borrowed: constants of the program.
using Models = std::span<const DeviceModel* const>;

/// The model of `models` that a file calls `name`, by its name or its old one; or nullptr.
const DeviceModel* find_model(Models models, std::string_view name);

/// The names of those that a file may have, for messages.
std::vector<std::string_view> model_names(Models models);

}  // namespace mimic::model
