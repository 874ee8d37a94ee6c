// SPDX-License-Identifier: Apache-2.0
// From a device of a topology to a PCI function, or to a virtio device behind vhost-user:
// src/devices makes it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "pci/function/function.h"
#include "topology/model.h"
#include "virtio/device.h"

namespace mimic::device_host {

/// Makes the PCI function that `function` (part of `device`) describes. Nothing is shared between
/// the results, so each may go to its own loop. Errors: those of
/// devices::make_function(), of virtio devices those of make_virtio() and virtio_pci::create().
/// Thread-safe.
Result<std::unique_ptr<pci::Function>> make_function(const topology::DeviceSpec& device,
                                                     const topology::FunctionSpec& function);

/// Makes the virtio device that `device`, with transport: vhost-user, describes. Errors: those of
/// devices::make_virtio(). Thread-safe.
Result<std::unique_ptr<virtio::Device>> make_virtio(const topology::DeviceSpec& device);

}  // namespace mimic::device_host
