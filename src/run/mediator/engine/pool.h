// SPDX-License-Identifier: Apache-2.0
// Pool: backends, and the rule by which jobs get to them. Private to this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/timer.h"
#include "mediator/engine/parts.h"

namespace mimic::mediator {

/// A place for a backend. Its index is the rule's BackendIndex, and is used again only when
/// nothing is left of the one before.
struct BackendSlot {
    BackendConfig config;
    std::unique_ptr<backend::Backend> backend;  // nullptr: could not be made, or has gone
    std::string why_not;
    JobKey running = 0;
    bool retired = false;  // gone from the configuration: ends after its job
    bool down = false;     // not ready, and given up on until it is
    bool seen = false;     // what an earlier mediator left on it is known
    Timer patience;

    bool is_free() const { return !backend && (retired || config.name.empty()); }
    bool is_idle() const {
        return backend && !retired && running == 0 && backend->ready() && !backend->busy();
    }
};

struct Pool {
    char id = 'A';
    bool gone = false;     // from the configuration; ends with its last job
    bool settled = false;  // all of its first backends have been seen
    bool adding = false;   // more of those are to come
    std::unique_ptr<schedule::Rule> rule;
    std::vector<std::unique_ptr<BackendSlot>> slots;
    size_t next_slot = 0;  // where the search for an idle one begins
    uint64_t busy_ns = 0;
    uint64_t switches = 0;
    std::optional<VmId> last_vm;

    /// Whether a backend may carry something out, now or soon.
    bool has_hope() const {
        for (const auto& slot : slots) {
            if (slot->backend && !slot->retired && !slot->down) return true;
        }
        return false;
    }

    bool has_running() const {
        for (const auto& slot : slots) {
            if (slot->running != 0) return true;
        }
        return false;
    }

    /// Where a VM's first memory should be: the backend with the fewest VMs, then with the least
    /// memory in use, of those that are not down.
    std::optional<uint32_t> roomiest(const std::vector<size_t>& homes) const {
        std::optional<uint32_t> best;
        for (uint32_t i = 0; i < slots.size(); ++i) {
            const BackendSlot& slot = *slots[i];
            if (!slot.backend || slot.retired || slot.down) continue;
            if (!best || homes[i] < homes[*best] ||
                (homes[i] == homes[*best] &&
                 slot.backend->state().memory_used < slots[*best]->backend->state().memory_used))
                best = i;
        }
        return best;
    }
};

}  // namespace mimic::mediator
