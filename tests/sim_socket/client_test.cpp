// SPDX-License-Identifier: Apache-2.0
// The simulator behind a socket against peers that are absent, of Linux SST, slow, wrong, silent,
// and dying.
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <mutex>

#include <gtest/gtest.h>

#include "tests/sim_socket/peers.h"

namespace mimic::sim {
namespace {

using namespace std::chrono_literals;
using testing::Events;
using testing::PeerServer;
using testing::request_of;
using testing::run_until;
using testing::SocketFolder;

constexpr uint64_t kLost = static_cast<uint64_t>(SST_ERROR_SIMULATOR_LOST) << 56;

class SocketClient : public ::testing::Test {
protected:
    void connect(SocketOptions options = {}) {
        options.path = folder_.path();
        options.first_retry = 1ms;
        options.last_retry = 20ms;
        auto made = make_socket_simulator(options, *loop_);
        ASSERT_TRUE(made) << made.error().message();
        simulator_ = std::move(*made);
        simulator_->set_observer(&events_);
    }

    void submit(const SSTRequest& request) {
        simulator_->submit(request, 0, [this](const Answer& answer) {
            answers_.push_back(answer.response);
            times_.push_back({answer.submitted, answer.finished});
        });
    }

    bool answered(size_t count) {
        return run_until(*loop_, [&] { return answers_.size() >= count; });
    }
    bool ready() {
        return run_until(*loop_, [&] { return simulator_->ready(); });
    }

