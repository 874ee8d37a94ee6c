// SPDX-License-Identifier: Apache-2.0
// VmHeap: the VMs that may start a job, the one that comes next first. A binary heap whose entries
// are found again by a position that the VM keeps, so that a key can change in O(log VMs).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mediator/schedule/virtual_time.h"

namespace mimic::mediator::schedule {

/// Smaller comes first. `order` is the arrival of the VM's first job: no two VMs have the same, so
/// that a choice never depends on where an entry lies in memory.
struct Key {
    uint32_t rank = 0;
    Virtual tag = 0;
    uint64_t order = 0;

    bool operator<(const Key& other) const {
        if (rank != other.rank) return rank < other.rank;
        if (tag != other.tag) return tag < other.tag;
        return order < other.order;
    }
};

/// Positions are kept in `positions[slot]`, which the caller owns and sizes; kNowhere: not in a
/// heap.
class VmHeap {
public:
    static constexpr uint32_t kNowhere = UINT32_MAX;

    struct Entry {
        Key key;
        uint32_t slot = 0;
    };

    bool empty() const { return entries_.empty(); }
    const Entry& top() const { return entries_.front(); }

    void put(uint32_t slot, const Key& key, std::vector<uint32_t>& positions) {
        uint32_t at = positions[slot];
        if (at == kNowhere) {
            at = static_cast<uint32_t>(entries_.size());
            entries_.push_back({key, slot});
            positions[slot] = at;
        } else {
            entries_[at].key = key;
        }
        sink(rise(at, positions), positions);
    }

    void remove(uint32_t slot, std::vector<uint32_t>& positions) {
        const uint32_t at = positions[slot];
        positions[slot] = kNowhere;
        const Entry last = entries_.back();
        entries_.pop_back();
        if (last.slot == slot) return;
        entries_[at] = last;
        positions[last.slot] = at;
        sink(rise(at, positions), positions);
    }

private:
    uint32_t rise(uint32_t at, std::vector<uint32_t>& positions) {
        const Entry moved = entries_[at];
        while (at > 0) {
            const uint32_t parent = (at - 1) / 2;
            if (!(moved.key < entries_[parent].key)) break;
            entries_[at] = entries_[parent];
            positions[entries_[at].slot] = at;
            at = parent;
        }
        entries_[at] = moved;
        positions[moved.slot] = at;
        return at;
    }

    void sink(uint32_t at, std::vector<uint32_t>& positions) {
        const Entry moved = entries_[at];
        const auto size = static_cast<uint32_t>(entries_.size());
        for (;;) {
            uint32_t child = 2 * at + 1;
            if (child >= size) break;
            if (child + 1 < size && entries_[child + 1].key < entries_[child].key) ++child;
            if (!(entries_[child].key < moved.key)) break;
            entries_[at] = entries_[child];
            positions[entries_[at].slot] = at;
            at = child;
        }
        entries_[at] = moved;
        positions[moved.slot] = at;
    }

    std::vector<Entry> entries_;
};

}  // namespace mimic::mediator::schedule
