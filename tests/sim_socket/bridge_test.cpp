// SPDX-License-Identifier: Apache-2.0
// The socket of integrations/sst without an SST: its bridge, with the client that device hosts use
// and with clients that behave as Linux SST's QEMU does, send parts, and go.
#include "integrations/sst/bridge.h"

#include <sys/socket.h>

#include <cstring>

#include <gtest/gtest.h>

#include "tests/sim_socket/peers.h"

namespace mimic::sim {
namespace {

using namespace std::chrono_literals;
using testing::request_of;
using testing::run_until;

class SstBridge : public ::testing::Test {
protected:
    void SetUp() override {
        std::string error;
        ASSERT_TRUE(bridge_.start(error)) << error;
    }

    // A turn of the simulation: answers what has come.
    void turn() {
        mimic_sst::Asked asked;
        while (bridge_.poll(asked)) {
            SSTResponse response{};
            response.result = asked.request.type;
            std::memcpy(response.payload.data, asked.request.payload.data, SST_MAX_DATA_SIZE);
            bridge_.answer(asked, response, {5, 1005});
        }
    }

    testing::SocketFolder folder_;
    mimic_sst::Bridge bridge_{folder_.path(), 100ms};
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
};

TEST_F(SstBridge, AnswersOurClientWithTimes) {
    SocketOptions options;
    options.path = folder_.path();
    const auto simulator = make_socket_simulator(options, *loop_).value();
    size_t answers = 0;
    for (uint64_t id = 0; id < 200; ++id) {
        SSTRequest request = request_of(SST_REQ_ECHO, id);
        std::memcpy(request.payload.data, &id, sizeof id);
        simulator->submit(request, 0, [&, id](const Answer& answer) {
            EXPECT_EQ(std::memcmp(answer.response.payload.data, &id, sizeof id), 0);
            EXPECT_EQ(answer.finished, 1'005'000u);
            EXPECT_EQ(answer.submitted, 1'000'000u);
            ++answers;
        });
    }
    EXPECT_TRUE(run_until(*loop_, [&] {
        turn();
        return answers == 200;
    }));
    EXPECT_EQ(bridge_.clients(), 1u);
}

TEST_F(SstBridge, AnswersTheSeedsQemuOneByOne) {
    for (int session = 0; session < 3; ++session) {
        std::atomic<bool> over{false};
        std::thread qemu([&] {
            const auto fd = unix_connect(folder_.path()).value();
            for (uint32_t type = 0; type < 10; ++type) {
                const SSTRequest request = request_of(type, 50 + type, type);
                SSTResponse response;
                if (::write(fd.get(), &request, sizeof request) != sizeof request) break;
                if (!testing::read_exactly(fd.get(), &response, sizeof response)) break;
                EXPECT_EQ(response.request_id, 50 + type);
                EXPECT_EQ(response.user_data, type);
                EXPECT_EQ(response.reserved, 0u);
                EXPECT_EQ(response.result, type);
            }
            over = true;
        });
        while (!over) {
            turn();
            bridge_.wait(1ms);
        }
        qemu.join();
    }
    EXPECT_EQ(bridge_.connections(), 3u);
}

TEST_F(SstBridge, AnswersPartsByItself) {
    const auto fd = unix_connect(folder_.path()).value();
    const SSTRequest request = request_of(SST_REQ_ECHO, 9, 8);
    ASSERT_EQ(::write(fd.get(), &request, 500), 500);
    SSTResponse response;
    ASSERT_TRUE(testing::read_exactly(fd.get(), &response, sizeof response));
    EXPECT_EQ(response.status, SST_STATUS_INVALID);
    EXPECT_EQ(response.request_id, 9u);
    char byte;
    EXPECT_EQ(::read(fd.get(), &byte, 1), 0);
    EXPECT_EQ(bridge_.malformed(), 1u);
    EXPECT_FALSE(bridge_.has_request());
}

TEST_F(SstBridge, DropsAnswersWhoseClientHasGone) {
    {
        const auto fd = unix_connect(folder_.path()).value();
        const SSTRequest request = request_of(SST_REQ_ECHO, 1);
        ASSERT_EQ(::write(fd.get(), &request, sizeof request), sizeof request);
        ASSERT_TRUE(run_until(*loop_, [&] { return bridge_.has_request(); }));
    }
    ASSERT_TRUE(run_until(*loop_, [&] { return bridge_.clients() == 0; }));
    turn();
    SocketOptions options;
    options.path = folder_.path();
    const auto simulator = make_socket_simulator(options, *loop_).value();
    EXPECT_TRUE(run_until(*loop_, [&] {
        turn();
        return simulator->ready();
    }));
}

}  // namespace
}  // namespace mimic::sim
