// SPDX-License-Identifier: Apache-2.0
// The side of the relay that commands see.
#include <sys/epoll.h>

#include "streams/relay_loop.h"

namespace mimic::streams {
namespace {

/// What waits for a command that does not read: its streams' credit and some words.
constexpr size_t kMostForClient = size_t{3} << 20;

std::optional<stream_open> open_of(const Frame& frame) {
    if (frame.header.type != STREAM_OPEN || frame.payload.size() <= sizeof(stream_open))
        return std::nullopt;
    const Frame head{frame.header, frame.payload.first(sizeof(stream_open))};
    return head.as<stream_open>();
}

}  // namespace

RelayClient::RelayClient(RelayLoop& relay, UniqueFd socket)
    : relay_(relay), stream_(std::move(socket)) {}

RelayClient::~RelayClient() {
    if (events_ != 0) relay_.loop_.unwatch(stream_.fd());
}

void RelayClient::watch() {
    uint32_t wanted = EPOLLRDHUP;
    if (!held_ && !ended_) wanted |= EPOLLIN;
    if (stream_.out_size() != 0) wanted |= EPOLLOUT;
    if (wanted == events_) return;
    const Status done = events_ == 0 ? relay_.loop_.watch(stream_.fd(), wanted, *this)
                                     : relay_.loop_.rewatch(stream_.fd(), wanted);
    if (done) events_ = wanted;
}

void RelayClient::hold(bool held) {
    held_ = held;
    if (!held) take();  // what came before
    watch();
}

void RelayClient::on_fd_ready(uint32_t events) {
    if ((events & EPOLLOUT) != 0) {
        send();
        if (!stream_) return;
    }
    if ((events & EPOLLIN) != 0) return read();
    if ((events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0) finish();
}

void RelayClient::read() {
    switch (stream_.fill()) {
        case Stream::Got::kBytes:
            take();
            break;
        case Stream::Got::kNothing:
            break;
        case Stream::Got::kEnd:
            finish();
    }
}

// Frames that came, as long as the port takes them.
void RelayClient::take() {
    while (stream_ && !ended_ && !held_) {
        Frame frame;
        const Taken taken = peek_frame(stream_.in(), frame);
        if (taken == Taken::kMore) return;
        if (taken == Taken::kBroken || !take_one(frame))
            return refuse(STREAM_INVALID, "no frame of this protocol, or at the wrong time");
        if (!stream_) return;  // refused meanwhile: nothing is left of it
        stream_.in().drop(frame_size(frame));
    }
}

bool RelayClient::take_one(const Frame& frame) {
    if (channel == 0) return open(frame);
    if (!may_pass(frame)) return false;
    stream_header header = frame.header;
    header.channel = channel;
    relay_.send_to_port(header, frame.payload);
    return true;
}

bool RelayClient::open(const Frame& frame) {
    const auto open = open_of(frame);
    if (!open || open->credit > STREAM_MAX_CREDIT) return false;
    if (relay_.state_ != RelayLoop::State::kReady) {
        refuse(STREAM_NOT_READY, "no program in the guest answers at its stream port");
        return true;
    }
    channel = relay_.new_channel(*this);
    if (channel == 0) {
        refuse(STREAM_TOO_MANY, fmt::format("{} commands run in this guest, which is the limit",
                                            STREAM_MAX_CHANNELS));
        return true;
    }
    output_credit_ = {0, open->credit, open->credit};
    stream_header header = frame.header;
    header.channel = channel;
    relay_.send_to_port(header, frame.payload);
    return true;
}

// What a command may say once its channel is open.
bool RelayClient::may_pass(const Frame& frame) {
    const stream_header& header = frame.header;
    switch (header.type) {
        case STREAM_DATA:
            if (header.stream != 0 || STREAM_COST(header.length) > input_credit_) return false;
            input_credit_ -= STREAM_COST(header.length);
            return true;
        case STREAM_EOF:
            return header.stream == 0 && header.length == 0;
        case STREAM_CREDIT: {
            const auto more = frame.as<uint32_t>();
            if (!more || header.stream == 0 || *more > STREAM_MAX_CREDIT) return false;
            uint32_t& credit = output_credit_[header.stream];
            if (credit + *more > STREAM_MAX_CREDIT) return false;
            credit += *more;
            return true;
        }
        case STREAM_SIGNAL:
            return header.length == sizeof(uint32_t);
        case STREAM_WINDOW:
            return header.length == sizeof(stream_window);
        default:
            return false;
    }
}

// Whether the guest may say that now.
bool RelayClient::guest_may(const Frame& frame) {
    const stream_header& header = frame.header;
    if (stream_.out_size() > kMostForClient) return false;
    switch (header.type) {
        case STREAM_OPENED: {
            const auto opened = frame.as<stream_opened>();
            if (opened_ || !opened || opened->credit > STREAM_MAX_CREDIT) return false;
            opened_ = true;
            input_credit_ = opened->credit;
            return true;
        }
        case STREAM_DATA: {
            uint32_t& credit = output_credit_[header.stream];
            if (!opened_ || eof_[header.stream] || STREAM_COST(header.length) > credit)
                return false;
            credit -= STREAM_COST(header.length);
            return true;
        }
        case STREAM_EOF:
            return opened_ && header.length == 0 && !std::exchange(eof_[header.stream], true);
        case STREAM_CREDIT: {
            const auto more = frame.as<uint32_t>();
            if (!opened_ || !more || header.stream != 0 || *more > STREAM_MAX_CREDIT ||
                input_credit_ + *more > STREAM_MAX_CREDIT)
                return false;
            input_credit_ += *more;
            return true;
        }
        case STREAM_EXIT:
            return opened_ && header.length == sizeof(stream_exit);
        default:
            return false;
    }
}

void RelayClient::deliver(const Frame& frame, bool last) {
    stream_header header = frame.header;
    header.channel = 0;
    header.sequence = 0;
    append_frame(stream_.out(), header, frame.payload);
    ended_ = last;
    send();
}

void RelayClient::refuse(uint32_t why, std::string_view text) {
    if (channel != 0) relay_.close_channel(std::exchange(channel, 0));
    ended_ = true;
    std::array<std::byte, 256> payload{};
    const size_t length = std::min(text.size(), payload.size() - sizeof why);
    std::memcpy(payload.data(), &why, sizeof why);
    std::memcpy(payload.data() + sizeof why, text.data(), length);
    stream_header header{};
    header.type = STREAM_REFUSED;
    append_frame(stream_.out(), header, std::span(payload).first(sizeof why + length));
    send();
}

void RelayClient::send() {
    if (!stream_.flush()) return finish();
    if (ended_ && stream_.out_size() == 0) return finish();
    watch();
}

void RelayClient::finish() {
    if (!stream_) return;
    if (events_ != 0) relay_.loop_.unwatch(stream_.fd());
    events_ = 0;
    stream_.close();
    ended_ = true;
    if (channel != 0) relay_.close_channel(std::exchange(channel, 0));
    relay_.forget(*this);
}

}  // namespace mimic::streams
