// SPDX-License-Identifier: Apache-2.0
#include "compute/socket/in_flight.h"

#include <utility>

#include "base/check.h"

namespace mimic::compute {

InFlight::Entry* InFlight::add(std::vector<std::byte> request) {
    if (size_ >= kMost) return nullptr;
    uint32_t index = 0;
    if (free_.empty()) {
        index = static_cast<uint32_t>(entries_.size());
        entries_.emplace_back();
    } else {
        index = free_.back();
        free_.pop_back();
    }
    Entry& entry = entries_[index];
    last_id_ = entry.id = ++ids_ << kIndexBits | index;
    entry.state = State::kQueued;
    bytes_ += request.size();
    entry.request = std::move(request);
    entry.before = last_;
    entry.after = kNone;
    if (last_ != kNone)
        entries_[last_].after = index;
    else
        first_ = index;
    last_ = index;
    if (first_queued_ == kNone) first_queued_ = index;
    ++size_;
    return &entry;
}

InFlight::Entry* InFlight::find(uint64_t id) {
    const uint64_t index = id & ((uint64_t{1} << kIndexBits) - 1);
    if (index >= entries_.size()) return nullptr;
    Entry& entry = entries_[index];
    return entry.state != State::kFree && entry.id == id ? &entry : nullptr;
}

void InFlight::sent(Entry& entry) {
    MIMIC_CHECK(&entry == first_queued());
    entry.state = State::kSent;
    first_queued_ = entry.after;
    ++sent_;
}

void InFlight::drop_request(Entry& entry) {
    bytes_ -= entry.request.size();
    entry.request = {};
}

void InFlight::forget(Entry& entry) {
    MIMIC_CHECK(entry.state == State::kSent);
    entry.state = State::kForgotten;
    drop_request(entry);
    entry.done = nullptr;
    --sent_;
    ++forgotten_;
}

void InFlight::remove(Entry& entry) {
    const auto index = static_cast<uint32_t>(&entry - entries_.data());
    if (first_queued_ == index) first_queued_ = entry.after;
    if (entry.state == State::kSent) --sent_;
    if (entry.state == State::kForgotten) --forgotten_;
    (entry.before == kNone ? first_ : entries_[entry.before].after) = entry.after;
    (entry.after == kNone ? last_ : entries_[entry.after].before) = entry.before;
    entry.state = State::kFree;
    entry.again = false;
    drop_request(entry);
    entry.done = nullptr;
    entry.request_range = entry.answer_range = {};
    free_.push_back(index);
    --size_;
}

void InFlight::requeue() {
    for (Entry* entry = first(); entry != nullptr;) {
        Entry* const next = after(*entry);
        if (entry->state == State::kForgotten) {
            remove(*entry);
        } else if (entry->state == State::kSent) {
            entry->state = State::kQueued;
            entry->again = true;
            entry->request_range = entry->answer_range = {};
            --sent_;
        }
        entry = next;
    }
    first_queued_ = first_;
}

}  // namespace mimic::compute
