// SPDX-License-Identifier: Apache-2.0
// From a function of a topology file to a VirtioRng.
#include "devices/virtio_rng/model.h"
#include "devices/virtio_rng/virtio_rng.h"

namespace mimic::virtio_rng {

Result<std::unique_ptr<virtio::Device>> make_device(const model::FunctionRequest& request) {
    return std::make_unique<VirtioRng>(request.function.name);
}

}  // namespace mimic::virtio_rng
