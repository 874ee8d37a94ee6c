// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/owners.h"

#include <algorithm>

namespace mimic::mediator::backend {

bool MemoryAccount::take(uint64_t bytes, uint64_t limit) {
    uint64_t used = used_.load(std::memory_order_relaxed);
    do {
        if (used > limit || bytes > limit - used) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
}

void KeptResults::keep(uint64_t request_id, vgpu_error error, std::span<const std::byte> response) {
    const std::lock_guard lock(mutex_);
    KeptResult& result = results_[request_id];
    bytes_ -= result.response.size();
    result.error = error;
    result.response.assign(response.begin(), response.end());
    bytes_ += response.size();
    while (results_.size() > kMaxKeptResults || (bytes_ > kMaxKeptBytes && results_.size() > 1)) {
        drop_first();
    }
}

void KeptResults::drop_first() {
    const auto first = results_.begin();
    gone_ = std::max(gone_, first->first);
    bytes_ -= first->second.response.size();
    results_.erase(first);
}

Kept KeptResults::find(uint64_t request_id, KeptResult& result) const {
    const std::lock_guard lock(mutex_);
    const auto found = results_.find(request_id);
    if (found != results_.end()) {
        result = found->second;
        return Kept::kHere;
    }
    return request_id <= gone_ ? Kept::kGone : Kept::kNever;
}

void KeptResults::acknowledge(uint64_t request_id) {
    const std::lock_guard lock(mutex_);
    while (!results_.empty() && results_.begin()->first <= request_id) drop_first();
}

size_t KeptResults::bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
}

bool KeptResults::empty() const {
    const std::lock_guard lock(mutex_);
    return results_.empty();
}

std::shared_ptr<OwnerState> Owners::get(const Owner& owner) {
    const std::lock_guard lock(mutex_);
    const auto found = owners_.find(owner);
    if (found != owners_.end()) return found->second;
    if (owners_.size() >= kMaxOwners) return nullptr;
    // As a shared_ptr, for a release may come while a job of this owner runs.
    auto state = std::make_shared<OwnerState>();
    const auto sibling = owners_.lower_bound(Owner{owner.vm, 0});
    state->vm_memory = sibling != owners_.end() && sibling->first.vm == owner.vm
                           ? sibling->second->vm_memory
                           : std::make_shared<MemoryAccount>();
    owners_.emplace(owner, state);
    return state;
}

std::shared_ptr<OwnerState> Owners::find(const Owner& owner) const {
    const std::lock_guard lock(mutex_);
    const auto found = owners_.find(owner);
    return found == owners_.end() ? nullptr : found->second;
}

void Owners::release(const Owner& owner) {
    std::shared_ptr<OwnerState> state;  // freed outside of the lock
    const std::lock_guard lock(mutex_);
    const auto found = owners_.find(owner);
    if (found == owners_.end()) return;
    state = std::move(found->second);
    owners_.erase(found);
}

std::vector<Owners::Used> Owners::list() const {
    const std::lock_guard lock(mutex_);
    std::vector<Used> all;
    all.reserve(owners_.size());
    for (const auto& [owner, state] : owners_) {
        const uint64_t bytes = state->memory_bytes.load();
        if (bytes != 0 || !state->modules.empty() || !state->kept.empty()) {
            all.push_back({owner, bytes});
        }
    }
    return all;
}

}  // namespace mimic::mediator::backend
