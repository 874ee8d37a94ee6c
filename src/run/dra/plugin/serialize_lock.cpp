// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/serialize_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <thread>

namespace mimic::dra {

Result<SerializeLock::Held> SerializeLock::take(std::chrono::milliseconds timeout) {
    constexpr std::chrono::milliseconds kPause(2);
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    std::unique_lock lock(mutex_, std::defer_lock);
    if (!lock.try_lock_until(deadline))
        return fail(std::errc::timed_out, "other claims are being prepared for {} ms already",
                    timeout.count());
    UniqueFd fd(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return fail_errno("{}", path_);
    // flock(2) cannot wait for a time. The other instance is one of a rolling update, so this is
    // rare.
    while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno("lock {}", path_);
        if (std::chrono::steady_clock::now() >= deadline)
            return fail(std::errc::timed_out,
                        "another instance of the driver has held {} for {} ms", path_,
                        timeout.count());
        std::this_thread::sleep_for(kPause);
    }
    return Held(std::move(lock), std::move(fd));
}

}  // namespace mimic::dra
