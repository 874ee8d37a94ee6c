// SPDX-License-Identifier: Apache-2.0
// InFlight: requests that wait for an answer, in the order in which they came. Private to this
// folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/task_runner.h"
#include "compute/queue.h"
#include "compute/socket/range_pool.h"

namespace mimic::compute {

/// Bounded; all operations take constant time. Ids grow and are never used twice. Thread-bound.
class InFlight {
public:
    enum class State : uint8_t {
        kFree,
        kQueued,     // to be sent
        kSent,       // the mediator has it
        kForgotten,  // the mediator has it, and nobody waits for the answer
    };

    struct Entry {
        uint64_t id = 0;
        State state = State::kFree;
        bool again = false;  // was sent on an earlier connection
        uint32_t tag = 0;    // the guest's id
        size_t room = 0;
        TimePoint submitted{};
        std::vector<std::byte> request;
        Queue::Done done;
        RangePool::Range request_range;  // in the shared memory, while the mediator has it
        RangePool::Range answer_range;
        uint32_t before = 0;  // neighbours in order of add()
        uint32_t after = 0;
    };

    /// Entries of all states together: as many again may wait for answers that nobody wants.
    static constexpr size_t kMost = 2 * Queue::kMaxInFlight;

    /// A new one at the end, queued; nullptr when there are kMost. Valid until the next add().
    Entry* add(std::vector<std::byte> request);
    /// The entry that has this id, or nullptr.
    Entry* find(uint64_t id);
    Entry* first() { return at(first_); }
    Entry* after(const Entry& entry) { return at(entry.after); }
    /// The first that is queued, or nullptr. All behind it are, too.
    Entry* first_queued() { return at(first_queued_); }
    /// It is the first that is queued, and goes to the mediator.
    void sent(Entry& entry);
    /// Nobody waits for the answer of this one, which was sent.
    void forget(Entry& entry);
    void remove(Entry& entry);
    /// The connection has gone: what was sent is queued again, what was forgotten is removed.
    void requeue();

    size_t size() const { return size_; }
    /// That somebody waits for.
    size_t waiting() const { return size_ - forgotten_; }
    /// Of the requests for which somebody waits.
    size_t bytes() const { return bytes_; }
    /// That the mediator has.
    size_t with_mediator() const { return sent_ + forgotten_; }
    /// The largest id that was given out; 0: none was.
    uint64_t last_id() const { return ids_ == 0 ? 0 : last_id_; }

private:
    // An id is the place of its entry in the low bits, and how many ids there were above.
    static constexpr unsigned kIndexBits = 10;
    static constexpr uint32_t kNone = UINT32_MAX;
    static_assert(kMost <= size_t{1} << kIndexBits);

    void drop_request(Entry& entry);
    Entry* at(uint32_t index) { return index == kNone ? nullptr : &entries_[index]; }

    std::vector<Entry> entries_;
    std::vector<uint32_t> free_;
    uint64_t ids_ = 0;
    uint64_t last_id_ = 0;
    size_t size_ = 0;
    size_t bytes_ = 0;
    size_t sent_ = 0;
    size_t forgotten_ = 0;
    uint32_t first_ = kNone;
    uint32_t last_ = kNone;
    uint32_t first_queued_ = kNone;
};

}  // namespace mimic::compute
