// SPDX-License-Identifier: Apache-2.0
// Bodies and descriptors of requests, checked: what the handlers of a session share.
#pragma once

#include <cstring>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "vhost_user/channel.h"

namespace mimic::vhost_user {

/// The beginning of the body. Errors: EINVAL for one that is shorter.
template <typename T>
Result<T> head_of(Channel& channel) {
    const auto bytes = channel.message().body;
    T value{};
    if (bytes.size() < sizeof value)
        return fail(std::errc::invalid_argument, "{} bytes, expected {}", bytes.size(),
                    sizeof value);
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

/// All of the body. Errors: EINVAL for any other size.
template <typename T>
Result<T> body_of(Channel& channel) {
    if (channel.message().body.size() != sizeof(T))
        return fail(std::errc::invalid_argument, "{} bytes, expected {}",
                    channel.message().body.size(), sizeof(T));
    return head_of<T>(channel);
}

/// Errors: EINVAL if descriptors came with a request that has none.
inline Status check_no_fds(Channel& channel) {
    if (channel.message().fds.empty()) return {};
    return fail(std::errc::invalid_argument, "{} descriptors", channel.message().fds.size());
}

/// The one descriptor of the request. Errors: EINVAL for none or several, EMFILE if this process
/// could not take it.
inline Result<UniqueFd> take_fd(Message& message) {
    if (message.fds_lost)
        return fail(std::errc::too_many_files_open, "this process has no descriptor left");
    if (message.fds.size() != 1)
        return fail(std::errc::invalid_argument, "{} descriptors, expected one",
                    message.fds.size());
    return std::move(message.fds[0]);
}

}  // namespace mimic::vhost_user
