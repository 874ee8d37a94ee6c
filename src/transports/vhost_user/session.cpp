// SPDX-License-Identifier: Apache-2.0
#include "vhost_user/session.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

namespace mimic::vhost_user {
// NOLINTNEXTLINE(readability-function-size): each is another object that outlives the session
Session::Session(EventLoop& loop, virtio::Device& device, UniqueFd socket, Counters& counters,
                 Owner& owner, Options options)
    : loop_(loop),
      device_(device),
      counters_(counters),
      owner_(owner),
      options_(options),
      channel_(std::move(socket)),
      memory_([this](uint64_t address) {
          warn(fmt::format("the front-end took away memory that it had shared: {:#x} is lost",
                           address),
               Complaint::kOther);
      }) {
    ++counters_.connections;
    Ring::Owner& rings_owner = *this;
    for (uint16_t i = 0; i < device_.queue_count(); ++i)
        rings_.push_back(std::make_unique<Ring>(loop_, rings_owner, i));
}

Session::~Session() {
    if (!closed_) close("the server stops", /*fault=*/false);
}

Status Session::start() {
    watched_ = EPOLLIN;
    MIMIC_TRY(loop_.watch(channel_.fd(), watched_, *this));
    device_.attach(*this);
    handshake_.start(loop_, options_.handshake_timeout,
                     [this] { end("no request in time", /*fault=*/true); });
    return {};
}

void Session::on_fd_ready(uint32_t events) {
    thread_.check();
    if (closed_) return;
    if (draining_) {
        // Nothing else is watched for now.
        if ((events & (EPOLLHUP | EPOLLERR)) != 0) end("", /*fault=*/false);
        return;
    }
    if (writing_ && !channel_.flush()) return end("", /*fault=*/false);
    // Level-triggered: what is left for the next turn is told then.
    while (!closed_ && !draining_ && !channel_.has_backlog()) {
        const auto state = channel_.receive();
        if (state == Channel::State::kClosed)
            return end(channel_.close_reason(), !channel_.close_reason().empty());
        if (state == Channel::State::kNothing) break;
        handle();
        if (loop_.share_is_over()) break;
    }
    if (!closed_) watch_again();
}

// Watches for what the session can go on with.
void Session::watch_again() {
    writing_ = channel_.has_backlog();
    uint32_t events = EPOLLIN;
    if (draining_)
        events = 0;
    else if (writing_)
        events = EPOLLOUT;
    if (events != watched_) {
        if (auto ok = loop_.rewatch(channel_.fd(), events); !ok)
            return end(ok.error().message(), /*fault=*/false);
        watched_ = events;
    }
    watch_half_message();
}

void Session::watch_half_message() {
    if (!channel_.mid_message()) return await_rest_.cancel();
    if (await_rest_.is_pending()) return;
    await_rest_.start(loop_, options_.message_timeout,
                      [this] { end("half a message, and no rest in time", /*fault=*/true); });
}

void Session::close_if_hung_up() {
    pollfd probe{channel_.fd(), POLLRDHUP, 0};
    while (!closed_ && ::poll(&probe, 1, 0) == 1) {
        if (draining_ || writing_) return end("", /*fault=*/false);
        on_fd_ready(EPOLLIN);
    }
}

void Session::handle() {
    ++counters_.messages;
    handshake_.cancel();
    await_rest_.cancel();
    answered_ = false;
    finish(carry_out(static_cast<Request>(channel_.message().header.request)));
}

Session::Outcome Session::carry_out(Request request) {
    switch (request) {
        case Request::kGetFeatures:
            return on_get_u64(offered_features());
        case Request::kSetFeatures:
            return on_set_features();
        case Request::kSetOwner:
            return no_fds();
        case Request::kResetOwner:  // deprecated; "should be sent no longer"
            stop_all_rings();
            return no_fds();
        case Request::kGetProtocolFeatures:
            return on_get_u64(offered_protocol());
        case Request::kSetProtocolFeatures:
            return on_set_protocol_features();
        case Request::kGetQueueNum:
            return on_get_u64(rings_.size());
        case Request::kSetMemTable:
            return on_set_mem_table();
        case Request::kGetMaxMemSlots:
            return on_get_u64(kMaxMemorySlots);
        case Request::kAddMemReg:
            return on_add_mem_reg();
        case Request::kRemMemReg:
            return on_rem_mem_reg();
        case Request::kSetBackendReqFd:
            return on_backend_socket();
        case Request::kGetConfig:
            return on_get_config();
        case Request::kSetConfig:
            return on_set_config();
        case Request::kResetDevice:
            return on_reset_device();
        case Request::kSetStatus:
            return on_set_status();
        case Request::kGetStatus:
            return on_get_u64(device_.status() != 0 ? device_.status() : status_);
        default:
            return carry_out_ring(request);
    }
}

Session::Outcome Session::carry_out_ring(Request request) {
    switch (request) {
        case Request::kSetVringNum:
            return on_vring_num();
        case Request::kSetVringAddr:
            return on_vring_addr();
        case Request::kSetVringBase:
            return on_vring_base();
        case Request::kGetVringBase:
            return on_get_vring_base();
        case Request::kSetVringKick:
        case Request::kSetVringCall:
        case Request::kSetVringErr:
            return on_vring_descriptor(request);
        case Request::kSetVringEnable:
            return on_vring_enable();
        default:
            return fail(std::errc::not_supported, "unknown request");
    }
}

// Answers with REPLY_ACK where the front-end asked for that. One that did not would go on as if it
// had worked: nothing is left then but the end.
void Session::finish(const Outcome& outcome) {
    const Header& request = channel_.message().header;
    const bool wants_reply = has(kProtocolReplyAck) && (request.flags & kFlagNeedReply) != 0;
    if (outcome) {
        const uint64_t done = 0;
        if (wants_reply && !answered_)
            reply({reinterpret_cast<const uint8_t*>(&done), sizeof done});
        return;
    }
    ++counters_.errors;
    const auto why = fmt::format("request {} refused: {}", request.request,
                                 outcome.error().message());
    if (!wants_reply || answered_) return end(why, /*fault=*/true);
    warn(why, Complaint::kRefused);
    const uint64_t failed = 1;
    reply({reinterpret_cast<const uint8_t*>(&failed), sizeof failed});
}

void Session::reply(std::span<const uint8_t> bytes) {
    answered_ = true;
    channel_.send({channel_.message().header.request, kVersion | kFlagReply,
                   static_cast<uint32_t>(bytes.size())},
                  bytes);
}

void Session::interrupt_queue(uint16_t index) {
    if (closed_ || index >= rings_.size()) return;
    if (rings_[index]->call()) ++counters_.interrupts;
}

// One that the front-end does not read is lost: it has unread ones then.
void Session::interrupt_config() {
    if (closed_ || !backend_socket_) return;
    const Header header{static_cast<uint32_t>(BackendRequest::kConfigChange), kVersion, 0};
    if (::send(backend_socket_.get(), &header, sizeof header, MSG_NOSIGNAL | MSG_DONTWAIT) ==
        static_cast<ssize_t>(sizeof header))
        ++counters_.interrupts;
}

void Session::end(std::string_view why, bool fault) {
    close(why, fault);
    owner_.on_session_closed();
}

// Quiesce, reset, unmap: the device is as new for the next front-end.
void Session::close(std::string_view why, bool fault) {
    thread_.check();
    closed_ = true;
    handshake_.cancel();
    await_rest_.cancel();
    drain_timer_.cancel();
    if (fault) {
        ++counters_.protocol_faults;
        warn(fmt::format("closed the connection: {}", why), Complaint::kClosed);
    } else if (uint64_t suppressed = 0;
               log::level() <= log::Level::kInfo &&
               owner_.log_limit(Complaint::kGone).allow(loop_.now(), suppressed)) {
        MIMIC_LOG("vhost-user", kInfo, "{}: front-end gone{}{}{}", device_.name(),
                  why.empty() ? "" : ": ", why, log::more_like_it(suppressed));
    }
    loop_.unwatch(channel_.fd());
    for (const auto& ring : rings_) ring->clear();
    backend_socket_.reset();
    device_.detach();
    memory::free_in_turns(loop_, memory_.abandon_all());
}

void Session::warn(std::string_view what, Complaint about) {
    uint64_t suppressed = 0;
    if (owner_.log_limit(about).allow(loop_.now(), suppressed))
        MIMIC_LOG("vhost-user", kWarn, "{}: {}{}", device_.name(), what,
                  log::more_like_it(suppressed));
}

}  // namespace mimic::vhost_user
