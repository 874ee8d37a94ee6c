// SPDX-License-Identifier: Apache-2.0
#include "device_host/device_factory.h"

#include <algorithm>
#include <iterator>

#include "devices/all_devices.h"
#include "virtio_pci/layout.h"
#include "virtio_pci/virtio_pci.h"

namespace mimic::device_host {
namespace {

// What topologies say of the BARs is what the transport has.
static_assert(model::kVirtioPciBars[0] ==
              model::Bar{.index = virtio_pci::kBar, .size = virtio_pci::kBarBytes});
static_assert(model::kVirtioPciBars[1] ==
              model::Bar{.index = virtio_pci::kMsixBar, .size = virtio_pci::kMsixBarBytes});
static_assert(std::size(model::kVirtioPciBars) == 2);

Result<std::unique_ptr<pci::Function>> make_virtio_function(const model::FunctionRequest& request) {
    MIMIC_ASSIGN_OR_RETURN(auto made, devices::make_virtio(request));
    return virtio_pci::create(std::move(made),
                              {.class_code = request.function.class_code,
                               .link_speed = static_cast<pci::LinkSpeed>(request.link.generation),
                               .link_width = request.link.width,
                               .multifunction = request.multifunction});
}

}  // namespace

Result<std::unique_ptr<pci::Function>> make_function(const topology::DeviceSpec& device,
                                                     const topology::FunctionSpec& function) {
    model::FunctionRequest request{.function = function, .link = device.link};
    if (device.native_sriov && !function.is_vf())
        request.native_vfs = std::span(device.functions).subspan(1);
    // Function 0 says it for its slot; each function of a clone has it from its image.
    request.multifunction = !function.is_vf() && !device.native_sriov &&
                            device.functions.size() > 1;
    return device.model->facts.is_virtio() ? make_virtio_function(request)
                                           : devices::make_function(request);
}

Result<std::unique_ptr<virtio::Device>> make_virtio(const topology::DeviceSpec& device) {
    return devices::make_virtio({.function = device.functions.front(), .link = device.link});
}

}  // namespace mimic::device_host
