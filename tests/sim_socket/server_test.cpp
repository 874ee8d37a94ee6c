// SPDX-License-Identifier: Apache-2.0
// The server's side: with Linux SST's QEMU as client (one write, one blocking read), with ours, and
// with clients that send parts, send too much, do not read, and go.
#include <fcntl.h>
#include <sys/socket.h>

#include <cstring>
#include <deque>

#include <gtest/gtest.h>

#include "sim/socket/server.h"
#include "sim/socket/wire.h"
#include "tests/sim_socket/peers.h"

namespace mimic::sim {
namespace {

using namespace std::chrono_literals;
using testing::request_of;
using testing::run_until;
using testing::SocketFolder;

// Answers each request with its own payload, at once or when the test says.
struct Echo final : ServerHandler {
    void on_connected(uint64_t) override { ++connected; }
    void on_disconnected(uint64_t) override { ++disconnected; }
    void on_request(const Asked& asked) override {
        kept.push_back({asked.ticket, asked.request, asked.submitted});
        if (!hold) answer_one();
    }
    void answer_one(bool newest = false) {
        const auto one = newest ? kept.back() : kept.front();
        newest ? kept.pop_back() : kept.pop_front();
        SSTResponse response{};
        response.result = one.request.type;
        std::memcpy(response.payload.data, one.request.payload.data, SST_MAX_DATA_SIZE);
        server->answer(one.ticket, response, {5, one.submitted + 7});
    }
    Server* server = nullptr;
    bool hold = false;
    int connected = 0;
    int disconnected = 0;
    std::deque<PolledServer::Request> kept;
};

class SocketServer : public ::testing::Test {
protected:
    void listen(ServerOptions options = {}) {
        options.path = folder_.path();
        auto made = Server::listen(options, *loop_, echo_);
        ASSERT_TRUE(made) << made.error().message();
        server_ = std::move(*made);
        echo_.server = server_.get();
    }
    UniqueFd connect() { return unix_connect(folder_.path()).value(); }

    // What Linux SST's QEMU does with a request, while the loop serves; empty: the server has gone.
    std::vector<SSTResponse> ask_as_seed(int fd, std::vector<SSTRequest> requests) {
        std::vector<SSTResponse> answers;
        std::atomic<bool> over{false};
        std::thread qemu([&] {
            for (const auto& request : requests) {
                SSTResponse response;
                if (::write(fd, &request, sizeof request) != sizeof request) break;
                if (::read(fd, &response, sizeof response) != sizeof response) break;
                answers.push_back(response);
            }
            over = true;
        });
        EXPECT_TRUE(run_until(*loop_, [&] { return over.load(); }));
        if (!over) ::shutdown(fd, SHUT_RDWR);
        qemu.join();
        return answers;
    }

    // Bytes that the server sends until it closes.
    std::vector<std::byte> rest_of(int fd) {
        std::vector<std::byte> bytes;
        EXPECT_TRUE(run_until(*loop_, [&] {
            std::byte block[8192];
            const ssize_t got = ::recv(fd, block, sizeof block, MSG_DONTWAIT);
            if (got > 0) bytes.insert(bytes.end(), block, block + got);
            return got == 0;
        }));
        return bytes;
    }

