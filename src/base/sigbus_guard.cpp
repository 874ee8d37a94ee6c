// SPDX-License-Identifier: Apache-2.0
#include "base/sigbus_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

namespace mimic {
namespace {

std::atomic<uint64_t> g_pages{0};
static_assert(std::atomic<uint64_t>::is_always_lock_free);  // used in a signal handler

constexpr uintptr_t kPage = 4096;

void on_sigbus(int, siginfo_t* info, void*) {
    const int saved = errno;
    if (info->si_code == BUS_ADRERR) {
        // A read may be retried on zeros and a write is lost, as with memory that is not there.
        auto* page = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(info->si_addr) & ~(kPage - 1));
        void* zeros = ::mmap(page, kPage, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (zeros == page) {
            g_pages.fetch_add(1, std::memory_order_relaxed);
            errno = saved;
            return;
        }
    }
    // Not ours to mend: the access runs again with the default action and ends the process.
    ::signal(SIGBUS, SIG_DFL);
    errno = saved;
}

}  // namespace

Status install_sigbus_guard() {
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
