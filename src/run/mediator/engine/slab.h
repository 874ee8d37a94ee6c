// SPDX-License-Identifier: Apache-2.0
// Slab: objects under keys that are never used again, kept in slots that are. Private to this
// folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace mimic::mediator {

/// Objects stay where they are. A key that has gone finds nothing, so it may come late. Keys are
/// never 0. Thread-bound.
template <typename T>
class Slab {
public:
    struct Added {
        uint64_t key;
        T& object;
    };

    /// An object as T{} makes it.
    Added add() {
        if (free_.empty()) {
            free_.push_back(slots_.size());
            slots_.emplace_back();
        }
        const size_t index = free_.back();
        free_.pop_back();
        Slot& slot = slots_[index];
        slot.key = (++slot.generation << kIndexBits) | index;
        ++size_;
        return {slot.key, slot.object};
    }

    T* find(uint64_t key) {
        const size_t index = key & ((uint64_t{1} << kIndexBits) - 1);
        if (key == 0 || index >= slots_.size() || slots_[index].key != key) return nullptr;
        return &slots_[index].object;
    }

    /// `key` must be there.
    void remove(uint64_t key) {
        Slot& slot = slots_[key & ((uint64_t{1} << kIndexBits) - 1)];
        slot.key = 0;
        slot.object = T{};
        free_.push_back(key & ((uint64_t{1} << kIndexBits) - 1));
        --size_;
    }

    size_t size() const { return size_; }

    template <typename Visit>
    void for_each(Visit visit) {
        for (Slot& slot : slots_) {
            if (slot.key != 0) visit(slot.key, slot.object);
        }
    }

private:
    // 16 M at a time, and a slot that is reused a million times a second lasts for two weeks.
    static constexpr unsigned kIndexBits = 24;

    struct Slot {
        uint64_t key = 0;
        uint64_t generation = 0;
        T object{};
    };

    std::deque<Slot> slots_;
    std::vector<size_t> free_;
    size_t size_ = 0;
};

}  // namespace mimic::mediator
