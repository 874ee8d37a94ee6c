// SPDX-License-Identifier: Apache-2.0
// What virtio-sst says about itself.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "base/result.h"
#include "devices/virtio_sst/registers.h"
#include "devices/virtio_sst/settings.h"
#include "model/function_spec.h"

namespace mimic::virtio {
class Device;
}

namespace mimic::virtio_sst {

/// Names of the properties.
inline constexpr std::string_view kMemoryKey = "memory";
inline constexpr std::string_view kQueuesKey = "queues";
inline constexpr std::string_view kIdKey = "id";

inline constexpr uint16_t kQueueEntries = 256;  // Linux SST has 128; 64 requests take three each

inline constexpr std::array kProperties = {
    model::Property{.key = kMemoryKey,
                    .kind = model::Property::Kind::kSize,
                    .min = 4096,
                    .max = uint64_t{1} << 50,
                    .pf_default = uint64_t{256} << 20,  // as Linux SST's
                    .doc = "that READ and WRITE reach. Costs what was written",
                    .meaning = model::Property::Meaning::kMemorySize},
    model::Property{.key = kQueuesKey,
                    .kind = model::Property::Kind::kNumber,
                    .min = 1,
                    .max = SST_MAX_QUEUE_PAIRS,
                    .pf_default = 1,
                    .doc = "queue pairs",
                    .meaning = model::Property::Meaning::kQueues,
                    .each = 2,
                    .in_tree = true},
    model::Property{.key = kIdKey,
                    .kind = model::Property::Kind::kNumber,
                    .min = 0,
                    .max = UINT32_MAX,
                    .pf_default = 0,
                    .doc = "number of the device, in its configuration space",
                    .in_tree = true},
};

inline constexpr std::array<std::string_view, 1> kGuestTools = {"sst-test"};
inline constexpr std::array<std::string_view, 1> kGuestLibraries = {"libsst"};

namespace expect {

using model::Expectation;
using From = Expectation::From;
using Format = Expectation::Format;
using Layer = Expectation::Layer;

/// In the class folder (kernel/virtio-sst/sst_sysfs.c).
inline constexpr std::array kAll = {
    Expectation{Layer::kSysfs, "version", From::kConstant, Format::kHex32, "", SST_VERSION},
    Expectation{Layer::kSysfs, "device_id", From::kProperty, Format::kDecimal, kIdKey},
    Expectation{Layer::kSysfs, "queue_pairs", From::kProperty, Format::kDecimal, kQueuesKey},
};

}  // namespace expect

inline constexpr reg::MapView kMapView = kMap.view();

/// What is wrong with the settings of `function` that are each right.
std::vector<model::SettingProblem> check_settings(const model::FunctionSpec& function);

inline constexpr model::DeviceModel kModel{
    .facts = {.name = "virtio-sst",
              .doc = "an accelerator that a simulator answers for: built in, or yours behind a "
                     "socket",
              .class_code = 0x120000,  // processing accelerator
              .fabric_class_code = 0x120000,
              .virtio = {.id = SST_VIRTIO_ID,
                         .queues = 1,  // of events
                         .queue_size = kQueueEntries,
                         .config_bytes = kConfigBytes}},
    .driver = {.name = "virtio-pci",
               .sysfs_class = "sst",
               .node_prefix = "sst",
               .module_folder = "kernel/virtio-sst",
               .module = "virtio-sst",
               .tools = kGuestTools,
               .libraries = kGuestLibraries},
    .properties = kProperties,
    .expects = expect::kAll,
    .config_map = &kMapView,
    .settings = settings::kAll,
    .check = check_settings};

/// Makes the device. Its simulator is made when it is plugged in. Errors: those of
/// VirtioSst::create(). Thread-safe.
Result<std::unique_ptr<virtio::Device>> make_device(const model::FunctionRequest& request);

}  // namespace mimic::virtio_sst
