// SPDX-License-Identifier: Apache-2.0
#include "mediator/load/load.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "compute/request.h"
#include "compute/testing/fake_mediator.h"

namespace mimic::mediator::load {
namespace {

TEST(Latencies, PercentilesAreNearTheTruth) {
    Latencies latencies;
    EXPECT_EQ(latencies.percentile(0.5), 0u);
    for (uint64_t i = 1; i <= 100'000; ++i) latencies.add(i * 10);
    for (const double p : {0.01, 0.5, 0.9, 0.99, 0.999}) {
        const double truth = p * 1e6;
        EXPECT_NEAR(static_cast<double>(latencies.percentile(p)), truth, truth * 0.017 + 10) << p;
    }
    EXPECT_EQ(latencies.percentile(1), 1'000'000u);
    latencies.add(UINT64_MAX);
    EXPECT_EQ(latencies.most(), UINT64_MAX);
    EXPECT_EQ(latencies.percentile(1), UINT64_MAX);
}

TEST(Words, AVmIsReadInFull) {
    const auto vm = parse_vm("7,pool=B,priority=high,depth=64,think=1.5ms,job=spin:1ms:20ms");
    ASSERT_TRUE(vm) << vm.error().message();
    EXPECT_EQ(vm->identity, (compute::Identity{7, 'B', 2}));
    EXPECT_EQ(vm->depth, 64u);
    EXPECT_EQ(vm->think, std::chrono::microseconds(1500));
    EXPECT_EQ(vm->job.kind, Job::Kind::kSpin);
    EXPECT_EQ(vm->job.spin_ns, (std::vector<uint64_t>{1'000'000, 20'000'000}));
    EXPECT_EQ(parse_vm("3").value(), (Vm{{3, 'A', 1}, 1, {}, {}}));
}

TEST(Words, WrongOnesAreNamed) {
    for (const char* words :
         {"", "x", "-1", "1,", "1,depth", "1,depth=0", "1,depth=258", "1,pool=AB", "1,pool=a",
          "1,priority=9", "1,job=sleep", "1,job=spin", "1,job=nop:1ms", "1,job=spin:1",
          "1,think=-1ms", "1,colour=red", "4294967296", "1,think=1e300s"})
        EXPECT_FALSE(parse_vm(words)) << words;
}

class LoadRun : public ::testing::Test {
protected:
    LoadRun() {
        folder_ = (std::filesystem::temp_directory_path() / "mimic-load-XXXXXX").string();
        EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
        options_.path = folder_ + "/m.sock";
        options_.duration = std::chrono::seconds(60);
        options_.requests = 100;
    }
    ~LoadRun() override {
        mediator_.reset();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    void listen(compute::FakeMediator::Script script) {
        compute::FakeMediator::Options options;
        options.script = std::move(script);
        mediator_ = compute::FakeMediator::listen(options_.path, std::move(options), *loop_)
                        .value();
    }

    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::string folder_;
    Options options_;
    std::unique_ptr<compute::FakeMediator> mediator_;
};

TEST_F(LoadRun, CountsWhatEachVmGotAndHowItFailed) {
    listen([](const compute::FakeMediator::Request& request) {
        const bool refused = request.identity.vm_id == 2;
        return compute::FakeMediator::Reply{
            VGPU_OK, compute::make_response(refused ? VGPU_ERROR_QUARANTINED : VGPU_OK)};
    });
    options_.vms = {parse_vm("1,depth=8").value(), parse_vm("2,depth=4,job=sum").value(),
                    parse_vm("3,job=spin:1ms:3ms").value()};
    const auto outcome = run(options_, *loop_);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(outcome->vms[0].done, 100u);
    EXPECT_EQ(outcome->vms[0].latencies.count(), 100u);
    EXPECT_EQ(outcome->vms[1].done, 0u);
    EXPECT_EQ(outcome->vms[1].failed.at(VGPU_ERROR_QUARANTINED), 100u);
    EXPECT_EQ(outcome->vms[2].done, 100u);
    EXPECT_EQ(outcome->vms[2].asked_ns, 200'000'000u);
    EXPECT_EQ(mediator_->requests().size(), 300u);
    EXPECT_NE(as_text(*outcome).find("vm 2: 0 done"), std::string::npos);
    EXPECT_NE(as_json(*outcome).find("\"failed\": {\"11\": 100}"), std::string::npos);
}

TEST_F(LoadRun, WithoutAMediatorIsAnError) {
    options_.vms = {Vm{}};
    options_.connect_within = std::chrono::milliseconds(20);
    const auto outcome = run(options_, *loop_);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code(), std::errc::timed_out);
}

}  // namespace
}  // namespace mimic::mediator::load
