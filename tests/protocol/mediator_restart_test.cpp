// SPDX-License-Identifier: Apache-2.0
// The real mimic-mediator, killed and started again under load, seen by the queue of a device. Each
// job adds one to a number in a VM's memory on the backend, so that the number says how often jobs
// were carried out: as often as they were answered, never twice.
#include <cstring>
#include <map>

#include "compute/codec.h"
#include "tests/protocol/mediator_program.h"

namespace mimic::compute {
namespace {

constexpr size_t kDepth = 16;
constexpr int kRestarts = 4;
constexpr uint64_t kBetween = 200;  // answers between two of them

std::vector<std::byte> saxpy(uint64_t y, uint64_t x) {
    vgpu_launch launch{};
    std::memcpy(launch.name, "saxpy", sizeof "saxpy");
    const float one = 1;
    uint64_t bits = 0;
    std::memcpy(&bits, &one, sizeof one);
    const std::array<vgpu_arg, 4> args{
        vgpu_arg{VGPU_ARG_MEMORY, 8, y, 0}, vgpu_arg{VGPU_ARG_MEMORY, 8, x, 0},
        vgpu_arg{VGPU_ARG_VALUE, 8, 1, 0}, vgpu_arg{VGPU_ARG_VALUE, 4, bits, 0}};
    launch.arg_count = args.size();
    std::vector<std::byte> data(sizeof launch + sizeof args);
    std::memcpy(data.data(), &launch, sizeof launch);
    std::memcpy(data.data() + sizeof launch, args.data(), sizeof args);
    return make_request(VGPU_OP_LAUNCH, {}, data);
}

/// A signal that ends the mediator.
class MediatorRestart : public ::testing::TestWithParam<int>, protected MediatorFolder {
protected:
    /// Adds one, and again when that was answered.
    void add_one() {
        if (!goes_on_) return;
        queue_->submit(1, job_, VGPU_BUFFER_SIZE, [this](const Completion& done) {
            const auto view = view_response(done.response);
            uint32_t error = done.error;
            if (error == VGPU_OK && view) error = view->header.status;
            if (error == VGPU_OK && !view) error = VGPU_ERROR_BACKEND;
            ++(error == VGPU_OK ? done_ : failed_[error]);
            loop_->post([this] { add_one(); });  // not at once: it may have failed within submit()
        });
    }

    std::vector<std::byte> job_;
    bool goes_on_ = true;
    uint64_t done_ = 0;
    std::map<uint32_t, uint64_t> failed_;
};

TEST_P(MediatorRestart, UnderLoadLosesNothingAndDoesNothingTwice) {
    program_->start();
    ASSERT_TRUE(connect());
    const float one = 1;
    const uint64_t y = allocate(sizeof one);
    const uint64_t x = allocate(sizeof one);
    ASSERT_NE(y, 0u);
    write(x, wire::bytes_of(one));
    job_ = saxpy(y, x);
    for (size_t i = 0; i < kDepth; ++i) add_one();
    for (int restart = 0; restart < kRestarts; ++restart) {
        const uint64_t wanted = done_ + kBetween;
        ASSERT_TRUE(until([&] { return done_ >= wanted; })) << restart;
        program_->end(GetParam());
        program_->start();
    }
    const uint64_t wanted = done_ + kBetween;
    ASSERT_TRUE(until([&] { return done_ >= wanted; }));
    goes_on_ = false;
    ASSERT_TRUE(until([this] { return queue_->in_flight() == 0; }));
    float sum = 0;
    const auto bytes = read(y, sizeof sum);
    ASSERT_EQ(bytes.size(), sizeof sum);
    std::memcpy(&sum, bytes.data(), sizeof sum);
    EXPECT_EQ(sum, static_cast<float>(done_));
    // A mediator that was told to end may refuse what comes meanwhile, but says so.
    for (const auto& [error, count] : failed_)
        EXPECT_TRUE(GetParam() == SIGTERM && error == VGPU_ERROR_CANCELLED)
            << count << " failed with " << error;
    EXPECT_GE(queue_->counters().connections, kRestarts + 1u);
    if (GetParam() == SIGKILL) {
        EXPECT_GT(queue_->counters().resent, 0u);
    }
}

INSTANTIATE_TEST_SUITE_P(Signals, MediatorRestart, ::testing::Values(SIGKILL, SIGINT, SIGTERM),
                         [](const auto& one) { return std::string(::sigabbrev_np(one.param)); });

}  // namespace
}  // namespace mimic::compute
