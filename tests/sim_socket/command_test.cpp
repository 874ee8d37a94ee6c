// SPDX-License-Identifier: Apache-2.0
// A simulator that is a program of the user's (`command:`): started, started again, ended.
#include <stdlib.h>

#include <fstream>

#include <gtest/gtest.h>

#include "tests/sim_socket/peers.h"

namespace mimic::sim {
namespace {

using namespace std::chrono_literals;
using testing::request_of;
using testing::run_until;

constexpr const char* kModel = R"(
import os

def latency(work):
    if work.units == 13:
        os._exit(3)
    return 5 * work.units
)";

class Command : public ::testing::Test {
protected:
    void SetUp() override {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): there are no other threads yet
        ::setenv("PYTHONPATH", MIMIC_PYTHON_PACKAGE, 1);
        std::ofstream(folder_.path("model.py")) << kModel;
    }
    void start(std::string path) {
        SocketOptions options;
        options.path = std::move(path);
        options.command = {"python3",  "-m",       "mimic_sim",
                           "--socket", "{socket}", folder_.path("model.py:latency")};
        options.timeout = 60s;
        auto made = make_socket_simulator(options, *loop_);
        ASSERT_TRUE(made) << made.error().message();
        simulator_ = std::move(*made);
    }
    bool ready() {
        return run_until(*loop_, [&] { return simulator_->ready(); });
    }
    SSTResponse compute(uint64_t units) {
        SSTRequest request = request_of(SST_REQ_COMPUTE, units);
        request.payload.compute.compute_units = units;
        SSTResponse response{};
        bool done = false;
        simulator_->submit(request, 0, [&](const Answer& answer) {
            response = answer.response;
            done = true;
        });
        EXPECT_TRUE(run_until(*loop_, [&] { return done; }));
        return response;
    }

    testing::SocketFolder folder_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::unique_ptr<Simulator> simulator_;
};

TEST_F(Command, IsStartedAndStartedAgainWhenItEnds) {
    start("");
    ASSERT_TRUE(ready());
    EXPECT_EQ(compute(4).result, 20u);
    EXPECT_EQ(compute(13).status, SST_STATUS_NO_DEVICE);  // the program ends
    ASSERT_TRUE(ready());
    EXPECT_EQ(compute(5).result, 25u);
    EXPECT_EQ(simulator_->counters().connections, 2u);
}

TEST_F(Command, EndsWithItsSimulator) {
    const std::string path = folder_.path();
    start(path);
    ASSERT_TRUE(ready());
    simulator_.reset();
    EXPECT_TRUE(run_until(*loop_, [&] { return !unix_connect_now(path); }));
}

TEST_F(Command, ThatCannotRunIsAnAbsentSimulator) {
    SocketOptions options;
    options.command = {"/nowhere/simulator", "{socket}"};
    simulator_ = make_socket_simulator(options, *loop_).value();
    EXPECT_EQ(compute(1).status, SST_STATUS_NO_DEVICE);
    loop_->run_once(30ms);
    EXPECT_FALSE(simulator_->ready());
}

TEST_F(Command, LockStepWaitsForItsStart) {
    SocketOptions options;
    options.command = {"python3",  "-m",       "mimic_sim",
                       "--socket", "{socket}", folder_.path("model.py:latency")};
    options.lock_step = true;
    options.timeout = options.wait_limit = 60s;
    simulator_ = make_socket_simulator(options, *loop_).value();
    SSTRequest request = request_of(SST_REQ_COMPUTE, 1);
    request.payload.compute.compute_units = 8;
    bool done = false;
    simulator_->submit(request, 7'000'000, [&](const Answer& answer) {
        EXPECT_EQ(answer.response.status, SST_STATUS_OK);
        EXPECT_EQ(answer.submitted, 7'000'000u);
        EXPECT_EQ(answer.finished, 7'040'000u);
        done = true;
    });
    EXPECT_TRUE(done);
}

}  // namespace
}  // namespace mimic::sim
