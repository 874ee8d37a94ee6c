// SPDX-License-Identifier: Apache-2.0
// ThreadBound: an object's promise that only one thread uses it, asserted in all builds.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/check.h"

namespace mimic {
namespace internal {

inline constexpr uint32_t kNoThread = 0;

/// Number of the calling thread, from 1; kNoThread until it has first been asked for.
extern constinit thread_local uint32_t t_thread_number;

/// Gives the calling thread a number that no other living thread has, if it has none.
uint32_t thread_number();

/// Whether the thread with this number still runs.
bool thread_lives(uint32_t number);

}  // namespace internal

/// A member of a thread-bound class: check() aborts on any thread but the one to which the object
/// is bound. That is the first one to call check() or bind(), so an object may be made by one
/// thread and handed to the loop that will own it. A thread that has ended owns nothing any more:
/// whoever joined it takes over. With more than 4,095 threads at a time, those beyond count as one.
///
/// One comparison: below a nanosecond, in release builds, too. The object is as large as a
/// uint32_t.
class ThreadBound {
public:
    ThreadBound() = default;
    ThreadBound(const ThreadBound&) = delete;
    ThreadBound& operator=(const ThreadBound&) = delete;

    /// Aborts if the object is bound to another living thread; binds it to this one if to none.
    void check() const { MIMIC_CHECK(is_current() || take_over()); }

    /// Whether the object is bound to the calling thread.
    bool is_current() const {
        const uint32_t owner = owner_.load(std::memory_order_relaxed);
        return owner == internal::t_thread_number && owner != internal::kNoThread;
    }

    /// Binds the object to the calling thread, whichever it belonged to before.
    void bind() { owner_.store(internal::thread_number(), std::memory_order_relaxed); }

    /// The next thread to call check() gets the object.
    void release() { owner_.store(internal::kNoThread, std::memory_order_relaxed); }

private:
    bool take_over() const;

    // Relaxed: whoever hands an object over synchronises by other means (a task, a join), and what
    // a thread that broke the rule reads is not its own number, however old it is.
    mutable std::atomic<uint32_t> owner_{internal::kNoThread};
};

}  // namespace mimic
