// SPDX-License-Identifier: Apache-2.0
#include "vfio_user/channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace mimic::vfio_user {
namespace {

// Descriptors that one message can carry in Linux (SCM_MAX_FD). With room for all of them, none is
// cut off because a peer sent too many: if one is lost, this process has no number left for it.
constexpr size_t kMostFds = 253;
constexpr size_t kControlSize = CMSG_SPACE(kMostFds * sizeof(int));

Header read_header(const uint8_t* bytes) {
    Header header;
    std::memcpy(&header, bytes, sizeof header);
    return header;
}

bool may_carry_fds(uint16_t command) {
    return command == static_cast<uint16_t>(Command::kDmaMap) ||
           command == static_cast<uint16_t>(Command::kDeviceSetIrqs) ||
           command == static_cast<uint16_t>(Command::kDeviceFeature);
}

// Header + body + descriptor in one sendmsg: QEMU reads 16 bytes at once and a short header is
// fatal to it.
ssize_t send_some(int socket, std::span<const iovec> parts, int fd) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (fd >= 0) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* cmsg = CMSG_FIRSTHDR(&message);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
    }
    ssize_t sent;
    do {
        sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

}  // namespace

Channel::Channel(UniqueFd socket, ReceiveBuffer& buffer)
    : socket_(std::move(socket)), buffer_(buffer) {
    const int flags = ::fcntl(socket_.get(), F_GETFL);
    ::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK);
}

Channel::State Channel::fail_with(std::string reason) {
    close_reason_ = std::move(reason);
    return State::kClosed;
}

Channel::State Channel::receive(Handler& handler) {
    if (broken_) return State::kClosed;
    const auto scratch = buffer_.bytes();
    // A message that began earlier continues in the channel's own memory, which grows only as bytes
    // really arrive: a peer that announces 1 MiB and sends nothing gets nothing.
    const size_t kept = partial_.size();
    if (kept > scratch.size() / 2) partial_.resize(kept + scratch.size());
    const bool in_partial = kept > scratch.size() / 2;
    if (!in_partial && kept != 0) std::memcpy(scratch.data(), partial_.data(), kept);
    const auto space = in_partial ? std::span(partial_).subspan(kept) : scratch.subspan(kept);

    iovec part{space.data(), space.size()};
    alignas(cmsghdr) std::array<char, kControlSize> control;
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t received = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (received < 0) {
        if (in_partial) partial_.resize(kept);
        drained_ = errno == EAGAIN;
        if (errno == EAGAIN || errno == EINTR) return State::kOpen;
        return fail_with(Error::from_errno(errno, "recvmsg").message());
    }
    const size_t new_fds = message.msg_controllen != 0 ? take_fds(message) : 0;
    const bool lost_fds = (message.msg_flags & MSG_CTRUNC) != 0;
    drained_ = static_cast<size_t>(received) < space.size() && new_fds == 0 && !lost_fds;
    if (fds_.size() > kMaxReceivedFds)
        return fail_with("more descriptors than the protocol allows");
    if (received == 0) {
        return kept == 0 ? State::kClosed
                         : fail_with(fmt::format("EOF after {} bytes of a message", kept));
    }

    const size_t total = kept + static_cast<size_t>(received);
    if (in_partial) partial_.resize(total);
    const std::span<const uint8_t> bytes = in_partial
                                               ? std::span<const uint8_t>(partial_)
                                               : std::span<const uint8_t>(scratch.first(total));
    if (new_fds != 0 || lost_fds) attribute_fds(bytes, kept, new_fds, lost_fds);
    size_t used = 0;
    const State state = dispatch(bytes, handler, used);
    if (state == State::kClosed) return state;
    if (in_partial) {
        drop_handled(used);
    } else if (used != total || kept != 0) {
        partial_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(used), bytes.end());
        if (partial_.empty()) std::vector<uint8_t>().swap(partial_);
        for (FdBatch& batch : batches_) batch.owner -= std::min(batch.owner, used);
    }
    return State::kOpen;
}

bool Channel::mid_message() const {
    if (partial_.empty()) return false;
    return partial_.size() < sizeof(Header) || read_header(partial_.data()).size > partial_.size();
}

Channel::State Channel::resume(Handler& handler) {
    size_t used = 0;
    const State state = dispatch(partial_, handler, used);
    if (state == State::kOpen) drop_handled(used);
    return state;
}

void Channel::drop_handled(size_t used) {
    partial_.erase(partial_.begin(), partial_.begin() + static_cast<std::ptrdiff_t>(used));
    if (partial_.empty()) std::vector<uint8_t>().swap(partial_);
    for (FdBatch& batch : batches_) batch.owner -= std::min(batch.owner, used);
}

// Returns how many came.
size_t Channel::take_fds(const msghdr& header) {
    const size_t before = fds_.size();
    for (cmsghdr* cmsg = CMSG_FIRSTHDR(&header); cmsg != nullptr;
         cmsg = CMSG_NXTHDR(const_cast<msghdr*>(&header), cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd;
            std::memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof fd);
            fds_.emplace_back(fd);
        }
    }
    return fds_.size() - before;
}

