// SPDX-License-Identifier: Apache-2.0
#include "dra/discovery/inventory.h"
namespace mimic::dra {
const KnownDevice* Inventory::find(const std::string& name) const {
    for (const auto& d : devices)
        if (d.name == name) return &d;
    return nullptr;
}
}  // namespace mimic::dra
