// SPDX-License-Identifier: Apache-2.0
// RequestTable: requests that wait for an answer, by ids of ours, which no two requests of a
// simulator's life share. So an answer that comes late finds nothing, whatever the device has in
// flight by then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/task_runner.h"
#include "sim/simulator.h"

namespace mimic::sim {

/// Bounded; all operations take constant time. Thread-bound.
class RequestTable {
public:
    enum class State : uint8_t { kFree, kQueued, kSent };

    struct Entry {
        uint64_t id = 0;          // on the socket
        uint64_t request_id = 0;  // the device's
        uint64_t user_data = 0;
        uint32_t type = 0;
        State state = State::kFree;
        SimTime guest_time = 0;
        TimePoint submitted{};
        Simulator::Done done;
        std::unique_ptr<SSTRequest> request;  // while it is queued
        uint32_t before = 0;                  // neighbours in order of add()
        uint32_t after = 0;
    };

    /// Ids below this one are never given out.
    static constexpr uint64_t kFirstId = uint64_t{1} << 20;

    explicit RequestTable(size_t limit);

    /// A new entry, the youngest; nullptr when there are `limit`. Valid until the next add().
    Entry* add();
    /// The entry that has this id, or nullptr.
    Entry* find(uint64_t id);
    Entry* oldest() { return size_ == 0 ? nullptr : &entries_[first_]; }
    size_t size() const { return size_; }

    /// Forgets the entry. Its `request` is kept for the next one that needs room.
    void remove(Entry& entry);

private:
    // An id is the number of the entry in its low bits, and how many ids there were above.
    static constexpr unsigned kIndexBits = 20;

    void link(uint32_t index);
    void unlink(uint32_t index);

    size_t limit_;
    std::vector<Entry> entries_;
    std::vector<uint32_t> free_;
    uint64_t ids_ = 0;
    size_t size_ = 0;
    uint32_t first_ = 0;
    uint32_t last_ = 0;
};

/// Ids whose answers will mean nothing, when they come: of requests that were answered TIMEOUT, or
/// forgotten by a reset. The oldest make room.
class LateIds {
public:
    enum class Why : uint8_t { kNone, kTimeout, kForgotten };

    struct Known {
        Why why = Why::kNone;
        uint64_t request_id = 0;  // the device's
    };

    void add(uint64_t id, const Known& known);
    /// What was known of `id`, and forgets it.
    Known take(uint64_t id);
    void clear();

private:
    static constexpr size_t kLimit = 4096;
    std::unordered_map<uint64_t, Known> ids_;
    std::vector<uint64_t> order_;
    size_t next_ = 0;
};

}  // namespace mimic::sim
