// SPDX-License-Identifier: Apache-2.0
// Both ends of the simulator's socket against a hostile other end. The first byte says which end is
// ours; the rest is a script of messages, raw bytes, closed connections and turns of the loop.
//
// Server: whatever clients did, what they read is whole answers with ids of their own, no request
// is answered twice, and the next client is served. Client: each request is answered once, however
// the simulator answers; with the simulator gone, all are.
#include <stdlib.h>
#include <sys/socket.h>

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/log.h"
#include "base/private_files.h"
#include "base/unix_socket.h"
#include "sim/socket/client.h"
#include "sim/socket/server.h"
#include "sim/socket/wire.h"
#include "tests/fuzz/fuzz.h"

namespace mimic::fuzz {
namespace {

using namespace sim;

constexpr int kMaxSteps = 200;
constexpr size_t kMaxClients = 3;

struct World {
    World() {
        log::set_level(log::Level::kOff);
        std::string pattern = "/tmp/mimic-fuzz-sim-XXXXXX";
        FUZZ_REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
    }
    ~World() { (void)remove_tree(folder); }
    void turns(int count) {
        for (int i = 0; i < count; ++i) loop->run_once(Duration::zero());
    }
    std::string path() const { return folder + "/sst.sock"; }
    std::string folder;
    std::unique_ptr<EventLoop> loop = EventLoop::create().value();
};

World& world() {
    static World one;
    return one;
}

// Sends as much as the socket takes now.
void send_bytes(int fd, const void* data, size_t size) {
    (void)::send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

SSTRequest scripted_request(Input& input) {
    SSTRequest request{};
    request.type = input.take<uint8_t>();
    request.flags = uint32_t{input.take<uint8_t>()} << 14;
    request.request_id = input.take<uint8_t>();
    const auto payload = input.take_bytes(input.take<uint8_t>() % 24);
    if (!payload.empty()) std::memcpy(request.payload.data, payload.data(), payload.size());
    return request;
}

// --- Our server ------------------------------------------------------------------------------

struct Held final : ServerHandler {
    void on_connected(uint64_t) override {}
    void on_disconnected(uint64_t) override {}
    void on_request(const Asked& asked) override {
        tickets.push_back(asked.ticket);
        if (at_once) answer(tickets.size() - 1);
    }
    void answer(size_t index) {
        const Ticket ticket = tickets[index];
        tickets.erase(tickets.begin() + static_cast<std::ptrdiff_t>(index));
        const SSTResponse response{};
        server->answer(ticket, response, {1, 2});
    }
    Server* server = nullptr;
    bool at_once = false;
    std::vector<Ticket> tickets;
};

class HostileClient {
public:
    explicit HostileClient(UniqueFd fd) : fd_(std::move(fd)) {}
    int fd() const { return fd_.get(); }

    void send(const SSTRequest& request, bool with_trailer) {
        std::array<uint8_t, sizeof request + sizeof(sst_submit)> message{};
        std::memcpy(message.data(), &request, sizeof request);
        send_bytes(fd(), message.data(), sizeof request + (with_trailer ? sizeof(sst_submit) : 0));
    }

    // Takes what has come. Whole answers only: a part of one is looked at when its rest is there.
    void receive() {
        std::array<std::byte, 16384> block;
        for (;;) {
            const ssize_t got = ::recv(fd(), block.data(), block.size(), MSG_DONTWAIT);
            if (got <= 0) {
                // No answer is cut off by the end: it has been sent before.
                if (got == 0) FUZZ_REQUIRE(bytes_.empty());
                return;
            }
            bytes_.insert(bytes_.end(), block.begin(), block.begin() + got);
            while (take_answer()) {
            }
        }
    }

private:
    bool take_answer() {
        const size_t size = response_size(timed_);
        if (bytes_.size() < size) return false;
        SSTResponse response;
        std::memcpy(&response, bytes_.data(), sizeof response);
        FUZZ_REQUIRE(response.status <= SST_STATUS_NO_DEVICE);
        FUZZ_REQUIRE((response.reserved & ~kSocketFlags) == 0);
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(size));
        if ((response.reserved & SST_FLAG_TIMED) != 0) {
            FUZZ_REQUIRE(!timed_);  // it is agreed on once
            timed_ = true;
        }
        return true;
    }

    UniqueFd fd_;
    std::vector<std::byte> bytes_;
    bool timed_ = false;
};

void step_of_clients(Input& input, Held& held,
                     std::vector<std::unique_ptr<HostileClient>>& clients) {
    const uint8_t step = input.take<uint8_t>();
    if (clients.empty() || (step % 10 == 0 && clients.size() < kMaxClients)) {
        // Without a turn of the loop, those that wait to be accepted are many at some point.
        if (auto fd = unix_connect_now(world().path()))
            clients.push_back(std::make_unique<HostileClient>(std::move(*fd)));
        return world().turns(clients.empty() ? 1 : 0);
    }
    const size_t index = (step / 10) % clients.size();
    HostileClient& client = *clients[index];
    switch (step % 10) {
        case 1:
        case 2:
            return client.send(scripted_request(input), (step & 0x80) != 0);
        case 3: {
            const auto raw = input.take_bytes(input.take<uint8_t>());
            return send_bytes(client.fd(), raw.data(), raw.size());
        }
        case 4:
            ::shutdown(client.fd(), SHUT_WR);
            return;
        case 5:
            clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(index));
            return;
        case 6:
            if (!held.tickets.empty()) held.answer(step % held.tickets.size());
            return;
        case 7:
            held.at_once = !held.at_once;
            return;
        case 8:
            return client.receive();
        default:
            return world().turns(1);
    }
}

void fuzz_server(Input& input) {
    Held held;
    ServerOptions options;
    options.path = world().path();
    options.max_in_flight = 4;
    const auto server = Server::listen(options, *world().loop, held).value();
    held.server = server.get();
    {
        std::vector<std::unique_ptr<HostileClient>> clients;
        for (int i = 0; i < kMaxSteps && !input.empty(); ++i) step_of_clients(input, held, clients);
        held.at_once = true;
        while (!held.tickets.empty()) held.answer(0);
        world().turns(3);
        for (const auto& client : clients) client->receive();
    }
    world().turns(3);
    const auto fd = unix_connect_now(options.path).value();
    SSTRequest request{};
    request.request_id = 0x1234;
    send_bytes(fd.get(), &request, sizeof request);
    SSTResponse response{};
    for (int i = 0; i < 10; ++i) {
        world().turns(1);
        if (::recv(fd.get(), &response, sizeof response, MSG_DONTWAIT) == sizeof response) break;
    }
    FUZZ_REQUIRE(response.request_id == 0x1234);
    const auto counters = server->counters();
    FUZZ_REQUIRE(counters.answers <= counters.requests + counters.malformed);
}

// --- Our client ------------------------------------------------------------------------------

class HostileSimulator {
public:
    HostileSimulator() : listener_(UnixListener::listen(world().path()).value()) {}
    UnixListener& listener() { return listener_; }

