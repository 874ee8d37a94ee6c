// SPDX-License-Identifier: Apache-2.0
#include "device_host/device_factory.h"

#include "devices/all_devices.h"

namespace mimic::device_host {

Result<std::unique_ptr<pci::Function>> make_function(const topology::DeviceSpec& device,
                                                     const topology::FunctionSpec& function) {
    model::FunctionRequest request{.function = function, .link = device.link};
    if (device.native_sriov && !function.is_vf())
        request.native_vfs = std::span(device.functions).subspan(1);
    // Function 0 says it for its slot; each function of a clone has it from its image.
    request.multifunction = !function.is_vf() && !device.native_sriov &&
                            device.functions.size() > 1;
    return devices::make_function(request);
}

}  // namespace mimic::device_host
