// SPDX-License-Identifier: Apache-2.0
// Where a replay begins: functions of several topologies, recorded by hand, whose states come in
// any order, tell of memory that no event is about, or are of something else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "device_host/device_factory.h"
#include "devices/all_models.h"
#include "devices/mock_accel/device_rig.h"
#include "host/function_state.h"
#include "pci/function/sriov.h"
#include "pci/trace/trace_ring.h"
#include "replay/replay.h"
#include "replay/stepping_clock.h"
#include "topology/topology.h"
#include "trace/file.h"

namespace mimic::replay {
namespace {

using pci::TraceKind;
using ::testing::HasSubstr;

// A device: its functions, and a trace of them by hand.
class ReplayOf {
public:
    ReplayOf(const std::string& device, const std::string& name) : ring_(1U << 20, clock_) {
        header_ = {"0",
                   "box",
                   "version: 1\nmachine:\n  name: box\n  devices:\n    - { " + device + " }\n",
                   {name},
                   0};
        const auto model = topology::parse(header_.topology, "test", devices::all_models());
        EXPECT_TRUE(model) << model.error().str();
        const auto& first = model->machines.front().devices.front();
        function = std::move(*device_host::make_function(first, first.functions.front()));
        function->attach(slot_);
        function->set_tracer(&ring_);
    }
    ~ReplayOf() { function->detach(); }

    void state(const pci::Function& one) {
        ring_.record(ring_.source(one.name()),
                     {.kind = TraceKind::kState, .text = host::capture_state(one)});
    }
    trace::TraceFile file() const {
        trace::TraceFile file{.header = header_, .events = {}, .lines = {}};
        ring_.read(0, [&file](const pci::TraceRecord& record) {
            file.events.push_back(trace::event_of(record, std::nullopt));
            file.lines.push_back(file.lines.size() + 2);
            return true;
        });
        return file;
    }
    ReplayResult replayed() const {
        const auto result = replay_trace(file());
        EXPECT_TRUE(result) << result.error().message();
        return result.value_or(ReplayResult{});
    }

    SteppingClock clock_;
    pci::TraceRing ring_;
    trace::TraceHeader header_;
    pci::FakeSlot slot_;
    std::unique_ptr<pci::Function> function;
};

TEST(ReplayMemory, WhatAGuestMapsIsNotComparedAndThatIsSaid) {
    ReplayOf rig("name: gpu0, model: mock-accel, memory_bar: 64K", "gpu0");
    rig.state(*rig.function);
    // A guest that maps BAR 2 writes without anybody seeing it.
    const std::array<uint8_t, 4> unseen{1, 2, 3, 4};
    rig.function->restore_bar(2, 0x40, unseen);
    std::array<uint8_t, 4> data{};
    rig.function->read_bar(2, 0x40, data);
    rig.function->read_bar(2, 0x40, data);
    rig.function->read_bar(0, mock_accel::REVISION.offset, data);
    const ReplayResult result = rig.replayed();
    EXPECT_TRUE(result.same()) << replay_report(result);
    EXPECT_EQ(result.compared, 2U) << "the second read finds what the first one did";
    EXPECT_THAT(replay_report(result), HasSubstr("holds what no event tells"));
    // Registers of the same device are compared.
    trace::TraceFile file = rig.file();
    file.events.back().data[0] ^= 1;
    EXPECT_TRUE(replay_trace(file)->difference);
}

TEST(ReplayVfs, BeginInAnyOrder) {
    ReplayOf rig("name: gpu0, model: mock-accel, sriov: native, vfs: {count: 2}", "gpu0");
    pci::Sriov* const sriov = rig.function->sriov();
    ASSERT_NE(sriov, nullptr);
    const uint32_t cap = rig.function->config().find_extended_capability(0x10);
    const std::array<uint8_t, 2> count{2, 0};
    const std::array<uint8_t, 2> enable{9, 0};
    rig.function->config_write(cap + 0x10, count);
    rig.function->config_write(cap + 0x08, enable);
    ASSERT_EQ(sriov->num_vfs(), 2U);
    rig.ring_.clear();
    std::array<uint8_t, 4> data{};
    const auto read = [&](pci::Function& function) {
        function.read_bar(0, mock_accel::STATUS.offset, data);
    };
    rig.state(*sriov->vf(1));
    read(*sriov->vf(1));
    rig.state(*rig.function);  // too late: its VF has begun
    read(*rig.function);
    rig.function->reset(pci::ResetKind::kFunctionLevel);
    read(*rig.function);
    const ReplayResult result = rig.replayed();
    EXPECT_TRUE(result.same()) << replay_report(result);
    EXPECT_EQ(result.compared, 2U) << replay_report(result);
    EXPECT_GE(result.left_out, 2U) << replay_report(result);
}

TEST(ReplayState, OfAnotherKindIsRefused) {
    ReplayOf rig("name: gpu0, model: mock-accel, sriov: native, vfs: {count: 2}", "gpu0");
    rig.state(*rig.function);
    std::array<uint8_t, 4> data{};
    rig.function->read_bar(0, mock_accel::STATUS.offset, data);
    const trace::TraceFile right = rig.file();
    const auto with = [&right](uint32_t at, const char* bytes) {
        trace::TraceFile file = right;
        auto json = nlohmann::ordered_json::parse(file.events[0].text);
        json["config"][fmt::format("{:#x}", at)] = bytes;
        file.events[0].text = json.dump();
        const auto result = replay_trace(file);
        return result ? replay_report(*result) : result.error().message();
    };
    const pci::ConfigSpace& config = rig.function->config();
    const uint32_t msix = config.find_capability(0x11);
    const uint32_t sriov = config.find_extended_capability(0x10);
    EXPECT_THAT(with(0x0c, "10"), HasSubstr("same")) << "the size of a cache line";
    EXPECT_THAT(with(0x34, "fc"), HasSubstr("another device"));
    EXPECT_THAT(with(msix + 1, "fc"), HasSubstr("another device"));
    EXPECT_THAT(with(msix + 4, "fafffff0"), HasSubstr("another device"));
    EXPECT_THAT(with(sriov + 2, "f1ff"), HasSubstr("another device"));
    EXPECT_THAT(with(sriov + 0x10, "ffff"), HasSubstr("another device"));
    EXPECT_THAT(with(0xfff, "0000"), HasSubstr("config space")) << "behind its end";
    EXPECT_THAT(with(0x10, "0"), HasSubstr("config space"));
    EXPECT_THAT(with(0x10, "zz"), HasSubstr("config space"));
}

}  // namespace
}  // namespace mimic::replay