// The kernel ends a read after the send that carried descriptors, but may put earlier sends before
// it. So they belong to the last message that starts in the bytes just read, if it is of a kind
// that carries descriptors or too short yet to tell; else (one send of several messages) to the
// last of such a kind before it; else to the last one, which is handled without them. Bytes in
// which no message starts continue the first.
void Channel::attribute_fds(std::span<const uint8_t> bytes, size_t first_new, size_t count,
                            bool lost) {
    size_t last = 0;
    size_t carrier = SIZE_MAX;
    for (size_t at = 0; at < bytes.size();) {
        if (at >= first_new) last = at;
        if (bytes.size() - at < sizeof(Header)) {
            if (at >= first_new) carrier = at;
            break;
        }
        const Header header = read_header(bytes.data() + at);
        if (at >= first_new && may_carry_fds(header.command)) carrier = at;
        if (header.size < sizeof(Header) || header.size > bytes.size() - at) break;
        at += header.size;
    }
    batches_.push_back({carrier != SIZE_MAX ? carrier : last, count, lost});
}

// How many of the first fds_ go to the message that starts at `offset`; forgets their batches.
Channel::FdBatch Channel::fds_of_message_at(size_t offset) {
    FdBatch all{offset};
    size_t batches = 0;
    for (; batches < batches_.size() && batches_[batches].owner <= offset; ++batches) {
        all.count += batches_[batches].count;
        all.lost = all.lost || batches_[batches].lost;
    }
    batches_.erase(batches_.begin(), batches_.begin() + static_cast<std::ptrdiff_t>(batches));
    return all;
}

void Channel::drop_first_fds(size_t count) {
    fds_.erase(fds_.begin(), fds_.begin() + static_cast<std::ptrdiff_t>(count));
}

Channel::State Channel::dispatch(std::span<const uint8_t> bytes, Handler& handler, size_t& used) {
    // A backlog means that the peer does not read its replies: the rest waits for resume(). So it
    // does once the turn is over. Of a lone request that is not asked: a clock may cost as much as
    // it does.
    bool asked = false;
    while (bytes.size() - used >= sizeof(Header) && !wants_write()) {
        Message message{read_header(bytes.data() + used), {}, {}, false};
        const uint32_t size = message.header.size;
        if (size < sizeof(Header) || size > max_message_size_) {
            handler.on_bad_size(message.header, max_message_size_);
            return fail_with(fmt::format("message size {}, expected {}..{}", size, sizeof(Header),
                                         max_message_size_));
        }
        if (size > bytes.size() - used) break;
        const bool followed = size < bytes.size() - used;
        if (followed && !std::exchange(asked, true)) (void)handler.turn_is_over();
        message.payload = bytes.subspan(used + sizeof(Header), size - sizeof(Header));
        const FdBatch batch = batches_.empty() ? FdBatch{} : fds_of_message_at(used);
        const size_t fd_count = batch.count;
        message.fds = std::span(fds_).first(fd_count);
        message.fds_lost = batch.lost;
        used += size;
        const bool go_on = handler.on_message(message);
        if (fd_count != 0) drop_first_fds(fd_count);
        // Nobody would see the answers to what follows.
        if (!go_on || broken_) return State::kClosed;
        if (followed && handler.turn_is_over()) yield();
    }
    return State::kOpen;
}

bool Channel::send(std::span<const uint8_t> head, std::span<const uint8_t> tail, int fd) {
    if (broken_) return true;
    size_t sent = 0;
    if (backlog_.empty() && tail.empty() && fd < 0) {
        // By far the most common reply, and send(2) is the cheaper call.
        const ssize_t n = ::send(socket_.get(), head.data(), head.size(),
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            break_connection();
            return true;
        }
        if (n > 0) sent = static_cast<size_t>(n);
        if (sent == head.size()) return true;
    } else if (backlog_.empty()) {
        const std::array<iovec, 2> parts = {iovec{const_cast<uint8_t*>(head.data()), head.size()},
                                            iovec{const_cast<uint8_t*>(tail.data()), tail.size()}};
        const ssize_t n = send_some(socket_.get(), std::span(parts).first(tail.empty() ? 1 : 2),
                                    fd);
        if (n < 0 && errno == ETOOMANYREFS) return false;  // ours and others', not yet received
        if (n < 0 && errno != EAGAIN) {
            break_connection();
            return true;
        }
        if (n > 0) {
            sent = static_cast<size_t>(n);
            fd = -1;  // went with the first byte
        }
        if (sent == head.size() + tail.size()) return true;
    }
    Outgoing rest;
    rest.bytes.reserve(head.size() + tail.size() - sent);
    if (sent < head.size())
        rest.bytes.insert(rest.bytes.end(), head.begin() + static_cast<std::ptrdiff_t>(sent),
                          head.end());
    const size_t tail_sent = sent > head.size() ? sent - head.size() : 0;
    rest.bytes.insert(rest.bytes.end(), tail.begin() + static_cast<std::ptrdiff_t>(tail_sent),
                      tail.end());
    if (fd >= 0) {
        rest.fd.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
        if (!rest.fd) return false;  // it rides on the first byte, so nothing of it was sent
    }
    backlog_.push_back(std::move(rest));
    return true;
}

void Channel::break_connection() {
    broken_ = true;
    backlog_.clear();
    // The sender may be a timer of the device, and a peer that only stopped reading makes no event:
    // this does.
    ::shutdown(socket_.get(), SHUT_RDWR);
}

bool Channel::flush() {
    yielding_ = false;
    while (!backlog_.empty() && !broken_) {
        Outgoing& next = backlog_.front();
        const iovec part{next.bytes.data() + next.sent, next.bytes.size() - next.sent};
        const ssize_t n = send_some(socket_.get(), std::span(&part, 1), next.fd.get());
        if (n < 0) {
            if (errno == EAGAIN) return true;
            break_connection();
            break;
        }
        next.fd.reset();
        next.sent += static_cast<size_t>(n);
        if (next.sent == next.bytes.size()) backlog_.pop_front();
    }
    return !broken_;
}

}  // namespace mimic::vfio_user
