// SPDX-License-Identifier: Apache-2.0
#include "dra/discovery/inventory_store.h"

#include <utility>

namespace mimic::dra {

InventoryStore::InventoryStore(const slices::DraFacts& facts) {
    Inventory empty;
    empty.facts = &facts;
    current_ = std::make_shared<const Inventory>(std::move(empty));
}

InventoryPtr InventoryStore::snapshot() const {
    const std::lock_guard lock(mutex_);
    return current_;
}

uint64_t InventoryStore::add_listener(Listener listener) {
    const std::lock_guard lock(listeners_mutex_);
    listener(snapshot());
    listeners_.emplace(next_id_, std::move(listener));
    return next_id_++;
}

void InventoryStore::remove_listener(uint64_t id) {
    const std::lock_guard lock(listeners_mutex_);
    listeners_.erase(id);
}

bool InventoryStore::set(std::vector<KnownDevice> devices) {
    const std::lock_guard lock(listeners_mutex_);
    const InventoryPtr before = snapshot();
    if (before->devices == devices) return false;
    Inventory changed;
    changed.facts = before->facts;
    changed.devices = std::move(devices);
    changed.version = before->version + 1;
    const InventoryPtr after = std::make_shared<const Inventory>(std::move(changed));
    {
        const std::lock_guard current_lock(mutex_);
        current_ = after;
    }
    for (const auto& [id, listener] : listeners_) listener(after);
    return true;
}

}  // namespace mimic::dra
