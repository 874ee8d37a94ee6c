// SPDX-License-Identifier: Apache-2.0
#include "base/peer_eventfd.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string_view>

namespace mimic {

// The flags of the descriptor stay as they are: they are the peer's too, which may block in its own
// reads and can change them back.
Status check_peer_eventfd(int fd) {
    std::array<char, 64> target{};
    const auto link = fmt::format("/proc/self/fd/{}", fd);
    const ssize_t n = ::readlink(link.c_str(), target.data(), target.size() - 1);
    if (n < 0) return fail_errno("readlink {}", link);
    if (std::string_view(target.data(), static_cast<size_t>(n)) != "anon_inode:[eventfd]")
        return fail(std::errc::invalid_argument, "interrupt descriptor is no eventfd: {}",
                    target.data());
    return {};
}

void signal_peer_eventfd(int fd) {
    // A counter at its limit would block us, for as long as the client likes.
    pollfd room{fd, POLLOUT, 0};
    if (::poll(&room, 1, 0) != 1) return;
    const uint64_t one = 1;
    [[maybe_unused]] const auto n = ::write(fd, &one, sizeof one);
}

}  // namespace mimic