    SocketFolder folder_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    Events events_;
    std::unique_ptr<Simulator> simulator_;
    std::vector<SSTResponse> answers_;
    std::vector<std::pair<SimTime, SimTime>> times_;
};

// One answer as Linux SST's component gives it: NOOP, ECHO and COMPUTE are known.
SSTResponse seed_answer(const SSTRequest& request) {
    SSTResponse response{};
    response.request_id = request.request_id;
    response.user_data = request.user_data;
    if (request.type == SST_REQ_ECHO) {
        response.result = SST_MAX_DATA_SIZE;
        std::memcpy(response.payload.data, request.payload.data, SST_MAX_DATA_SIZE);
    } else if (request.type == SST_REQ_COMPUTE) {
        response.payload.compute.cycles = request.payload.compute.compute_units * 100;
        response.result = response.payload.compute.cycles;
    } else if (request.type != SST_REQ_NOOP) {
        response.status = SST_STATUS_INVALID;
    }
    return response;
}

// Linux SST's: what comes is one request of 4,104 bytes, and nothing before its answer has gone.
struct SeedPeer {
    void operator()(int fd) {
        SSTRequest request;
        while (testing::read_exactly(fd, &request, sizeof request)) {
            int more = 0;
            ::ioctl(fd, FIONREAD, &more);
            if (more != 0) ++too_early;
            ++requests;
            const SSTResponse response = seed_answer(request);
            if (!testing::write_exactly(fd, &response, sizeof response)) return;
        }
    }
    std::atomic<int> too_early{0};
    std::atomic<int> requests{0};
};

TEST_F(SocketClient, AnswersNoDeviceAtOnceWhileNobodyServes) {
    connect();
    submit(request_of(SST_REQ_COMPUTE, 7, 70));
    ASSERT_EQ(answers_.size(), 1u);
    EXPECT_EQ(answers_[0].status, SST_STATUS_NO_DEVICE);
    EXPECT_EQ(answers_[0].request_id, 7u);
    EXPECT_EQ(answers_[0].user_data, 70u);
    EXPECT_FALSE(simulator_->ready());
    EXPECT_EQ(simulator_->counters().lost, 1u);
}

TEST_F(SocketClient, ConnectsWhenSomebodyServes) {
    connect();
    SeedPeer peer;
    PeerServer server(folder_.path(), std::ref(peer));
    ASSERT_TRUE(ready());
    EXPECT_EQ(events_.count(SST_EVENT_NOTIFICATION, SST_NOTICE_SIMULATOR_READY), 1u);
    submit(request_of(SST_REQ_ECHO, 1));
    ASSERT_TRUE(answered(1));
    EXPECT_EQ(answers_[0].status, SST_STATUS_OK);
}

TEST_F(SocketClient, SendsOneRequestAtATimeToAPeerOfTheSeed) {
    SeedPeer peer;
    PeerServer server(folder_.path(), std::ref(peer));
    connect();
    for (uint64_t id = 0; id < 200; ++id) {
        SSTRequest request = request_of(SST_REQ_COMPUTE, id, ~id);
        request.payload.compute.compute_units = id;
        submit(request);
    }
    ASSERT_TRUE(answered(200));
    for (uint64_t id = 0; id < 200; ++id) {
        EXPECT_EQ(answers_[id].request_id, id);
        EXPECT_EQ(answers_[id].user_data, ~id);
        EXPECT_EQ(answers_[id].result, id * 100);
    }
    EXPECT_EQ(peer.too_early, 0);
    EXPECT_EQ(peer.requests, 201);  // and the NOOP that asks what it can
}

TEST_F(SocketClient, AnswersBusyBeyondItsQueue) {
    PeerServer server(folder_.path(), [](int fd) {
        char byte;
        while (::read(fd, &byte, 1) > 0) {
        }
    });
    SocketOptions options;
    options.max_in_flight = 1;
    options.max_queued = 4;
    connect(options);
    for (uint64_t id = 0; id < 6; ++id) submit(request_of(SST_REQ_COMPUTE, id));
    ASSERT_EQ(answers_.size(), 1u);
    EXPECT_EQ(answers_[0].status, SST_STATUS_BUSY);
    EXPECT_EQ(answers_[0].request_id, 5u);
}

TEST_F(SocketClient, RefusesWhatNoDeviceMayAsk) {
    connect();
    submit(request_of(99, 1));
    SSTRequest read = request_of(SST_REQ_READ, 2);
    read.payload.memory.size = SST_MAX_DATA_SIZE + 1;
    submit(read);
    SSTRequest write = request_of(SST_REQ_WRITE, 3);
    write.payload.memory.size = SST_MAX_DATA_SIZE;
    submit(write);
    ASSERT_EQ(answers_.size(), 3u);
    for (const auto& answer : answers_) EXPECT_EQ(answer.status, SST_STATUS_INVALID);
}

// Keeps each request until the test lets it answer.
struct SlowPeer {
    void operator()(int fd) {
        SSTRequest request;
        while (testing::read_exactly(fd, &request, sizeof request)) {
            // The NOOP that asks is answered at once.
            while (request.type != SST_REQ_NOOP && permits == 0) std::this_thread::sleep_for(1ms);
            if (request.type != SST_REQ_NOOP) --permits;
            const SSTResponse response = seed_answer(request);
            if (!testing::write_exactly(fd, &response, sizeof response)) return;
        }
    }
    std::atomic<int> permits{0};
};

TEST_F(SocketClient, AnswersTimeoutAndDropsTheLateAnswer) {
    SlowPeer peer;
    PeerServer server(folder_.path(), std::ref(peer));
    SocketOptions options;
    options.timeout = 5s;  // its last answer is to be in time on a busy machine
    connect(options);
    ASSERT_TRUE(ready());
    submit(request_of(SST_REQ_COMPUTE, 11));
    ASSERT_TRUE(answered(1));
    EXPECT_EQ(answers_[0].status, SST_STATUS_TIMEOUT);
    peer.permits = 1;
    ASSERT_TRUE(run_until(
        *loop_, [&] { return simulator_->counters().late + simulator_->counters().lost != 0; }));
    peer.permits = 1000;
    if (simulator_->counters().late == 1) {  // else the machine was so busy that it was left
        EXPECT_EQ(events_.count(SST_EVENT_ERROR, static_cast<uint64_t>(SST_ERROR_LATE) << 56 | 11),
                  1u);
    }
    ASSERT_TRUE(ready());
    submit(request_of(SST_REQ_ECHO, 11));  // the same id once more: the late one was not its answer
    ASSERT_TRUE(answered(2));
    EXPECT_EQ(answers_[1].result, uint64_t{SST_MAX_DATA_SIZE});
    EXPECT_EQ(answers_.size(), 2u);
}

TEST_F(SocketClient, LeavesAPeerThatNeverAnswers) {
    std::atomic<int> connections{0};
    std::atomic<bool> answers{false};
    PeerServer server(folder_.path(), [&](int fd) {
        ++connections;
        SSTRequest request;
        while (testing::read_exactly(fd, &request, sizeof request)) {
            if (!answers && request.type != SST_REQ_NOOP) continue;
            const SSTResponse response = seed_answer(request);
            if (!testing::write_exactly(fd, &response, sizeof response)) return;
        }
    });
    SocketOptions options;
    options.timeout = 200ms;
    connect(options);
    ASSERT_TRUE(ready());
    submit(request_of(SST_REQ_COMPUTE, 1));
    ASSERT_TRUE(answered(1));
    EXPECT_EQ(answers_[0].status, SST_STATUS_TIMEOUT);
    answers = true;
    ASSERT_TRUE(run_until(*loop_, [&] { return connections >= 2 && simulator_->ready(); }));
    // On a busy machine one may be too late again.
    for (size_t id = 2; answers_.back().status != SST_STATUS_OK; ++id) {
        ASSERT_LT(id, 100u);
        ASSERT_TRUE(ready());
        submit(request_of(SST_REQ_COMPUTE, id));
        ASSERT_TRUE(answered(id));
    }
}

TEST_F(SocketClient, CountsAnswersToNothing) {
    PeerServer server(folder_.path(), [](int fd) {
        SSTRequest request;
        while (testing::read_exactly(fd, &request, sizeof request)) {
            SSTResponse response = seed_answer(request);
            if (request.type != SST_REQ_NOOP) {
                response.request_id ^= 0x5555;
                if (!testing::write_exactly(fd, &response, sizeof response)) return;
                response.request_id ^= 0x5555;
            }
            if (!testing::write_exactly(fd, &response, sizeof response)) return;
        }
    });
    connect();
    ASSERT_TRUE(ready());
    events_.all.clear();
    submit(request_of(SST_REQ_COMPUTE, 5));
    ASSERT_TRUE(answered(1));
    EXPECT_EQ(answers_[0].status, SST_STATUS_OK);
    EXPECT_EQ(simulator_->counters().unknown, 1u);
    ASSERT_EQ(events_.all.size(), 1u);
    EXPECT_EQ(events_.all[0].type, uint32_t{SST_EVENT_ERROR});
    EXPECT_EQ(events_.all[0].data >> 56, uint64_t{SST_ERROR_UNKNOWN_ID});
}

TEST_F(SocketClient, AnswersAllThatADyingPeerHad) {
    std::atomic<bool> die{true};
    PeerServer server(folder_.path(), [&](int fd) {
        SSTRequest request;
        while (testing::read_exactly(fd, &request, sizeof request)) {
            if (request.type == SST_REQ_COMPUTE && die.exchange(false)) return;
            const SSTResponse response = seed_answer(request);
            if (!testing::write_exactly(fd, &response, sizeof response)) return;
        }
    });
    connect();
    ASSERT_TRUE(ready());
    for (uint64_t id = 0; id < 64; ++id) submit(request_of(SST_REQ_COMPUTE, id));
    ASSERT_TRUE(answered(64));
    for (uint64_t id = 0; id < 64; ++id) {
        EXPECT_EQ(answers_[id].status, SST_STATUS_NO_DEVICE);
        EXPECT_EQ(answers_[id].request_id, id);
    }
    EXPECT_EQ(events_.count(SST_EVENT_ERROR, kLost), 1u);
    ASSERT_TRUE(ready());
    submit(request_of(SST_REQ_COMPUTE, 64));
    ASSERT_TRUE(answered(65));
    EXPECT_EQ(answers_[64].status, SST_STATUS_OK);
    EXPECT_EQ(simulator_->counters().connections, 2u);
}

TEST_F(SocketClient, PutsAnswersTogetherThatComeInPieces) {
    PeerServer server(folder_.path(), [](int fd) {
        SSTRequest request;
        while (testing::read_exactly(fd, &request, sizeof request)) {
            const SSTResponse response = seed_answer(request);
            const auto* const bytes = reinterpret_cast<const char*>(&response);
            for (size_t at = 0; at < sizeof response; at += 257) {
                const size_t size = std::min<size_t>(257, sizeof response - at);
                if (!testing::write_exactly(fd, bytes + at, size)) return;
            }
        }
    });
    connect();
    for (uint64_t id = 0; id < 20; ++id) {
        SSTRequest request = request_of(SST_REQ_ECHO, id);
        request.payload.data[SST_MAX_DATA_SIZE - 1] = static_cast<uint8_t>(id);
        submit(request);
    }
    ASSERT_TRUE(answered(20));
    for (uint64_t id = 0; id < 20; ++id)
        EXPECT_EQ(answers_[id].payload.data[SST_MAX_DATA_SIZE - 1], id);
}

TEST_F(SocketClient, ForgetsAtResetWhatIsInFlight) {
    SlowPeer peer;
    PeerServer server(folder_.path(), std::ref(peer));
    connect();
    ASSERT_TRUE(ready());
    for (uint64_t id = 0; id < 10; ++id) submit(request_of(SST_REQ_COMPUTE, id));
    EXPECT_EQ(simulator_->in_flight(), 10u);
    simulator_->reset();
    EXPECT_EQ(simulator_->in_flight(), 0u);
    peer.permits = 1000;
    submit(request_of(SST_REQ_ECHO, 3));
    ASSERT_TRUE(answered(1));
    EXPECT_EQ(answers_[0].result, uint64_t{SST_MAX_DATA_SIZE});
    EXPECT_EQ(answers_.size(), 1u);
    EXPECT_EQ(simulator_->counters().late, 0u);
    EXPECT_EQ(simulator_->counters().unknown, 0u);
}

TEST_F(SocketClient, MayBeDestroyedByItsOwnAnswer) {
    SeedPeer peer;
    PeerServer server(folder_.path(), std::ref(peer));
    connect();
    ASSERT_TRUE(ready());
    bool gone = false;
    simulator_->submit(request_of(SST_REQ_NOOP, 1), 0, [&](const Answer&) {
        simulator_.reset();
        gone = true;
    });
    submit(request_of(SST_REQ_NOOP, 2));
    ASSERT_TRUE(run_until(*loop_, [&] { return gone; }));
    EXPECT_TRUE(answers_.empty());
}

TEST_F(SocketClient, LockStepAnswersWithinSubmit) {
    SeedPeer peer;
    PeerServer server(folder_.path(), std::ref(peer));
    SocketOptions options;
    options.lock_step = true;
    options.clock_hz = 500'000'000;
    connect(options);
    SSTRequest request = request_of(SST_REQ_COMPUTE, 1);
    request.payload.compute.compute_units = 3;
    simulator_->submit(request, 1'000'000, [&](const Answer& answer) {
        answers_.push_back(answer.response);
        EXPECT_EQ(answer.submitted, 1'000'000u);
        EXPECT_EQ(answer.finished, 1'000'000u + 300 * 2'000);  // 300 cycles of 2 ns
    });
    ASSERT_EQ(answers_.size(), 1u);
    EXPECT_EQ(answers_[0].status, SST_STATUS_OK);
}

TEST_F(SocketClient, LockStepWaitsNoLongerThanItsLimit) {
    SlowPeer peer;
    PeerServer server(folder_.path(), std::ref(peer));
    SocketOptions options;
    options.lock_step = true;
    options.wait_limit = 50ms;
    connect(options);
    submit(request_of(SST_REQ_COMPUTE, 1));
    ASSERT_EQ(answers_.size(), 1u);
    EXPECT_EQ(answers_[0].status, SST_STATUS_TIMEOUT);
    peer.permits = 1000;
}

TEST_F(SocketClient, LockStepAnswersNoDeviceWhenThePeerDies) {
    std::atomic<bool> die{true};
    PeerServer server(folder_.path(), [&](int fd) {
        SSTRequest request;
        while (testing::read_exactly(fd, &request, sizeof request)) {
            if (request.type == SST_REQ_COMPUTE && die.exchange(false)) return;
            const SSTResponse response = seed_answer(request);
            if (!testing::write_exactly(fd, &response, sizeof response)) return;
        }
    });
    SocketOptions options;
    options.lock_step = true;
    connect(options);
    submit(request_of(SST_REQ_COMPUTE, 1));
    ASSERT_EQ(answers_.size(), 1u);
    EXPECT_EQ(answers_[0].status, SST_STATUS_NO_DEVICE);
    ASSERT_TRUE(ready());
    submit(request_of(SST_REQ_COMPUTE, 2));
    ASSERT_EQ(answers_.size(), 2u);
    EXPECT_EQ(answers_[1].status, SST_STATUS_OK);
}

TEST(SocketOptions, AreChecked) {
    const auto loop = EventLoop::create().value();
    EXPECT_EQ(make_socket_simulator({}, *loop).error().code(), std::errc::invalid_argument);
    SocketOptions options;
    options.path = std::string(108, 'a');
    EXPECT_EQ(make_socket_simulator(options, *loop).error().code(), std::errc::filename_too_long);
    options.path = "/tmp/x";
    options.timeout = Duration::zero();
    EXPECT_EQ(make_socket_simulator(options, *loop).error().code(), std::errc::invalid_argument);
}

}  // namespace
}  // namespace mimic::sim
