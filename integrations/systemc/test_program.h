// SPDX-License-Identifier: Apache-2.0
// A SystemC program behind a socket simulator, for tests.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "sim/socket/client.h"

namespace mimic::sim {

inline constexpr SimTime kNano = kPicosecondsPerNanosecond;
// Far beyond what a loaded machine needs.
inline constexpr auto kPatience = std::chrono::seconds(20);

struct Told {
    SSTResponse response;
    SimTime submitted;
    SimTime finished;
    SimTime latency() const { return finished - submitted; }
};

class SystemcProgram : public testing::Test {
protected:
    // `program`: words of a command; its socket and `arguments` follow.
    void run(const std::string& program, const std::vector<std::string>& arguments,
             bool lock_step = false) {
        SocketOptions options;
        std::istringstream words(program);
        for (std::string word; words >> word;) options.command.push_back(word);
        options.command.push_back("{socket}");
        options.command.insert(options.command.end(), arguments.begin(), arguments.end());
        options.timeout = kPatience;
        options.lock_step = lock_step;
        auto made = make_socket_simulator(options, *loop_);
        ASSERT_TRUE(made) << made.error().message();
        simulator_ = std::move(*made);
        ASSERT_TRUE(until([&] { return simulator_->ready(); })) << "the program does not serve";
    }
    template <typename Condition>
    bool until(Condition condition) {
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (!condition() && std::chrono::steady_clock::now() < end) {
            loop_->run_once(std::chrono::milliseconds(20));
        }
        return condition();
    }
    void submit(SSTRequest request, SimTime guest_time = 0) {
        request.request_id = ++ids_;
        simulator_->submit(request, guest_time, [this](const Answer& answer) {
            told_[answer.response.request_id] = {answer.response, answer.submitted,
                                                 answer.finished};
        });
    }
    Told ask(const SSTRequest& request, SimTime guest_time = 0) {
        if (HasFatalFailure()) return {};
        submit(request, guest_time);
        EXPECT_TRUE(until([&] { return told_.count(ids_) != 0; }));
        return told_[ids_];
    }

    std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::create()).value();
    std::unique_ptr<Simulator> simulator_;
    uint64_t ids_ = 0;
    std::map<uint64_t, Told> told_;
};

inline SSTRequest compute(uint64_t units) {
    SSTRequest request{};
    request.type = SST_REQ_COMPUTE;
    request.payload.compute.compute_units = units;
    return request;
}

inline SSTRequest memory(uint32_t type, uint64_t address, uint32_t size, uint8_t fill = 0) {
    SSTRequest request{};
    request.type = type;
    std::memset(request.payload.data, fill, sizeof request.payload.data);
    request.payload.memory.addr = address;
    request.payload.memory.size = size;
    return request;
}

}  // namespace mimic::sim
