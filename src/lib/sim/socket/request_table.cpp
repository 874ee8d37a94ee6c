// SPDX-License-Identifier: Apache-2.0
#include "sim/socket/request_table.h"

#include <algorithm>

#include "base/check.h"

namespace mimic::sim {

RequestTable::RequestTable(size_t limit) : limit_(std::min(limit, size_t{1} << kIndexBits)) {}

RequestTable::Entry* RequestTable::add() {
    uint32_t index;
    if (!free_.empty()) {
        index = free_.back();
        free_.pop_back();
    } else if (entries_.size() < limit_) {
        index = static_cast<uint32_t>(entries_.size());
        entries_.emplace_back();
    } else {
        return nullptr;
    }
    link(index);
    Entry& entry = entries_[index];
    entry.id = ++ids_ << kIndexBits | index;
    entry.state = State::kQueued;
    return &entry;
}

RequestTable::Entry* RequestTable::find(uint64_t id) {
    const uint64_t index = id & ((uint64_t{1} << kIndexBits) - 1);
    if (index >= entries_.size()) return nullptr;
    Entry& entry = entries_[index];
    return entry.state != State::kFree && entry.id == id ? &entry : nullptr;
}

void RequestTable::remove(Entry& entry) {
    MIMIC_CHECK(entry.state != State::kFree);
    const auto index = static_cast<uint32_t>(&entry - entries_.data());
    unlink(index);
    entry.state = State::kFree;
    entry.done = nullptr;
    free_.push_back(index);
}

void RequestTable::link(uint32_t index) {
    if (size_++ == 0) {
        first_ = index;
    } else {
        entries_[last_].after = index;
        entries_[index].before = last_;
    }
    last_ = index;
}

void RequestTable::unlink(uint32_t index) {
    const Entry& entry = entries_[index];
    if (--size_ == 0) return;
    if (index == first_) {
        first_ = entry.after;
    } else if (index == last_) {
        last_ = entry.before;
    } else {
        entries_[entry.before].after = entry.after;
        entries_[entry.after].before = entry.before;
    }
}

void LateIds::add(uint64_t id, const Known& known) {
    if (order_.size() < kLimit) {
        order_.push_back(id);
    } else {
        ids_.erase(order_[next_]);
        order_[next_] = id;
        next_ = (next_ + 1) % kLimit;
    }
    ids_[id] = known;
}

LateIds::Known LateIds::take(uint64_t id) {
    const auto found = ids_.find(id);
    if (found == ids_.end()) return {};
    const Known known = found->second;
    ids_.erase(found);
    return known;
}

void LateIds::clear() {
    ids_.clear();
    order_.clear();
    next_ = 0;
}

}  // namespace mimic::sim
