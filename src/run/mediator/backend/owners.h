// SPDX-License-Identifier: Apache-2.0
// Owners: memory, code and kept results of the VMs on a backend. What is one owner's cannot be
// named by another: handles are looked up among the owner's own, and are no numbers that can be
// guessed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mediator/backend/backend.h"
#include "mediator/backend/executor.h"

namespace mimic::mediator::backend {

/// Bounds of what is kept for an owner, beside its memory. Arbitrary: more than a client can have
/// in flight, and two whole answers and some.
inline constexpr size_t kMaxKeptResults = 1024;
inline constexpr size_t kMaxKeptBytes = 48u << 20;
/// Of all owners of a VM, and of a backend: with kOwnAddressSpace (worker.cpp), which has to be
/// more. A result counts as so many bytes more than it has.
inline constexpr size_t kMaxKeptBytesOfVm = 2 * kMaxKeptBytes;
inline constexpr size_t kMaxKeptBytesOfAll = size_t{1} << 30;
inline constexpr size_t kKeptOverhead = 256;
inline constexpr size_t kMaxHandles = 65'536;
inline constexpr size_t kMaxModules = 256;
inline constexpr size_t kMaxOwners = 4096;

/// Memory is charged in pages of so much, as GPUs give it out.
inline constexpr uint64_t kMemoryGranule = 256;

/// Counts bytes of memory: of a backend, or of a VM. Thread-safe.
class MemoryAccount {
public:
    /// False, and nothing is taken, if more than `limit` would be used.
    bool take(uint64_t bytes, uint64_t limit);
    void give(uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
    uint64_t used() const { return used_.load(std::memory_order_relaxed); }

private:
    std::atomic<uint64_t> used_{0};
};

/// Bytes taken from two accounts until destroyed. Move-only.
class Charge {
public:
    Charge() = default;
    Charge(std::shared_ptr<MemoryAccount> backend, std::shared_ptr<MemoryAccount> vm,
           uint64_t bytes)
        : backend_(std::move(backend)), vm_(std::move(vm)), bytes_(bytes) {}
    Charge(Charge&& other) noexcept
        : backend_(std::move(other.backend_)),
          vm_(std::move(other.vm_)),
          bytes_(std::exchange(other.bytes_, 0)) {}
    Charge& operator=(Charge&&) = delete;
    ~Charge() {
        if (bytes_ == 0) return;
        backend_->give(bytes_);
        vm_->give(bytes_);
    }
    uint64_t bytes() const { return bytes_; }

private:
    // Shared: what is freed last may be freed after its owner and the table have gone.
    std::shared_ptr<MemoryAccount> backend_, vm_;
    uint64_t bytes_ = 0;
};

struct KeptResult {
    vgpu_error error = VGPU_OK;
    std::vector<std::byte> response;
};

/// What was kept for a request that comes again.
enum class Kept : uint8_t {
    kNever,  // it was not carried out: it can be now
    kHere,
    kGone,  // it was, or may have been, and its result is not here any more
};

/// Results by request id, as many as the bounds allow; the oldest go first, of this owner only:
/// what others keep is no reason to lose theirs. Thread-safe.
class KeptResults {
public:
    /// Both count what is kept; shared with other owners.
    explicit KeptResults(std::shared_ptr<MemoryAccount> of_all = std::make_shared<MemoryAccount>(),
                         std::shared_ptr<MemoryAccount> of_vm = std::make_shared<MemoryAccount>())
        : of_all_(std::move(of_all)), of_vm_(std::move(of_vm)) {}

    /// Or not, where there is no room for it: then it is gone at once.
    void keep(uint64_t request_id, vgpu_error error, std::span<const std::byte> response) noexcept;
    Kept find(uint64_t request_id, KeptResult& result) const;
    /// Results up to this id have been seen.
    void acknowledge(uint64_t request_id);
    size_t bytes() const;
    bool empty() const;

private:
    struct Entry {
        KeptResult result;
        Charge charge;
    };

    bool make_room(uint64_t bytes);
    void drop_first();

    const std::shared_ptr<MemoryAccount> of_all_, of_vm_;
    mutable std::mutex mutex_;
    std::map<uint64_t, Entry> results_;
    size_t bytes_ = 0;
    uint64_t gone_ = 0;  // results up to this id may be missing
};

/// Tables are the job thread's; `kept` is thread-safe.
struct OwnerState {
    struct Allocation {
        Charge charge;  // first: until the memory is freed
        std::unique_ptr<Memory> memory;
    };
    // Of all owners of a VM.
    struct Accounts {
        std::shared_ptr<MemoryAccount> memory = std::make_shared<MemoryAccount>();
        std::shared_ptr<MemoryAccount> kept = std::make_shared<MemoryAccount>();
    };

    OwnerState(Accounts of_vm, std::shared_ptr<MemoryAccount> kept_of_all)
        : vm(std::move(of_vm)), kept(std::move(kept_of_all), vm.kept) {}

    const Accounts vm;
    std::unordered_map<uint64_t, Allocation> memory;
    std::unordered_map<uint64_t, std::unique_ptr<Module>> modules;
    std::atomic<uint64_t> memory_bytes{0};  // of this owner
    KeptResults kept;
};

/// Thread-safe. Who holds an OwnerState may go on using it after its release.
class Owners {
public:
    /// Made when it does not exist. nullptr: there are too many.
    std::shared_ptr<OwnerState> get(const Owner& owner);
    /// nullptr: there is none.
    std::shared_ptr<OwnerState> find(const Owner& owner) const;
    void release(const Owner& owner);

    struct Used {
        Owner owner;
        uint64_t memory_bytes = 0;
    };
    /// Owners that have memory, modules or kept results. On the thread of jobs.
    std::vector<Used> list() const;
    const std::shared_ptr<MemoryAccount>& account() const { return account_; }
    /// Of kept results.
    const MemoryAccount& kept_account() const { return *kept_account_; }

private:
    mutable std::mutex mutex_;
    std::map<Owner, std::shared_ptr<OwnerState>> owners_;
    const std::shared_ptr<MemoryAccount> account_ = std::make_shared<MemoryAccount>();
    const std::shared_ptr<MemoryAccount> kept_account_ = std::make_shared<MemoryAccount>();
};

}  // namespace mimic::mediator::backend