    void step(Input& input, uint8_t step) {
        if (!fd_) fd_ = std::move(listener_.accept().value());
        if (!fd_) return;
        std::array<std::byte, 65536> block;
        switch (step % 4) {
            case 0: {  // an answer: to what was asked, or to anything
                SSTResponse response{};
                response.status = input.take<uint8_t>() % 8;
                response.reserved = uint32_t{input.take<uint8_t>()} << 14;
                response.request_id = take_id(input);
                send_bytes(fd_.get(), &response, sizeof response);
                return;
            }
            case 1: {
                const auto raw = input.take_bytes(input.take<uint8_t>());
                return send_bytes(fd_.get(), raw.data(), raw.size());
            }
            case 2: {
                const ssize_t got = ::recv(fd_.get(), block.data(), block.size(), MSG_DONTWAIT);
                SSTRequest request;
                if (got < static_cast<ssize_t>(sizeof request)) return;
                std::memcpy(&request, block.data(), sizeof request);
                ids_.push_back(request.request_id);
                return;
            }
            default:
                fd_.reset();
                return;
        }
    }

    void go() { fd_.reset(); }

private:
    uint64_t take_id(Input& input) {
        const uint8_t choice = input.take<uint8_t>();
        if (ids_.empty() || choice >= 0xf0) return choice;
        return ids_[choice % ids_.size()];
    }

    UnixListener listener_;
    UniqueFd fd_;
    std::vector<uint64_t> ids_;
};

void fuzz_client(Input& input) {
    auto peer = std::make_unique<HostileSimulator>();
    SocketOptions options;
    options.path = world().path();
    options.first_retry = std::chrono::microseconds(1);
    options.last_retry = std::chrono::microseconds(1);
    options.max_in_flight = 4;
    options.max_queued = 8;
    const uint8_t flags = input.take<uint8_t>();
    options.pipelined = (flags & 1) != 0;
    options.timed = (flags & 2) != 0;
    const auto simulator = make_socket_simulator(options, *world().loop).value();
    std::map<uint64_t, int> answers;
    uint64_t ids = 0;
    uint64_t forgotten = 0;  // ids up to it were forgotten by a reset, where not answered
    for (int i = 0; i < kMaxSteps && !input.empty(); ++i) {
        const uint8_t step = input.take<uint8_t>();
        if (step % 3 == 0) {
            SSTRequest request = scripted_request(input);
            request.request_id = ++ids;
            answers[ids] = 0;
            simulator->submit(request, 0, [&, id = ids](const Answer& answer) {
                FUZZ_REQUIRE(answer.response.request_id == id);
                FUZZ_REQUIRE(answer.response.status <= SST_STATUS_NO_DEVICE);
                FUZZ_REQUIRE(answer.finished >= answer.submitted);
                ++answers[id];
            });
        } else if (step == 1) {
            simulator->reset();
            FUZZ_REQUIRE(simulator->in_flight() == 0);
            forgotten = ids;
        } else if (step % 3 == 1) {
            peer->step(input, step / 3);
        } else {
            world().turns(1);
        }
    }
    peer.reset();  // and does not come back
    for (int i = 0; i < 10 && simulator->in_flight() != 0; ++i) world().turns(1);
    FUZZ_REQUIRE(simulator->in_flight() == 0);
    for (const auto& [id, count] : answers)
        FUZZ_REQUIRE(count == 1 || (count == 0 && id <= forgotten));
}

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mimic::fuzz::Input input(data, size);
    if ((input.take<uint8_t>() & 1) != 0) {
        mimic::fuzz::fuzz_client(input);
    } else {
        mimic::fuzz::fuzz_server(input);
    }
    return 0;
}
