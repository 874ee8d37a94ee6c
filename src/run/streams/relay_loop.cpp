// SPDX-License-Identifier: Apache-2.0
// The side of the relay that the guest sees.
#include "streams/relay_loop.h"

#include <sys/epoll.h>

#include <chrono>
#include <cstring>
#include <random>

#include "base/unix_socket.h"

namespace mimic::streams {
namespace {

using namespace std::chrono_literals;

constexpr auto kConnectAgain = 50ms;
/// A frame after which one end notices that bytes were lost. Arbitrary.
constexpr auto kPing = 5s;
/// A HELLO that is not answered by then may be lost. Arbitrary: an emulated guest may be stopped as
/// long, and then sees two.
constexpr auto kAnswer = 5s;
/// A guest that has us begin anew all the time must not keep a CPU busy.
constexpr auto kGreetAgain = 100ms;
/// Clients are not read from while more waits for the guest, until there is less.
constexpr size_t kPortBusy = size_t{512} << 10;
constexpr size_t kPortFree = size_t{128} << 10;
constexpr size_t kMostClients = 4 * STREAM_MAX_CHANNELS;

}  // namespace

Result<std::unique_ptr<RelayLoop>> RelayLoop::create(EventLoop& loop, const std::string& port_path,
                                                     const std::string& listen_path) {
    std::unique_ptr<RelayLoop> relay(new RelayLoop(loop, port_path));
    MIMIC_ASSIGN_OR_RETURN(relay->acceptor_, SocketAcceptor::create(loop, listen_path, *relay));
    relay->connect();
    return relay;
}

RelayLoop::~RelayLoop() {
    if (port_events_ != 0) loop_.unwatch(port_.fd());
}

void RelayLoop::connect_later() {
    connect_again_.start(loop_, kConnectAgain, [this] { connect(); });
}

void RelayLoop::connect() {
    auto socket = unix_connect_now(port_path_);
    if (!socket) return connect_later();  // QEMU has not made it yet
    port_ = Stream(std::move(*socket));
    port_events_ = EPOLLIN;
    if (!loop_.watch(port_.fd(), port_events_, *this)) {
        port_events_ = 0;
        port_.close();
        return connect_later();
    }
    greet();
}

// QEMU has ended: so does its supervisor, soon.
void RelayLoop::port_gone() {
    if (port_events_ != 0) loop_.unwatch(port_.fd());
    port_events_ = 0;
    port_.close();
    state_ = State::kAbsent;
    end_all(STREAM_ENDS, "the machine ends");
    connect_later();
}

void RelayLoop::greet() {
    state_ = State::kGreeting;
    greeted_ = loop_.now();
    std::random_device random;
    for (uint8_t& byte : id_) byte = static_cast<uint8_t>(random());
    port_.out().clear();  // what is half sent ends with the filler
    append_hello(port_.out(), id_);
    flush_port();
    greet_later(kAnswer);
}

// Unless the guest has answered by then. It may have lost our HELLO, or not have read it yet: then
// one more would only lie behind it.
void RelayLoop::greet_later(Duration delay) {
    greet_again_.start(loop_, delay, [this] {
        if (!port_ || state_ != State::kGreeting) return;
        if (loop_.now() - greeted_ < kAnswer || port_.out_size() == 0) return greet();
        greet_later(kAnswer);
    });
}

void RelayLoop::begin_anew(std::string_view why) {
    uint64_t suppressed = 0;
    if (complaints_.allow(loop_.now(), suppressed))
        MIMIC_LOG("streams", kWarn, "The guest's stream port begins anew: {}{}", why,
                  log::more_like_it(suppressed));
    state_ = State::kGreeting;
    end_all(STREAM_LOST, why);
    greet_soon();
}

void RelayLoop::greet_soon() {
    const Duration since = loop_.now() - greeted_;
    if (since >= kGreetAgain) return greet();
    greet_later(kGreetAgain - since);
}

void RelayLoop::end_all(uint32_t why, std::string_view text) {
    auto channels = std::exchange(channels_, {});
    for (const auto& [channel, client] : channels) {
        if (client == nullptr) continue;
        client->channel = 0;
        client->refuse(why, text);
    }
}

void RelayLoop::on_fd_ready(uint32_t events) {
    if ((events & EPOLLOUT) != 0) flush_port();
    if (!port_ || (events & ~static_cast<uint32_t>(EPOLLOUT)) == 0) return;
    switch (port_.fill()) {
        case Stream::Got::kBytes:
            return take_from_port();
        case Stream::Got::kNothing:
            return;
        case Stream::Got::kEnd:
            return port_gone();
    }
}

void RelayLoop::take_from_port() {
    while (port_) {
        if (state_ != State::kReady) {
            const auto sync = hunt(port_.in());
            if (!sync) return;
            if (sync->type == STREAM_RESTART) {  // it has not seen our HELLO
                greet_soon();
            } else if (std::memcmp(sync->content.id, id_.data(), id_.size()) == 0 &&
                       sync->content.version == STREAM_VERSION) {
                // It has also done what it asked us to begin anew for before.
                greet_again_.cancel();
                state_ = State::kReady;
                in_sequence_ = out_sequence_ = 0;
            }
            continue;
        }
        Frame frame;
        const Taken taken = peek_frame(port_.in(), frame);
        if (taken == Taken::kMore) return;
        if (taken == Taken::kBroken || !take_one(frame)) {
            begin_anew("what it sent is no frame, or bytes of it are lost");
            continue;
        }
        if (state_ == State::kReady) port_.in().drop(frame_size(frame));
    }
}

// A frame from the guest. False: there can be no such.
bool RelayLoop::take_one(const Frame& frame) {
    if (frame.header.type == STREAM_RESTART && is_sync(frame)) {
        begin_anew("the guest's program began anew");
        return true;
    }
    if (frame.header.sequence != in_sequence_ + 1) return false;
    in_sequence_ = frame.header.sequence;
    if (frame.header.type == STREAM_PONG) return frame.header.channel == 0;
    return pass_on(frame);
}

bool RelayLoop::pass_on(const Frame& frame) {
    const auto place = channels_.find(frame.header.channel);
    if (place == channels_.end()) return false;
    RelayClient* const client = place->second;
    const auto opened = frame.as<stream_opened>();
    const bool last = frame.header.type == STREAM_EXIT ||
                      (frame.header.type == STREAM_OPENED && opened && opened->error != 0);
    if (client != nullptr && !client->guest_may(frame)) {
        client->refuse(STREAM_LOST, "the guest's program broke the rules of its streams");
        return true;
    }
    if (last) channels_.erase(place);
    if (client == nullptr) return true;  // nobody waits any more
    if (last) client->channel = 0;
    client->deliver(frame, last);
    return true;
}

void RelayLoop::send_to_port(stream_header header, std::span<const std::byte> payload) {
    if (state_ != State::kReady) return;
    header.sequence = ++out_sequence_;
    append_frame(port_.out(), header, payload);
    flush_port();
}

void RelayLoop::flush_port() {
    if (!port_.flush()) return;  // the end is read as well
    const uint32_t wanted = port_.out_size() != 0 ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if (wanted != port_events_ && loop_.rewatch(port_.fd(), wanted)) port_events_ = wanted;
    hold_clients();
}

void RelayLoop::hold_clients() {
    const bool hold = port_.out_size() > (held_ ? kPortFree : kPortBusy);
    if (hold == held_) return;
    held_ = hold;
    std::vector<RelayClient*> all;
    for (const auto& [client, owner] : clients_) all.push_back(client);
    for (RelayClient* const client : all) {
        if (held_ != hold) return;  // a client had much to say
        if (clients_.contains(client)) client->hold(hold);
    }
}

void RelayLoop::on_client(UniqueFd socket) {
    if (clients_.size() >= kMostClients) return;  // closed
    auto client = std::make_unique<RelayClient>(*this, std::move(socket));
    RelayClient* const raw = client.get();
    clients_.emplace(raw, std::move(client));
    raw->hold(held_);
}

void RelayLoop::on_accept_failed(const Error& error) {
    uint64_t suppressed = 0;
    if (complaints_.allow(loop_.now(), suppressed))
        MIMIC_LOG("streams", kWarn, "Cannot accept a command: {}{}", error.message(),
                  log::more_like_it(suppressed));
}

uint32_t RelayLoop::new_channel(RelayClient& client) {
    if (channels_.size() >= STREAM_MAX_CHANNELS) return 0;
    do ++last_channel_;
    while (last_channel_ == 0 || channels_.contains(last_channel_));
    channels_[last_channel_] = &client;
    if (!ping_.is_pending()) ping_later();
    return last_channel_;
}

void RelayLoop::close_channel(uint32_t channel) {
    const auto place = channels_.find(channel);
    if (place == channels_.end()) return;
    place->second = nullptr;
    stream_header header{};
    header.channel = channel;
    header.type = STREAM_CLOSE;
    send_to_port(header, {});
}

void RelayLoop::forget(RelayClient& client) {
    const auto place = clients_.find(&client);
    if (place == clients_.end()) return;
    gone_.push_back(std::move(place->second));  // it may be on the stack
    clients_.erase(place);
    if (!bury_.is_pending()) bury_.post(loop_, [this] { gone_.clear(); });
}

// While a command runs: what the guest's kernel lost would not be noticed else.
void RelayLoop::ping_later() {
    ping_.start(loop_, kPing, [this] {
        if (channels_.empty()) return;
        stream_header header{};
        header.type = STREAM_PING;
        if (port_.out_size() < kPortFree) send_to_port(header, {});
        ping_later();
    });
}

}  // namespace mimic::streams
