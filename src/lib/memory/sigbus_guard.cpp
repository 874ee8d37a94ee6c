// SPDX-License-Identifier: Apache-2.0
#include "memory/sigbus_guard.h"

#include <sched.h>
#include <sys/mman.h>

#include <csignal>
#include <map>

namespace mimic {
namespace {

std::atomic<uint64_t> g_pages{0};
static_assert(std::atomic<uint64_t>::is_always_lock_free);  // used in a signal handler

constexpr size_t kPage = 4096;  // of the reserve below: any size will do

// Pieces replaced alone, in all ranges together. Each costs up to two mappings, of which a process
// may have 65,530 (vm.max_map_count). Arbitrary: an eighth of them.
constexpr uint32_t kAllAlone = 4096;

// Mappings kept for nothing but to be given up. Arbitrary: several threads may need one at a time.
constexpr size_t kReserve = 32;

bool put_zeros(uintptr_t base, size_t size) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel names the fault by its address
    auto* at = reinterpret_cast<void*>(base);
    return ::mmap(at, size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == at;
}

}  // namespace

bool GuardedRange::lost_slowly(size_t offset, size_t size) const {
    const uint32_t pieces = pieces_.load(std::memory_order_acquire);
    if (pieces == kAll) return true;
    for (uint32_t i = 0; i < pieces; ++i) {
        const size_t at = at_[i].load(std::memory_order_relaxed);
        if (at < offset + size && offset < at + unit_) return true;
    }
    return false;
}

// The guarded ranges by their first byte. The handler takes the lock too: no thread touches guest
// memory while it holds it, so a fault never finds its own thread in here.
class GuardedRanges {
public:
    const GuardedRange* add(uintptr_t base, size_t size, size_t unit) {
        const Lock lock(*this);
        fill_reserve();
        GuardedRange& range = ranges_[base];
        range.base_ = base;
        range.size_ = size;
        range.unit_ = unit;
        count_.store(ranges_.size(), std::memory_order_relaxed);
        return &range;
    }

    void remove(uintptr_t base) {
        const Lock lock(*this);
        const auto found = ranges_.find(base);
        if (found == ranges_.end()) return;
        forget_pieces(found->second);
        ranges_.erase(found);
        count_.store(ranges_.size(), std::memory_order_relaxed);
    }

    size_t count() const { return count_.load(std::memory_order_relaxed); }

    // Replaces what `address` needs; false if that lies in no range.
    bool mend(uintptr_t address) {
        const Lock lock(*this);
        const auto after = ranges_.upper_bound(address);
        if (after == ranges_.begin()) return false;
        GuardedRange& range = std::prev(after)->second;
        if (address - range.base_ >= range.size_) return false;
        const size_t offset = (address - range.base_) & ~(range.unit_ - 1);
        if (range.lost_slowly(offset, 1)) return true;  // by another thread, while this one waited
        return replace_piece(range, offset) || replace_all(range);
    }

private:
    class Lock {
    public:
        explicit Lock(GuardedRanges& owner) : owner_(owner) {
            while (owner_.busy_.test_and_set(std::memory_order_acquire)) ::sched_yield();
        }
        ~Lock() { owner_.busy_.clear(std::memory_order_release); }
        Lock(const Lock&) = delete;
        Lock& operator=(const Lock&) = delete;

    private:
        GuardedRanges& owner_;
    };

    bool replace_piece(GuardedRange& range, size_t offset) {
        const uint32_t pieces = range.pieces_.load(std::memory_order_relaxed);
        if (pieces >= GuardedRange::kPiecesAlone || alone_ >= kAllAlone) return false;
        if (!put_zeros(range.base_ + offset, range.unit_)) return false;
        ++alone_;
        range.at_[pieces].store(offset, std::memory_order_relaxed);
        range.pieces_.store(pieces + 1, std::memory_order_release);
        return true;
    }

    // One mapping in place of one or many. mmap(2) refuses it all the same where the process is at
    // its limit: it counts before it unmaps. To unmap the range first would help, but then another
    // thread's mapping could take the place before ours does. So something else is given up.
    bool replace_all(GuardedRange& range) {
        while (!put_zeros(range.base_, range.size_)) {
            if (reserved_ == 0) return false;
            ::munmap(reserve_[--reserved_], kPage);
        }
        forget_pieces(range);
        range.pieces_.store(GuardedRange::kAll, std::memory_order_release);
        return true;
    }

    void forget_pieces(const GuardedRange& range) {
        const uint32_t pieces = range.pieces_.load(std::memory_order_relaxed);
        if (pieces != GuardedRange::kAll) alone_ -= pieces;
    }

    // Shared ones: neighbours that are private become one mapping, and count as one.
    void fill_reserve() {
        for (; reserved_ < kReserve; ++reserved_) {
            void* const page = ::mmap(nullptr, kPage, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            if (page == MAP_FAILED) return;
            reserve_[reserved_] = page;
        }
    }

    std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
    std::map<uintptr_t, GuardedRange> ranges_;
    std::atomic<size_t> count_{0};
    uint32_t alone_ = 0;  // pieces replaced alone, in all ranges
    std::array<void*, kReserve> reserve_{};
    size_t reserved_ = 0;  // of reserve_ in use
};

namespace {

// Never destroyed: mappings of static objects may outlive any order of destruction.
GuardedRanges& ranges() {
    static auto* const kInstance = new GuardedRanges();
    return *kInstance;
}

void on_sigbus(int, siginfo_t* info, void*) {
    const int saved = errno;
    // A read may be retried on zeros and a write is lost, as with memory that is not there.
    if (info->si_code == BUS_ADRERR && ranges().mend(reinterpret_cast<uintptr_t>(info->si_addr)))
        g_pages.fetch_add(1, std::memory_order_relaxed);
    else
        ::signal(SIGBUS, SIG_DFL);  // not ours to mend: the access runs again and ends the process
    errno = saved;
}

}  // namespace

const GuardedRange* guard_range(void* base, size_t size, size_t unit) {
    return ranges().add(reinterpret_cast<uintptr_t>(base), size, unit);
}

void unguard_range(void* base) {
    ranges().remove(reinterpret_cast<uintptr_t>(base));
}

size_t guarded_ranges() {
    return ranges().count();
}

Status install_sigbus_guard() {
    (void)ranges();  // not to be made in the handler
    struct sigaction action {};
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    if (::sigaction(SIGBUS, &action, nullptr) != 0) return fail_errno("sigaction(SIGBUS)");
    return {};
}

uint64_t sigbus_pages_replaced() {
    return g_pages.load(std::memory_order_relaxed);
}

}  // namespace mimic
