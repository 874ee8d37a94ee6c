// SPDX-License-Identifier: Apache-2.0
// virtio-pci: a PCI function that owns a virtio device. All that functions have (root ports,
// fabrics, hot-plug, faults, traces) is the device's then. Virtio 1.3, 4.1: modern only.
#pragma once

#include <memory>

#include "base/result.h"
#include "pci/capabilities/pcie.h"
#include "pci/function/function.h"
#include "virtio/device.h"

namespace mimic::virtio_pci {

/// What PCI wants to know besides.
struct Options {
    uint32_t class_code = 0;  // 24 bits
    pci::LinkSpeed link_speed = pci::LinkSpeed::kGen4;
    uint32_t link_width = 16;  // lanes
    bool multifunction = false;
};

/// The function, called as the device. It attaches the device when it is itself plugged in. No
/// region of it can be mapped, so that a VMM need not wait for a kick. Errors: invalid_argument for
/// a device with more queues (layout.h) or configuration space than the layout has room for, or an
/// id that PCI has no number for.
Result<std::unique_ptr<pci::Function>> create(std::unique_ptr<virtio::Device> device,
                                              const Options& options);

}  // namespace mimic::virtio_pci
