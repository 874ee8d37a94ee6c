// SPDX-License-Identifier: Apache-2.0
// Channel: whole messages in and out of one connected socket, with descriptors and partial I/O.
// Knows the framing (Header), nothing of what commands mean.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "vfio_user/protocol.h"

namespace mimic::vfio_user {

/// One received message. The spans and descriptors are valid during Handler::on_message() only;
/// descriptors that the handler does not move out are closed after it.
struct Message {
    Header header;
    std::span<const uint8_t> payload;
    std::span<UniqueFd> fds;
    bool fds_lost = false;  // this process could not take all that the peer sent (EMFILE, ENFILE)
};

/// Buffer that the channels of one loop share for reading, so that an idle connection needs none.
/// Thread-bound.
class ReceiveBuffer {
public:
    static constexpr size_t kSize = 64U << 10;  // about 1,800 posted 4-byte writes
    ReceiveBuffer() : bytes_(std::make_unique<uint8_t[]>(kSize)) {}
    std::span<uint8_t> bytes() { return {bytes_.get(), kSize}; }

private:
    std::unique_ptr<uint8_t[]> bytes_;
};

/// Framing over a non-blocking UNIX stream socket. Thread-bound.
class Channel {
public:
    class Handler {
    public:
        /// Handles one message. False ends the connection: receive() then returns kClosed.
        virtual bool on_message(Message& message) = 0;

        /// Whether the messages that follow should wait for resume(), so that others are served
        /// first. Asked when there is more than one: before the first, and after each that has a
        /// successor.
        virtual bool turn_is_over() { return false; }

        /// A header whose size cannot be: below that of a header, or above `most`. The last thing
        /// that the handler hears, and its last chance to send(): where the next message starts
        /// is not known, so receive() returns kClosed.
        virtual void on_bad_size(const Header& header, uint32_t most) = 0;

    protected:
        ~Handler() = default;
    };

    enum class State : uint8_t { kOpen, kClosed };

    /// Owns `socket`, which becomes non-blocking. `buffer` is borrowed for the channel's life.
    Channel(UniqueFd socket, ReceiveBuffer& buffer);

    int fd() const { return socket_.get(); }

    /// Reads what is there (one recvmsg) and hands out each whole message. kClosed on EOF, on a
    /// socket error, on framing that cannot be followed (size below 16 or over `max_message_size`),
    /// on more descriptors than kMaxReceivedFds, or when the handler says so.
    State receive(Handler& handler);

    /// Sends head and tail as one message with one sendmsg(2) and, if `fd` >= 0, that descriptor.
    /// What the socket does not take is kept and sent by flush(); then wants_write() is true. An
    /// error of the socket shuts it down, so that it becomes readable and receive() returns
    /// kClosed. False, and nothing was sent: `fd` cannot go now (ETOOMANYREFS), or has to wait and
    /// this process has no number left to keep it by. True in all other cases.
    bool send(std::span<const uint8_t> head, std::span<const uint8_t> tail = {}, int fd = -1);

    /// Sends kept bytes. False when the peer is gone.
    bool flush();

    /// Hands out messages that were read but held back while wants_write() was true.
    State resume(Handler& handler);

    /// Holds back what follows the message that is handled now, until resume() after a flush().
    void yield() { yielding_ = true; }

    /// True while bytes wait for the socket, so that a peer that sends and never reads costs a
    /// bounded amount of memory.
    bool has_backlog() const { return !backlog_.empty(); }

    /// True with a backlog, and between yield() and flush(): the owner watches EPOLLOUT and stops
    /// receiving. So a peer whose messages cost much is the one that waits, and what it sends
    /// meanwhile stays in its socket.
    bool wants_write() const { return has_backlog() || yielding_; }

    /// True if the last receive() left nothing in the socket, so that an edge-triggered owner may
    /// wait for the next event. False when it cannot tell: the kernel ends a read at descriptors.
    bool drained() const { return drained_; }

    /// Whether the peer has sent the beginning of a message and not yet its end.
    bool mid_message() const;

    /// Longest message to accept from now on, in bytes.
    void set_max_message_size(uint32_t size) { max_message_size_ = size; }

    /// Why the channel closed, for the log; empty for a plain EOF.
    const std::string& close_reason() const { return close_reason_; }

private:
    struct Outgoing {
        std::vector<uint8_t> bytes;
        size_t sent = 0;
        UniqueFd fd;  // rides on the first byte
    };

    // What one recvmsg brought: `count` of fds_, for the message that starts at `owner` of the
    // bytes not handed out.
    struct FdBatch {
        size_t owner = 0;
        size_t count = 0;
        bool lost = false;  // there were more
    };

    State fail_with(std::string reason);
    State dispatch(std::span<const uint8_t> bytes, Handler& handler, size_t& used);
    void drop_handled(size_t used);
    size_t take_fds(const msghdr& header);
    void attribute_fds(std::span<const uint8_t> bytes, size_t first_new, size_t count, bool lost);
    FdBatch fds_of_message_at(size_t offset);
    void drop_first_fds(size_t count);
    void break_connection();

    UniqueFd socket_;
    ReceiveBuffer& buffer_;
    uint32_t max_message_size_ = kMaxVersionSize;
    std::vector<uint8_t> partial_;  // bytes read and not handed out yet
    std::vector<UniqueFd> fds_;     // received, not handed out yet, in order of arrival
    std::vector<FdBatch> batches_;  // whose they are, in the same order
    std::deque<Outgoing> backlog_;
    bool yielding_ = false;
    bool broken_ = false;
    bool drained_ = true;
    std::string close_reason_;
};

}  // namespace mimic::vfio_user
