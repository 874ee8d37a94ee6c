// SPDX-License-Identifier: Apache-2.0
// What virtio-rng says about itself.
#pragma once

#include <array>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "model/function_spec.h"

namespace mimic::virtio {
class Device;
}

namespace mimic::virtio_rng {

inline constexpr uint16_t kVirtioId = 4;      // virtio 1.3, 5.4
inline constexpr uint16_t kQueueEntries = 8;  // as many as QEMU's has

inline constexpr std::array<std::string_view, 1> kKernelModules = {"virtio_rng"};

inline constexpr model::DeviceModel kModel{
    .facts = {.name = "virtio-rng",
              .doc = "random bytes for a guest, by Linux' own driver; the smallest virtio device",
              .class_code = 0x00ff00,         // that of QEMU's
              .fabric_class_code = 0x108000,  // encryption controller, other
              .virtio = {.id = kVirtioId, .queues = 1, .queue_size = kQueueEntries}},
    .driver = {.name = "virtio-pci", .kernel_modules = kKernelModules}};

/// Makes the device. Cannot fail. Thread-safe.
Result<std::unique_ptr<virtio::Device>> make_device(const model::FunctionRequest& request);

}  // namespace mimic::virtio_rng