    SocketFolder folder_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    Echo echo_;
    std::unique_ptr<Server> server_;
};

TEST_F(SocketServer, ServesTheSeedsQemu) {
    listen();
    const auto fd = connect();
    std::vector<SSTRequest> requests;
    for (uint32_t type = 0; type < 12; ++type) {
        requests.push_back(request_of(type, 1000 + type, type));
        requests.back().flags = 0xdead;
        requests.back().payload.data[4079] = static_cast<uint8_t>(type);
    }
    const auto answers = ask_as_seed(fd.get(), requests);
    ASSERT_EQ(answers.size(), 12u);
    for (uint32_t type = 0; type < 12; ++type) {
        EXPECT_EQ(answers[type].request_id, 1000u + type);
        EXPECT_EQ(answers[type].user_data, type);
        EXPECT_EQ(answers[type].reserved, 0u);
        EXPECT_EQ(answers[type].payload.data[4079], type);
    }
}

TEST_F(SocketServer, AcceptsThoseWhoComeAgain) {
    listen();
    for (int i = 0; i < 5; ++i) {
        const auto fd = connect();
        EXPECT_EQ(ask_as_seed(fd.get(), {request_of(SST_REQ_NOOP, 1)}).size(), 1u);
    }
    EXPECT_TRUE(run_until(*loop_, [&] { return echo_.disconnected == 5; }));
    EXPECT_EQ(echo_.connected, 5);
}

TEST_F(SocketServer, AnswersInvalidToAPartOfARequest) {
    ServerOptions options;
    options.patience = 100ms;
    listen(options);
    const auto fd = connect();
    const SSTRequest request = request_of(SST_REQ_COMPUTE, 77, 88);
    ASSERT_EQ(::write(fd.get(), &request, 1000), 1000);
    const auto bytes = rest_of(fd.get());
    ASSERT_EQ(bytes.size(), sizeof(SSTResponse));
    SSTResponse response;
    std::memcpy(&response, bytes.data(), sizeof response);
    EXPECT_EQ(response.status, SST_STATUS_INVALID);
    EXPECT_EQ(response.request_id, 77u);
    EXPECT_EQ(response.user_data, 88u);
    EXPECT_EQ(server_->counters().malformed, 1u);
}

TEST_F(SocketServer, AnswersAPartAtOnceWhenNoMoreCanCome) {
    listen();
    const auto fd = connect();
    const SSTRequest request = request_of(SST_REQ_ECHO, 1);
    ASSERT_EQ(::write(fd.get(), &request, sizeof request), sizeof request);
    ASSERT_EQ(::write(fd.get(), &request, 3), 3);
    ::shutdown(fd.get(), SHUT_WR);
    const auto bytes = rest_of(fd.get());
    ASSERT_EQ(bytes.size(), 2 * sizeof(SSTResponse));
    SSTResponse response;
    std::memcpy(&response, bytes.data(), sizeof response);
    EXPECT_EQ(response.status, SST_STATUS_OK);
    std::memcpy(&response, bytes.data() + sizeof response, sizeof response);
    EXPECT_EQ(response.status, SST_STATUS_INVALID);
    EXPECT_EQ(response.request_id, 0u);
}

TEST_F(SocketServer, PutsRequestsTogetherThatComeInPieces) {
    listen();
    const auto fd = connect();
    const SSTRequest request = request_of(SST_REQ_ECHO, 9);
    const auto* const bytes = reinterpret_cast<const char*>(&request);
    std::thread writer([&] {
        for (size_t at = 0; at < sizeof request; at += 27) {
            const size_t size = std::min<size_t>(27, sizeof request - at);
            (void)testing::write_exactly(fd.get(), bytes + at, size);
        }
    });
    EXPECT_TRUE(run_until(*loop_, [&] { return server_->counters().answers == 1; }));
    writer.join();
    EXPECT_EQ(server_->counters().malformed, 0u);
}

// A client that sends many without having asked gets its answers one by one, in order.
TEST_F(SocketServer, TakesOneAtATimeFromWhoHasNotAsked) {
    listen();
    echo_.hold = true;
    const auto fd = connect();
    for (uint64_t id = 0; id < 8; ++id) {
        const SSTRequest request = request_of(SST_REQ_ECHO, id);
        ASSERT_EQ(::write(fd.get(), &request, sizeof request), sizeof request);
    }
    for (uint64_t id = 0; id < 8; ++id) {
        ASSERT_TRUE(run_until(*loop_, [&] { return !echo_.kept.empty(); }));
        loop_->run_once(0ms);
        ASSERT_EQ(echo_.kept.size(), 1u);
        EXPECT_EQ(echo_.kept[0].ticket.request_id, id);
        echo_.answer_one();
    }
}

TEST_F(SocketServer, RefusesMoreClientsThanItMayHave) {
    ServerOptions options;
    options.max_clients = 2;
    listen(options);
    const auto first = connect();
    const auto second = connect();
    const auto third = connect();
    EXPECT_TRUE(rest_of(third.get()).empty());
    EXPECT_EQ(server_->counters().refused, 1u);
    EXPECT_EQ(ask_as_seed(second.get(), {request_of(SST_REQ_NOOP, 1)}).size(), 1u);
}

TEST_F(SocketServer, LeavesAClientThatDoesNotRead) {
    ServerOptions options;
    options.patience = 100ms;
    listen(options);
    const auto greedy = connect();
    ::fcntl(greedy.get(), F_SETFL, O_NONBLOCK);
    const SSTRequest request = request_of(SST_REQ_ECHO, 1);
    ASSERT_TRUE(run_until(*loop_, [&] {
        (void)::send(greedy.get(), &request, sizeof request, MSG_NOSIGNAL);
        return echo_.disconnected == 1;
    }));
    const auto polite = connect();
    EXPECT_EQ(ask_as_seed(polite.get(), {request_of(SST_REQ_NOOP, 1)}).size(), 1u);
}

TEST_F(SocketServer, DropsAnswersWhoseClientHasGone) {
    listen();
    echo_.hold = true;
    {
        const auto fd = connect();
        const SSTRequest request = request_of(SST_REQ_ECHO, 1);
        ASSERT_EQ(::write(fd.get(), &request, sizeof request), sizeof request);
        ASSERT_TRUE(run_until(*loop_, [&] { return !echo_.kept.empty(); }));
    }
    ASSERT_TRUE(run_until(*loop_, [&] { return echo_.disconnected == 1; }));
    echo_.answer_one();
    EXPECT_EQ(server_->counters().dropped, 1u);
}

// Both ends of ours on one loop.
class Pair : public SocketServer {
protected:
    void open(ServerOptions server = {}, SocketOptions client = {}) {
        listen(server);
        client.path = folder_.path();
        simulator_ = make_socket_simulator(client, *loop_).value();
        simulator_->set_observer(&events_);
        ASSERT_TRUE(run_until(*loop_, [&] { return simulator_->ready(); }));
    }
    void submit(uint64_t id) {
        SSTRequest request = request_of(SST_REQ_ECHO, id);
        std::memcpy(request.payload.data, &id, sizeof id);
        simulator_->submit(request, 0, [this](const Answer& answer) {
            uint64_t echoed;
            std::memcpy(&echoed, answer.response.payload.data, sizeof echoed);
            if (answer.response.status == SST_STATUS_OK) {
                EXPECT_EQ(echoed, answer.response.request_id);
            }
            ids_.push_back(answer.response.request_id);
            spent_.push_back(answer.finished - answer.submitted);
        });
    }
    testing::Events events_;
    std::unique_ptr<Simulator> simulator_;
    std::vector<uint64_t> ids_;
    std::vector<SimTime> spent_;
};

TEST_F(Pair, HasManyInFlightAndMatchesAnswersByTheirIds) {
    open();
    echo_.hold = true;
    for (uint64_t id = 0; id < 200; ++id) submit(id);
    ASSERT_TRUE(run_until(*loop_, [&] { return echo_.kept.size() == 200; }));
    for (int i = 0; i < 200; ++i) echo_.answer_one(true);
    ASSERT_TRUE(run_until(*loop_, [&] { return ids_.size() == 200; }));
    EXPECT_EQ(ids_.front(), 199u);
    EXPECT_EQ(ids_.back(), 0u);
    for (const SimTime spent : spent_) EXPECT_EQ(spent, 5000u);  // what sst_timing says
}

TEST_F(Pair, QueuesBeyondWhatMayBeInFlight) {
    SocketOptions options;
    options.max_in_flight = 8;
    open({}, options);
    echo_.hold = true;
    for (uint64_t id = 0; id < 50; ++id) submit(id);
    ASSERT_TRUE(run_until(*loop_, [&] { return echo_.kept.size() == 8; }));
    loop_->run_once(0ms);
    EXPECT_EQ(echo_.kept.size(), 8u);
    echo_.hold = false;
    for (int i = 0; i < 8; ++i) echo_.answer_one();
    EXPECT_TRUE(run_until(*loop_, [&] { return ids_.size() == 50; }));
}

TEST_F(Pair, TellsTimesOnlyToWhoAsksForThem) {
    ServerOptions server;
    server.timed = false;
    open(server);
    submit(1);
    ASSERT_TRUE(run_until(*loop_, [&] { return ids_.size() == 1; }));
    EXPECT_NE(spent_[0], 5000u);  // the wall clock's
}

TEST_F(Pair, OutlivesAServerThatGoesAndComesBack) {
    open();
    echo_.hold = true;
    for (uint64_t id = 0; id < 64; ++id) submit(id);
    ASSERT_TRUE(run_until(*loop_, [&] { return echo_.kept.size() == 64; }));
    server_.reset();
    ASSERT_TRUE(run_until(*loop_, [&] { return ids_.size() == 64; }));
    echo_.kept.clear();
    echo_.hold = false;
    listen();
    ASSERT_TRUE(run_until(*loop_, [&] { return simulator_->ready(); }));
    submit(100);
    EXPECT_TRUE(run_until(*loop_, [&] { return ids_.size() == 65; }));
    EXPECT_EQ(simulator_->counters().lost, 64u);
}

TEST(PolledServer, IsAskedWithoutWaiting) {
    SocketFolder folder;
    ServerOptions options;
    options.path = folder.path();
    const auto server = PolledServer::listen(options).value();
    PolledServer::Request request;
    EXPECT_FALSE(server->poll(request));
    const auto loop = EventLoop::create().value();
    SocketOptions client;
    client.path = options.path;
    const auto simulator = make_socket_simulator(client, *loop).value();
    size_t answers = 0;
    for (uint64_t id = 0; id < 100; ++id) {
        simulator->submit(request_of(SST_REQ_ECHO, id, id * 3), 0, [&, id](const Answer& answer) {
            EXPECT_EQ(answer.response.result, id * 3);
            ++answers;
        });
    }
    ASSERT_TRUE(run_until(*loop, [&] {
        while (server->poll(request)) {
            SSTResponse response{};
            response.result = request.request.user_data;
            server->answer(request.ticket, response, {1, 2});
        }
        return answers == 100;
    }));
    EXPECT_EQ(server->clients(), 1u);
    EXPECT_FALSE(server->wait(1ms));
}

}  // namespace
}  // namespace mimic::sim
