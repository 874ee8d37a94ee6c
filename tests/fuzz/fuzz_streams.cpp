// SPDX-License-Identifier: Apache-2.0
// Both ends of a guest's stream port against a hostile other end. The first byte says which end is
// ours.
//
// Relay: a script of what the guest and commands send: whole frames, right and wrong, raw bytes,
// closed connections. Whatever it is, a command reads whole frames, and no more of a stream than it
// granted. Guest: raw bytes in parts; each frame that is let in is counted and no longer than may
// be.
#include <stdlib.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/log.h"
#include "base/private_files.h"
#include "base/unix_socket.h"
#include "streams/relay_loop.h"
#include "tests/fuzz/fuzz.h"

extern "C" {
#include "guest/mimic-streamd/streamd.h"
}

namespace mimic::fuzz {
namespace {

using namespace streams;

constexpr int kMaxSteps = 200;
constexpr size_t kMaxClients = 3;
constexpr uint32_t kGranted = 70'000;

struct World {
    World() {
        log::set_level(log::Level::kOff);
        std::string pattern = "/tmp/mimic-fuzz-streams-XXXXXX";
        FUZZ_REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
    }
    ~World() { (void)remove_tree(folder); }
    void turns(int count) {
        for (int i = 0; i < count; ++i) loop->run_once(Duration::zero());
    }
    std::string folder;
    std::unique_ptr<EventLoop> loop = EventLoop::create().value();
};

World& world() {
    static World one;
    return one;
}

struct Client {
    Stream stream;
    uint64_t granted = 0;
    uint64_t got = 0;  // cost of what came

    void read() {
        while (stream && stream.fill() == Stream::Got::kBytes) {
        }
        Frame frame;
        for (;;) {
            const Taken taken = peek_frame(stream.in(), frame);
            FUZZ_REQUIRE(taken != Taken::kBroken);
            if (taken == Taken::kMore) return;
            FUZZ_REQUIRE(frame.header.channel == 0 && frame.header.sequence == 0);
            if (frame.header.type == STREAM_DATA) got += STREAM_COST(frame.header.length);
            FUZZ_REQUIRE(got <= granted);
            stream.in().drop(frame_size(frame));
        }
    }
};

class RelayScript {
public:
    explicit RelayScript(Input& input) : input_(input) {}

    void run() {
        World& w = world();
        auto listener = UnixListener::listen(w.folder + "/port").value();
        const auto relay = RelayLoop::create(*w.loop, w.folder + "/port", w.folder + "/listen")
                               .value();
        auto accepted = listener.accept();
        FUZZ_REQUIRE(accepted && *accepted);
        guest_ = Stream(std::move(*accepted));
        for (int i = 0; i < kMaxSteps && !input_.empty(); ++i) step();
        w.turns(4);
        for (Client& client : clients_) client.read();
        clients_.clear();
        guest_.close();
        w.turns(4);
    }

private:
    void step() {
        switch (input_.take<uint8_t>() % 8) {
            case 0:
                return welcome();
            case 1:
                return guest_frame();
            case 2:
                return raw(guest_);
            case 3:
                return connect();
            case 4:
                return open();
            case 5:
                return client_frame();
            case 6:
                if (!clients_.empty()) raw(one().stream);
                return;
            default:
                if (!clients_.empty() && input_.take<uint8_t>() % 4 == 0) clients_.pop_back();
                return world().turns(2);
        }
    }

    Client& one() { return clients_[input_.take<uint8_t>() % clients_.size()]; }

    // Reads what the relay sent, and answers the last HELLO in it.
    void welcome() {
        world().turns(2);
        while (guest_.fill() == Stream::Got::kBytes) {
        }
        std::optional<stream_sync> hello;
        for (ByteQueue& in = guest_.in(); in.size() >= 48; in.drop(1)) {
            Frame frame;
            if (peek_frame(in, frame) == Taken::kFrame && frame.header.type == STREAM_HELLO &&
                is_sync(frame))
                hello = frame.as<stream_sync>();
        }
        if (!hello) return;
        stream_header header{};
        header.type = STREAM_WELCOME;
        append_frame(guest_.out(), header, bytes_of(*hello));
        sequence_ = 0;
        flush(guest_);
    }

