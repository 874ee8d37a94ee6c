// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/owners.h"

#include <algorithm>
#include <new>

namespace mimic::mediator::backend {

bool MemoryAccount::take(uint64_t bytes, uint64_t limit) {
    uint64_t used = used_.load(std::memory_order_relaxed);
    do {
        if (used > limit || bytes > limit - used) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
}

void KeptResults::keep(uint64_t request_id, vgpu_error error,
                       std::span<const std::byte> response) noexcept {
    const std::lock_guard lock(mutex_);
    const size_t bytes = response.size() + kKeptOverhead;
    if (const auto before = results_.find(request_id); before != results_.end()) {
        bytes_ -= before->second.charge.bytes();
        results_.erase(before);
    }
    if (make_room(bytes)) {
        Charge charge(of_all_, of_vm_, bytes);
        try {
            KeptResult result{error, {response.begin(), response.end()}};
            results_.emplace(request_id, Entry{std::move(result), std::move(charge)});
            bytes_ += bytes;
            return;
        } catch (const std::bad_alloc&) {
            // As where there is no room.
        }
    }
    gone_ = std::max(gone_, request_id);
}

// Takes so much of both accounts, if need be for results of this owner.
bool KeptResults::make_room(uint64_t bytes) {
    while (results_.size() >= kMaxKeptResults ||
           (!results_.empty() && bytes_ + bytes > kMaxKeptBytes)) {
        drop_first();
    }
    for (;;) {
        if (of_vm_->take(bytes, kMaxKeptBytesOfVm)) {
            if (of_all_->take(bytes, kMaxKeptBytesOfAll)) return true;
            of_vm_->give(bytes);
        }
        if (results_.empty()) return false;
        drop_first();
    }
}

void KeptResults::drop_first() {
    const auto first = results_.begin();
    gone_ = std::max(gone_, first->first);
    bytes_ -= first->second.charge.bytes();
    results_.erase(first);
}

Kept KeptResults::find(uint64_t request_id, KeptResult& result) const {
    const std::lock_guard lock(mutex_);
    const auto found = results_.find(request_id);
    if (found != results_.end()) {
        result = found->second.result;
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
    OwnerState::Accounts accounts;
    const auto sibling = owners_.lower_bound(Owner{owner.vm, 0});
    if (sibling != owners_.end() && sibling->first.vm == owner.vm) accounts = sibling->second->vm;
    // As a shared_ptr, for a release may come while a job of this owner runs.
    auto state = std::make_shared<OwnerState>(std::move(accounts), kept_account_);
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
