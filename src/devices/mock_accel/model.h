// SPDX-License-Identifier: Apache-2.0
// What mock-accel says about itself: the one place from which the topology language, `mimic plan`,
// `mimic verify`, the kernel bus, the guest's image and the documents know it.
#pragma once

#include <array>
#include <memory>

#include "base/result.h"
#include "devices/mock_accel/registers.h"
#include "model/function_spec.h"

namespace mimic::pci {
class Function;
}

namespace mimic::mock_accel {

inline constexpr uint16_t kVendorId = 0x1de5;
inline constexpr uint16_t kPfDeviceId = 0x0001;
inline constexpr uint16_t kVfDeviceId = 0x0002;
inline constexpr uint32_t kMaxVfs = 7;         // static ones: functions 1 to 7 of the slot
inline constexpr uint32_t kMaxNativeVfs = 64;  // arbitrary: what a native PF of ours may have
inline constexpr uint64_t kDefaultPfMemoryBytes = uint64_t{16} << 30;
inline constexpr uint64_t kDefaultVfMemoryBytes = uint64_t{2} << 30;
inline constexpr uint32_t kDefaultCapabilities = 0x00000001;  // compute
inline constexpr uint32_t kDefaultPfRings = 4;
inline constexpr uint32_t kDefaultVfRings = 1;
inline constexpr unsigned kMemoryBar = 2;
inline constexpr uint64_t kMinMemoryBarBytes = 4096;

/// Names of the properties.
inline constexpr std::string_view kMemoryKey = "memory";
inline constexpr std::string_view kCapabilitiesKey = "capabilities";
inline constexpr std::string_view kRingsKey = "rings";
inline constexpr std::string_view kMemoryBarKey = "memory_bar";

inline constexpr std::array kBars = {model::Bar{.index = 0, .size = kBarSizeBytes}};
inline constexpr std::array<std::string_view, 2> kGuestTools = {"mock-accel-bench",
                                                                "mock-accel-ctl"};
inline constexpr std::array<std::string_view, 1> kGuestLibraries = {"libmockaccel"};

inline constexpr std::array kProperties = {
    model::Property{.key = kMemoryKey,
                    .kind = model::Property::Kind::kSize,
                    .min = 1,
                    .max = uint64_t{1} << 60,  // only a number in a register
                    .pf_default = kDefaultPfMemoryBytes,
                    .vf_default = kDefaultVfMemoryBytes,
                    .doc = "the MEMORY_SIZE register. Costs no memory",
                    .meaning = model::Property::Meaning::kMemorySize},
    model::Property{.key = kMemoryBarKey,
                    .kind = model::Property::Kind::kPowerOfTwo,
                    .min = kMinMemoryBarBytes,
                    .max = uint64_t{64} << 30,
                    .doc = "device memory, BAR2. All devices of a machine together: 512G of "
                           "addresses",
                    .meaning = model::Property::Meaning::kBar,
                    .bar = kMemoryBar},
    model::Property{.key = kRingsKey,
                    .kind = model::Property::Kind::kNumber,
                    .min = 0,
                    .max = kMaxRings,
                    .pf_default = kDefaultPfRings,
                    .vf_default = kDefaultVfRings,
                    .doc = "DMA rings",
                    .meaning = model::Property::Meaning::kVectors,
                    .in_tree = true},
    model::Property{.key = kCapabilitiesKey,
                    .kind = model::Property::Kind::kNumber,
                    .min = 0,
                    .max = UINT32_MAX,
                    .pf_default = kDefaultCapabilities,
                    .vf_default = kDefaultCapabilities,
                    .doc = "the CAPABILITIES register"},
};

namespace expect {

using model::Expectation;
using From = Expectation::From;
using Format = Expectation::Format;
using Layer = Expectation::Layer;

/// Key of what changes while the device runs.
inline constexpr std::string_view kStatus = "status";

inline constexpr std::array kAll = {
    // Through BAR 0.
    Expectation{Layer::kRegister, "DEVICE_ID", From::kConstant, Format::kHex32, "", kDeviceIdValue},
    Expectation{Layer::kRegister, "REVISION", From::kConstant, Format::kHex32, "", kRevision},
    Expectation{Layer::kRegister, "UUID", From::kIdentifierBytes, Format::kBytes},
    Expectation{Layer::kRegister, "MEMORY_SIZE", From::kProperty, Format::kHex64, kMemoryKey},
    Expectation{Layer::kRegister, "CAPABILITIES", From::kProperty, Format::kHex32,
                kCapabilitiesKey},
    Expectation{Layer::kRegister, "STATUS", From::kState, Format::kHex32, kStatus},
    Expectation{Layer::kRegister, "FW_VERSION", From::kConstant, Format::kHex32, "", kFwVersion},
    Expectation{Layer::kRegister, "TOTAL_VFS", From::kTotalVfs, Format::kHex32},
    Expectation{Layer::kRegister, "VF_INDEX", From::kVfIndex, Format::kHex32},
    Expectation{Layer::kRegister, "NUM_VFS", From::kEnabledVfs, Format::kHex32},
    Expectation{Layer::kRegister, "LABEL", From::kIdentifierLabel, Format::kText},
    Expectation{Layer::kRegister, "RING_COUNT", From::kProperty, Format::kHex32, kRingsKey},
    Expectation{Layer::kRegister, "LOCAL_MEMORY_SIZE", From::kProperty, Format::kHex64,
                kMemoryBarKey},
    // In the class folder (kernel/mock-accel/mock_accel_sysfs.c).
    Expectation{Layer::kSysfs, "uuid", From::kIdentifierText, Format::kText},
    Expectation{Layer::kSysfs, "memory_size", From::kProperty, Format::kDecimal, kMemoryKey},
    Expectation{Layer::kSysfs, "numa_node", From::kNumaNode, Format::kDecimal},
    Expectation{Layer::kSysfs, "capabilities", From::kProperty, Format::kHex32, kCapabilitiesKey},
    Expectation{Layer::kSysfs, "fw_version", From::kConstant, Format::kHex32, "", kFwVersion},
    Expectation{Layer::kSysfs, "status", From::kState, Format::kHex32, kStatus},
    Expectation{.layer = Layer::kSysfs,
                .name = "sriov_totalvfs",
                .from = From::kTotalVfs,
                .format = Format::kDecimal,
                .whose = Expectation::Whose::kPfWithVfs},
    Expectation{.layer = Layer::kSysfs,
                .name = "sriov_numvfs",
                .from = From::kEnabledVfs,
                .format = Format::kDecimal,
                .whose = Expectation::Whose::kPfWithVfs},
    // By the driver's GET_INFO (kernel/mock-accel/mock_accel_ioctl.h).
    Expectation{Layer::kIoctl, "device_id", From::kConstant, Format::kHex32, "", kDeviceIdValue},
    Expectation{Layer::kIoctl, "revision", From::kConstant, Format::kHex32, "", kRevision},
    Expectation{Layer::kIoctl, "vf_index", From::kVfIndex, Format::kHex32},
    Expectation{Layer::kIoctl, "capabilities", From::kProperty, Format::kHex32, kCapabilitiesKey},
    Expectation{Layer::kIoctl, "label", From::kIdentifierLabel, Format::kText},
    Expectation{Layer::kIoctl, "fw_version", From::kConstant, Format::kHex32, "", kFwVersion},
    Expectation{Layer::kIoctl, "uuid", From::kIdentifierBytes, Format::kDashed},
    Expectation{Layer::kIoctl, "memory_size", From::kProperty, Format::kDecimal, kMemoryKey},
    Expectation{Layer::kIoctl, "total_vfs", From::kTotalVfs, Format::kDecimal},
    Expectation{Layer::kIoctl, "numa_node", From::kNumaNode, Format::kDecimal},
    Expectation{Layer::kIoctl, "vf", From::kIsVf, Format::kDecimal},
    Expectation{Layer::kIoctl, "has_label", From::kHasLabel, Format::kDecimal},
    Expectation{Layer::kIoctl, "has_irq", From::kInterrupts, Format::kDecimal},
    Expectation{Layer::kIoctl, "status", From::kState, Format::kHex32, kStatus},
};

}  // namespace expect

inline constexpr reg::MapView kMapView = kMap.view();

inline constexpr model::DeviceModel kModel{
    .facts =
        {
            .name = "mock-accel",
            .doc = "an accelerator that computes nothing, moves memory, and has a driver of its "
                   "own",
            .vendor_id = kVendorId,
            .pf_device_id = kPfDeviceId,
            .vf_device_id = kVfDeviceId,
            .class_code = 0x000000,         // mock-device shows "Non-VGA unclassified device"
            .fabric_class_code = 0x120000,  // processing accelerator
            .bars = kBars,
            .max_static_vfs = kMaxVfs,
            .max_native_vfs = kMaxNativeVfs,
            .vectors = 1,
            .static_vfs_register = "NUM_VFS",
        },
    .driver =
        {
            .name = "mock-accel",
            .sysfs_class = "mock-accel",
            .node_prefix = "mock",
            .tool = "mock-accel-ctl",
            .module_folder = "kernel/mock-accel",
            .module = "mock_accel",
            .tools = kGuestTools,
            .libraries = kGuestLibraries,
        },
    .properties = kProperties,
    .expects = expect::kAll,
    .map = &kMapView,
};

/// Makes the function. Errors: those of MockAccel::create(). Thread-safe.
Result<std::unique_ptr<pci::Function>> make_function(const model::FunctionRequest& request);

}  // namespace mimic::mock_accel
