// SPDX-License-Identifier: Apache-2.0
#include "vhost_user/channel.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace mimic::vhost_user {
namespace {

// Descriptors that one message can carry in Linux (SCM_MAX_FD). With room for all of them, none is
// cut off because a peer sent too many: if one is lost, this process has no number left for it.
constexpr size_t kMostFds = 253;

}  // namespace

Channel::Channel(UniqueFd socket) : socket_(std::move(socket)) {
    const int flags = ::fcntl(socket_.get(), F_GETFL);
    ::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK);
}

Channel::State Channel::closed(std::string why) {
    close_reason_ = std::move(why);
    return State::kClosed;
}

void Channel::take_fds(const void* received) {
    auto* const header = const_cast<msghdr*>(static_cast<const msghdr*>(received));
    for (cmsghdr* cmsg = CMSG_FIRSTHDR(header); cmsg != nullptr; cmsg = CMSG_NXTHDR(header, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof fd);
            fds_.emplace_back(fd);
        }
    }
    fds_lost_ = fds_lost_ || (header->msg_flags & MSG_CTRUNC) != 0;
}

// As recvmsg(2); descriptors go to fds_.
ssize_t Channel::read_some(std::span<uint8_t> space) {
    iovec part{space.data(), space.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostFds * sizeof(int))> control;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got >= 0 && (message.msg_controllen != 0 || (message.msg_flags & MSG_CTRUNC) != 0))
        take_fds(&message);
    return got;
}

Channel::State Channel::receive() {
    if (got_ == 0) {
        fds_.clear();  // what the last message's handler left
        fds_lost_ = false;
    }
    for (;;) {
        Header header{};
        size_t wanted = sizeof header;
        if (got_ >= sizeof header) {
            std::memcpy(&header, bytes_.data(), sizeof header);
            if ((header.flags & kVersionMask) != kVersion || (header.flags & kFlagReply) != 0)
                return closed(fmt::format("message flags {:#x}", header.flags));
            if (header.size > kMaxBody)
                return closed(
                    fmt::format("a message of {} bytes, at most {}", header.size, kMaxBody));
            wanted += header.size;
        }
        if (got_ >= sizeof header && got_ == wanted) {
            got_ = 0;
            message_ = {header, std::span(bytes_).subspan(sizeof header, header.size), fds_,
                        fds_lost_};
            return State::kMessage;
        }
        const ssize_t n = read_some(std::span(bytes_).subspan(got_, wanted - got_));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return State::kNothing;
        if (n < 0)
            return closed(fmt::format("recvmsg: {}", std::generic_category().message(errno)));
        if (n == 0)
            return closed(got_ == 0 ? "" : fmt::format("EOF after {} bytes of a message", got_));
        if (fds_.size() > kMaxMessageFds) return closed("more descriptors than a message can have");
        got_ += static_cast<size_t>(n);
    }
}

void Channel::send(const Header& header, std::span<const uint8_t> body) {
    const auto* const head = reinterpret_cast<const uint8_t*>(&header);
    backlog_.insert(backlog_.end(), head, head + sizeof header);
    backlog_.insert(backlog_.end(), body.begin(), body.end());
    (void)flush();  // who is gone is noticed when it is read from
}

bool Channel::flush() {
    while (!backlog_.empty()) {
        const ssize_t n = ::send(socket_.get(), backlog_.data(), backlog_.size(),
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return true;
        if (n < 0) {
            backlog_.clear();
            return false;
        }
        backlog_.erase(backlog_.begin(), backlog_.begin() + n);
    }
    return true;
}

}  // namespace mimic::vhost_user
