// SPDX-License-Identifier: Apache-2.0
// InventoryStore: the newest snapshot, for threads that ask, and for those that want to be told.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

#include "dra/discovery/inventory.h"

namespace mimic::dra {

/// Thread-safe.
class InventoryStore {
public:
    using Listener = std::function<void(const InventoryPtr&)>;

    /// Holds an empty inventory of `facts`, a constant of the program, until the first set().
    explicit InventoryStore(const slices::DraFacts& facts);

    /// Never null.
    InventoryPtr snapshot() const;

    /// Calls `listener` with what is known now, and then with each change, on the thread of whoever
    /// changes it (discovery). It must be quick, and must not add or remove listeners.
    uint64_t add_listener(Listener listener);

    /// No call is under way or follows once this returns.
    void remove_listener(uint64_t id);

    /// Replaces the devices, unless they are the same. Returns whether they were not.
    bool set(std::vector<KnownDevice> devices);

private:
    mutable std::mutex mutex_;  // guards current_
    InventoryPtr current_;
    std::mutex listeners_mutex_;  // held during calls; before mutex_
    std::map<uint64_t, Listener> listeners_;
    uint64_t next_id_ = 1;
};

}  // namespace mimic::dra
