// SPDX-License-Identifier: Apache-2.0
#include "base/sigbus_guard.h"

#include <sched.h>
#include <sys/mman.h>

#include <atomic>
#include <csignal>
#include <map>

namespace mimic {
namespace {

std::atomic<uint64_t> g_pages{0};
static_assert(std::atomic<uint64_t>::is_always_lock_free);  // used in a signal handler

constexpr uintptr_t kPage = 4096;

// The guarded ranges by their first byte. The handler takes the lock too: no thread touches guest
// memory while it holds it, so a fault never finds its own thread in here.
class Ranges {
public:
    void add(uintptr_t base, size_t size) {
        const Lock lock(*this);
        ranges_[base] = size;
    }

    void remove(uintptr_t base) {
        const Lock lock(*this);
        ranges_.erase(base);
    }

    // Replaces what `address` needs; false if that lies in no range.
    bool mend(uintptr_t address) {
        const Lock lock(*this);
        const auto after = ranges_.upper_bound(address);
        if (after == ranges_.begin()) return false;
        const auto [base, size] = *std::prev(after);
        if (address - base >= size) return false;
        // A page of its own may not be possible: huge pages cannot be split, and a peer that makes
        // us replace every other page uses up the mappings that a process may have. One range is
        // always one mapping.
        return put_zeros(address & ~(kPage - 1), kPage) || put_zeros(base, size);
    }

private:
    class Lock {
    public:
        explicit Lock(Ranges& owner) : owner_(owner) {
            while (owner_.busy_.test_and_set(std::memory_order_acquire)) ::sched_yield();
        }
        ~Lock() { owner_.busy_.clear(std::memory_order_release); }
        Lock(const Lock&) = delete;
        Lock& operator=(const Lock&) = delete;

    private:
        Ranges& owner_;
    };

    static bool put_zeros(uintptr_t base, size_t size) {
        // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel names the fault by its address
        auto* at = reinterpret_cast<void*>(base);
        return ::mmap(at, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == at;
    }

    std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
    std::map<uintptr_t, size_t> ranges_;
};

// Never destroyed: mappings of static objects may outlive any order of destruction.
Ranges& ranges() {
    static auto* const kInstance = new Ranges();
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

void guard_range(void* base, size_t size) {
    ranges().add(reinterpret_cast<uintptr_t>(base), size);
}

void unguard_range(void* base) {
    ranges().remove(reinterpret_cast<uintptr_t>(base));
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
