// SPDX-License-Identifier: Apache-2.0
// What vgpu-stub says about itself.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "base/result.h"
#include "devices/vgpu_stub/registers.h"
#include "model/function_spec.h"

namespace mimic::pci {
class Function;
}

namespace mimic::vgpu_stub {

// The original vgpu-stub. The subsystem ids are what QEMU gives a device that has none of its own.
inline constexpr uint16_t kVendorId = 0x1af4;
inline constexpr uint16_t kDeviceId = 0x1111;
inline constexpr uint16_t kSubsystemId = 0x1100;
inline constexpr uint32_t kClassCode = 0x120000;  // processing accelerator
inline constexpr uint8_t kRevision = 2;
inline constexpr uint32_t kMaxNativeVfs = 64;  // arbitrary

/// Names of the properties.
inline constexpr std::string_view kVmIdKey = "vm_id";
inline constexpr std::string_view kPoolIdKey = "pool_id";
inline constexpr std::string_view kPriorityKey = "priority";
inline constexpr std::string_view kExtensionsKey = "extensions";
inline constexpr std::string_view kLengthErrorKey = "length_error";

inline constexpr std::array kBars = {model::Bar{.index = 0, .size = kBarSizeBytes},
                                     model::Bar{.index = kMsixBar, .size = kMsixBarBytes}};

inline constexpr std::array<std::string_view, 3> kPriorityWords = {"low", "medium", "high"};
inline constexpr std::array<std::string_view, 2> kTruthWords = {"false", "true"};
inline constexpr std::array<std::string_view, 2> kLengthErrorWords = {"2", "9"};

inline constexpr std::array kProperties = {
    model::Property{.key = kVmIdKey,
                    .kind = model::Property::Kind::kNumber,
                    .max = UINT32_MAX,
                    .doc = "by which the mediator knows it",
                    .in_tree = true,
                    .of_vf = model::Property::OfVf::kCountOn},
    model::Property{.key = kPoolIdKey,
                    .kind = model::Property::Kind::kLetter,
                    .min = 'A',
                    .max = 'Z',
                    .pf_default = 'A',
                    .doc = "pool of backends",
                    .of_vf = model::Property::OfVf::kAsPf},
    model::Property{.key = kPriorityKey,
                    .kind = model::Property::Kind::kWord,
                    .pf_default = 1,
                    .doc = "of its requests",
                    .of_vf = model::Property::OfVf::kAsPf,
                    .words = kPriorityWords},
    model::Property{
        .key = kExtensionsKey,
        .kind = model::Property::Kind::kWord,
        .pf_default = 1,
        .doc = "interrupts, requests in guest memory and the ring; without: as the original's",
        .of_vf = model::Property::OfVf::kAsPf,
        .words = kTruthWords},
    model::Property{
        .key = kLengthErrorKey,
        .kind = model::Property::Kind::kWord,
        .doc = "ERROR_CODE of a request without a byte: the original's, or INVALID_LENGTH",
        .of_vf = model::Property::OfVf::kAsPf,
        .words = kLengthErrorWords},
};

namespace settings {

using model::Setting;
using Kind = Setting::Kind;

// In the order of compute::Protocol.
inline constexpr std::array<std::string_view, 4> kProtocolWords = {"packet", "v1", "v2", "v3"};

inline constexpr std::array kMediator = {
    Setting{.key = "socket",
            .kind = Kind::kPath,
            .max = 4096,
            .doc = "where it listens; `<vm_id>` in it becomes the device's number"},
    Setting{.key = "protocol",
            .kind = Kind::kChoice,
            .words = kProtocolWords,
            .fallback = "v3",
            .doc = "`packet` is the original vgpu-stub's, `v1` and `v2` the public mediator's, "
                   "`v3` Mimic's own"},
    Setting{.key = "answer_timeout",
            .kind = Kind::kDuration,
            .min = 1'000'000'000,
            .max = 3'600'000'000'000'000,
            .fallback = "35s",
            .doc = "of a request; then TIMEOUT (4)"},
    Setting{.key = "resume_patience",
            .kind = Kind::kDuration,
            .max = 3'600'000'000'000'000,
            .fallback = "10s",
            .doc = "v3: how long requests wait for a mediator that has gone"},
};

inline constexpr std::array kAll = {
    Setting{.key = "mediator",
            .kind = Kind::kGroup,
            .settings = kMediator,
            .doc = "who carries requests out; without it each ends with MEDIATOR_UNAVAILABLE (3)"},
};

}  // namespace settings

inline constexpr std::array<std::string_view, 1> kGuestTools = {"vgpu-test"};
inline constexpr std::array<std::string_view, 1> kGuestLibraries = {"libvgpu"};

namespace expect {

using model::Expectation;
using From = Expectation::From;
using Format = Expectation::Format;
using Layer = Expectation::Layer;

inline constexpr std::array kAll = {
    // Through BAR 0.
    Expectation{Layer::kRegister, "POOL_ID", From::kProperty, Format::kHex32, kPoolIdKey},
    Expectation{Layer::kRegister, "PRIORITY", From::kProperty, Format::kHex32, kPriorityKey},
    Expectation{Layer::kRegister, "VM_ID", From::kProperty, Format::kHex32, kVmIdKey},
    Expectation{Layer::kRegister, "PROTO_VERSION", From::kConstant, Format::kHex32, "",
                VGPU_PROTOCOL_VERSION},
    // In the class folder (kernel/vgpu-stub).
    Expectation{Layer::kSysfs, "pool_id", From::kProperty, Format::kText, kPoolIdKey},
    Expectation{Layer::kSysfs, "priority", From::kProperty, Format::kText, kPriorityKey},
    Expectation{Layer::kSysfs, "vm_id", From::kProperty, Format::kDecimal, kVmIdKey},
    Expectation{Layer::kSysfs, "protocol_version", From::kConstant, Format::kHex32, "",
                VGPU_PROTOCOL_VERSION},
};

}  // namespace expect

inline constexpr reg::MapView kMapView = kMap.view();

/// What is wrong with the settings of `function` that are each right.
std::vector<model::SettingProblem> check_settings(const model::FunctionSpec& function);

inline constexpr model::DeviceModel kModel{
    .facts = {.name = "vgpu-stub",
              .doc = "a vGPU: requests go to a mediator, which shares backends among machines",
              .vendor_id = kVendorId,
              .pf_device_id = kDeviceId,
              .vf_device_id = kDeviceId,
              .any_ids = true,
              .class_code = kClassCode,
              .fabric_class_code = kClassCode,
              .bars = kBars,
              .max_native_vfs = kMaxNativeVfs,
              .vectors = kVectors},
    .driver = {.name = "vgpu-stub",
               .sysfs_class = "vgpu",
               .node_prefix = "vgpu",
               .module_folder = "kernel/vgpu-stub",
               .module = "vgpu-stub",
               .tools = kGuestTools,
               .libraries = kGuestLibraries},
    .properties = kProperties,
    .expects = expect::kAll,
    .map = &kMapView,
    .settings = settings::kAll,
    .check = check_settings};

/// Makes the function; it looks for its mediator when it is plugged in. Errors: those of
/// VgpuStub::create(). Thread-safe.
Result<std::unique_ptr<pci::Function>> make_function(const model::FunctionRequest& request);

}  // namespace mimic::vgpu_stub
