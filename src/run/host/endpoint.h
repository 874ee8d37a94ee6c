// SPDX-License-Identifier: Apache-2.0
// Endpoint: one function, a fabric of them, or a virtio device, and the socket that serves it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "pci/function/function.h"
#include "virtio/device.h"

namespace mimic::pci {
class Fabric;
}  // namespace mimic::pci

namespace mimic::host {

/// Where an endpoint is in its machine, for tools.
struct Place {
    std::optional<unsigned> numa_node;
    std::string bdf;      // as the guest will number it; empty: unknown
    uint32_t domain = 0;  // of the functions of its fabric
};

/// What one socket serves: `function` by vfio-user, or `device` by vhost-user. The other is empty.
struct Endpoint {
    std::unique_ptr<pci::Function> function;
    std::unique_ptr<virtio::Device> device{};
    std::string socket_path;
    pci::Fabric* fabric = nullptr;  // behind `function`, which owns it; nullptr: none
    Place place{};
};

}  // namespace mimic::host
