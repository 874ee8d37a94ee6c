// SPDX-License-Identifier: Apache-2.0
#include "dra/discovery/inventory.h"

#include <algorithm>

namespace mimic::dra {

const KnownDevice* Inventory::find(const std::string& name) const {
    const auto found = std::find_if(
        devices.begin(), devices.end(),
        [&name](const KnownDevice& device) { return device.name == name; });
    return found == devices.end() ? nullptr : &*found;
}

slices::Pool pool_of(const Inventory& inventory, const slices::PoolOptions& options,
                     std::vector<std::string>* problems) {
    std::vector<slices::FunctionView> views;
    for (const KnownDevice& device : inventory.devices) {
        if (!device.gone) views.push_back(device.view);
    }
    return slices::make_pool(*inventory.facts, views, options, problems);
}

}  // namespace mimic::dra