    stream_header any_header() {
        stream_header header{};
        header.type = input_.take<uint8_t>() % 40;
        header.stream = input_.take<uint8_t>() % 3;
        return header;
    }

    void guest_frame() {
        stream_header header = any_header();
        header.channel = input_.take<uint8_t>() % 5;
        header.sequence = ++sequence_;
        append_frame(guest_.out(), header,
                     std::as_bytes(input_.take_bytes(input_.take<uint8_t>() % 64)));
        flush(guest_);
    }

    void connect() {
        if (clients_.size() >= kMaxClients) return;
        auto socket = unix_connect_now(world().folder + "/listen");
        if (socket) clients_.push_back({Stream(std::move(*socket))});
        world().turns(1);
    }

    void open() {
        if (clients_.empty()) return;
        Client& client = one();
        stream_open open{};
        open.credit = kGranted;
        open.arguments = 1;
        std::string text(reinterpret_cast<const char*>(&open), sizeof open);
        text += std::string("\0x\0", 3);
        stream_header header{};
        header.type = STREAM_OPEN;
        append_frame(client.stream.out(), header, std::as_bytes(std::span(text)));
        client.granted += 2 * uint64_t{kGranted};
        flush(client.stream);
    }

    void client_frame() {
        if (clients_.empty()) return;
        Client& client = one();
        stream_header header = any_header();
        const auto payload = std::as_bytes(input_.take_bytes(input_.take<uint8_t>() % 64));
        uint32_t more = 0;
        if (header.type == STREAM_CREDIT && payload.size() == sizeof more) {
            std::memcpy(&more, payload.data(), sizeof more);
            client.granted += more;
        }
        append_frame(client.stream.out(), header, payload);
        flush(client.stream);
    }

    void raw(Stream& stream) {
        const auto bytes = input_.take_bytes(input_.take<uint8_t>());
        if (&stream != &guest_) clients_.front().granted += uint64_t{1} << 40;  // maybe a CREDIT
        for (Client& client : clients_)
            if (&client.stream == &stream) client.granted += uint64_t{1} << 40;
        std::byte* const place = stream.out().grow(bytes.size());
        if (!bytes.empty()) std::memcpy(place, bytes.data(), bytes.size());
        flush(stream);
    }

    void flush(Stream& stream) {
        (void)stream.flush();
        world().turns(1);
        for (Client& client : clients_) client.read();
    }

    Input& input_;
    Stream guest_;
    uint32_t sequence_ = 0;
    std::vector<Client> clients_;
};

struct Seen {
    port* the_port = nullptr;
    uint32_t last = 0;
};

void on_frame(void* context, const stream_header* header, const uint8_t* payload) {
    auto& seen = *static_cast<Seen*>(context);
    FUZZ_REQUIRE(header->length <= STREAM_MAX_PAYLOAD && header->stream <= 2);
    volatile uint8_t touched = 0;
    for (uint32_t i = 0; i < header->length; ++i) touched = payload[i];
    (void)touched;
    if (header->type == STREAM_HELLO) {
        stream_sync hello;
        std::memcpy(&hello, payload, sizeof hello);
        port_welcome(seen.the_port, &hello);
        seen.last = 0;
        return;
    }
    FUZZ_REQUIRE(header->sequence == ++seen.last);
    if (header->type == STREAM_PING) port_send(seen.the_port, 0, STREAM_PONG, 0, nullptr, 0);
}

void run_guest(Input& input) {
    static port one;
    port_restart(&one);
    Seen seen{&one};
    while (!input.empty()) {
        const auto bytes = input.take_bytes(1 + input.take<uint8_t>());
        if (one.in_size + bytes.size() > IN_ROOM) break;
        if (!bytes.empty()) std::memcpy(one.in + one.in_size, bytes.data(), bytes.size());
        port_take(&one, bytes.size(), on_frame, &seen);
        FUZZ_REQUIRE(one.in_size <= IN_ROOM && one.out_begin + one.out_size <= OUT_ROOM);
        if (one.out_size >= OUT_BUSY) one.out_size = 0;
        if (one.broken) {
            port_restart(&one);
            seen.last = 0;
        }
    }
}

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mimic::fuzz::Input input(data, size);
    if (input.take<uint8_t>() % 2 == 0)
        mimic::fuzz::RelayScript(input).run();
    else
        mimic::fuzz::run_guest(input);
    return 0;
}
