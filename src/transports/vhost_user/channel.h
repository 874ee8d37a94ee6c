// SPDX-License-Identifier: Apache-2.0
// Channel: messages of a vhost-user socket, one after the other, with their descriptors. It never
// reads beyond the end of a message, so that descriptors, which come with a message's first byte,
// cannot be taken for those of another: this socket carries tens of messages in a device's life.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "vhost_user/protocol.h"

namespace mimic::vhost_user {

/// One received message. Valid until the next receive(); descriptors that are not moved out are
/// closed then.
struct Message {
    Header header{};
    std::span<const uint8_t> body;
    std::span<UniqueFd> fds;
    bool fds_lost = false;  // this process could not take all that the peer sent (EMFILE, ENFILE)
};

/// Framing over a non-blocking UNIX stream socket. Thread-bound.
class Channel {
public:
    enum class State : uint8_t {
        kMessage,  // message() is one
        kNothing,  // no whole message is there now
        kClosed,   // the peer is gone, or its framing cannot be followed: close_reason()
    };

    /// Owns `socket`, which becomes non-blocking.
    explicit Channel(UniqueFd socket);

    int fd() const { return socket_.get(); }

    /// Reads on, at most to the end of one message. kClosed on EOF, on a socket error, a version
    /// that is not 1, a reply (nothing was asked), a body longer than kMaxBody, and more than
    /// kMaxMessageFds descriptors.
    State receive();
    Message& message() { return message_; }

    /// Whether a message has begun and not ended.
    bool mid_message() const { return got_ != 0; }

    /// Sends one message. What the socket does not take is kept for flush(); the owner reads no
    /// further message meanwhile, so that it is never more than what one message is answered with.
    void send(const Header& header, std::span<const uint8_t> body);

    bool has_backlog() const { return !backlog_.empty(); }

    /// Sends what was kept. False when the peer is gone.
    bool flush();

    /// Why the channel closed, for the log; empty for a plain EOF.
    const std::string& close_reason() const { return close_reason_; }

private:
    State closed(std::string why);
    ssize_t read_some(std::span<uint8_t> space);
    void take_fds(const void* header);  // msghdr

    UniqueFd socket_;
    std::array<uint8_t, sizeof(Header) + kMaxBody> bytes_{};
    size_t got_ = 0;  // of the message that has begun
    std::vector<UniqueFd> fds_;
    bool fds_lost_ = false;
    Message message_;
    std::vector<uint8_t> backlog_;
    std::string close_reason_;
};

}  // namespace mimic::vhost_user
