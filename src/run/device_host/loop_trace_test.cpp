// SPDX-License-Identifier: Apache-2.0
#include "host/loop_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/mock_accel/device_rig.h"

namespace mimic::device_host {
namespace {

using host::LoopTrace;
using mock_accel::DeviceRig;
using ::testing::ElementsAre;

class LoopTraceTest : public ::testing::Test {
protected:
    LoopTraceTest()
        : one_({.name = "gpu0", .identifier = "gpu0"}),
          two_({.name = "gpu1", .identifier = "gpu1"}),
          trace_(one_.slot.time, {.buffer_bytes = pci::kMinTraceBytes}) {
        trace_.add(*one_.device, nullptr);
        trace_.add(*two_.device, nullptr);
    }
    ~LoopTraceTest() override { trace_.clear(); }

    void touch() {
        for (DeviceRig* rig : {&one_, &two_}) {
            uint8_t data[4]{};
            rig->device->read_bar(0, mock_accel::STATUS.offset, data);
        }
    }
    std::vector<std::string> seen(const control::TraceQuery& query) {
        const auto slice = trace_.events(query);
        next_ = slice.next;
        lost_ = slice.lost;
        std::vector<std::string> names;
        for (const auto& event : slice.slice.events)
            names.push_back(event.device + " " + event.reg);
        return names;
    }

    DeviceRig one_;
    DeviceRig two_;
    LoopTrace trace_;
    uint64_t next_ = 0;
    uint64_t lost_ = 0;
};

TEST_F(LoopTraceTest, EventsHaveTheNamesOfRegisters) {
    touch();
    EXPECT_THAT(seen({.since = 0, .limit = 10, .devices = {}}),
                ElementsAre("gpu0 STATUS", "gpu1 STATUS"));
    EXPECT_THAT(seen({.since = 0, .limit = 10, .devices = {"gpu1"}}), ElementsAre("gpu1 STATUS"));
    EXPECT_THAT(seen({.since = 0, .limit = 1, .devices = {}}), ElementsAre("gpu0 STATUS"));
    EXPECT_THAT(seen({.since = next_, .limit = 1, .devices = {}}), ElementsAre("gpu1 STATUS"));
}

TEST_F(LoopTraceTest, ManyDevicesHaveNamesInAnswersThatAreSmall) {
    std::vector<std::unique_ptr<DeviceRig>> rigs;
    for (int i = 0; i < 100; ++i) {
        const std::string name = fmt::format("many{}", i);
        rigs.push_back(
            std::make_unique<DeviceRig>(mock_accel::Options{.name = name, .identifier = name}));
        trace_.add(*rigs.back()->device, nullptr);
    }
    for (const auto& rig : rigs) {
        uint8_t data[4]{};
        rig->device->read_bar(0, mock_accel::STATUS.offset, data);
    }
    control::TraceQuery query{.since = 0, .limit = 1000, .devices = {}};
    size_t events = 0;
    size_t answers = 0;
    for (bool more = true; more && answers < 100; ++answers) {
        const auto slice = trace_.events(query);
        for (const auto& event : slice.slice.events) {
            EXPECT_EQ(event.device, fmt::format("many{}", events++));
            EXPECT_EQ(event.reg, "STATUS");
        }
        query.since = slice.next;
        more = slice.slice.more;
    }
    EXPECT_EQ(events, rigs.size());
    EXPECT_GT(answers, 1U) << "the loop looks up only so many names in one turn";
    trace_.clear();
}

TEST_F(LoopTraceTest, OnlyTheDevicesThatWereNamed) {
    trace_.change({.enabled = {}, .devices = {{"gpu1"}}, .data_bytes = {}, .buffer_bytes = {}});
    touch();
    EXPECT_THAT(seen({.since = 0, .limit = 10, .devices = {}}), ElementsAre("gpu1 STATUS"));
    EXPECT_EQ(one_.device->tracer(), nullptr);
}

TEST_F(LoopTraceTest, OffIsOff) {
    trace_.change({.enabled = false, .devices = {}, .data_bytes = {}, .buffer_bytes = {}});
    touch();
    EXPECT_TRUE(seen({.since = 0, .limit = 10, .devices = {}}).empty());
    trace_.change({.enabled = true, .devices = {}, .data_bytes = {}, .buffer_bytes = {}});
    touch();
    EXPECT_EQ(seen({.since = 0, .limit = 10, .devices = {}}).size(), 2U);
}

TEST_F(LoopTraceTest, KeepingBytesBeginsWithTheStates) {
    trace_.change({.enabled = {}, .devices = {}, .data_bytes = 4096, .buffer_bytes = 1U << 20});
    const auto slice = trace_.events({.since = 0, .limit = 10, .devices = {}});
    ASSERT_EQ(slice.slice.events.size(), 2U);
    EXPECT_EQ(slice.slice.events[0].kind, pci::TraceKind::kState);
    EXPECT_EQ(slice.slice.events[1].device, "gpu1");
    EXPECT_EQ(trace_.status().settings.data_bytes, 4096U);
    EXPECT_EQ(trace_.status().settings.buffer_bytes, 1U << 20);
}

TEST_F(LoopTraceTest, HalfARingThatIsNewBringsStates) {
    const auto states = [this] {
        std::vector<std::string> devices;
        for (const auto& event :
             trace_.events({.since = 0, .limit = 4000, .devices = {}}).slice.events)
            if (event.kind == pci::TraceKind::kState) devices.push_back(event.device);
        return devices;
    };
    for (int i = 0; i < 200; ++i) touch();
    one_.slot.time.run_all();
    EXPECT_TRUE(states().empty());
    for (int i = 0; i < 200; ++i) touch();
    EXPECT_TRUE(states().empty()) << "not inside of an access";
    one_.slot.time.run_all();
    EXPECT_THAT(states(), ElementsAre("gpu0", "gpu1"));
    for (int i = 0; i < 350; ++i) touch();
    one_.slot.time.run_all();
    EXPECT_THAT(states(), ElementsAre("gpu0", "gpu1", "gpu0", "gpu1"));
}

TEST_F(LoopTraceTest, AFaultThatIsArmedBringsAState) {
    pci::FunctionEvent armed{.kind = pci::FunctionEventKind::kFault, .value = 1};
    armed.text = "irq-lost";
    armed.state = "armed";
    two_.device->notify(armed);
    one_.slot.time.run_all();
    const auto slice = trace_.events({.since = 0, .limit = 10, .devices = {}});
    ASSERT_EQ(slice.slice.events.size(), 2U);
    EXPECT_EQ(slice.slice.events[1].kind, pci::TraceKind::kState);
    EXPECT_EQ(slice.slice.events[1].device, "gpu1");
}

// The engine of a ring at work knows more than the registers say.
TEST_F(LoopTraceTest, AFunctionAtWorkIsAskedAgain) {
    const auto write = [this](uint64_t at, uint64_t value, size_t size) {
        one_.device->write_bar(0, at, {reinterpret_cast<const uint8_t*>(&value), size});
    };
    const uint8_t master[2] = {6, 0};
    one_.device->config_write(4, master);
    write(mock_accel::RING_BASE.offset, 0x10'0000, 8);
    write(mock_accel::COMPLETION_BASE.offset, 0x11'0000, 8);
    write(mock_accel::RING_CONTROL.offset, 1, 4);
    one_.slot.memory.add(0x10'0000, 4096, memory::FakeMemory::Kind::kByMessage);
    one_.slot.memory.add(0x11'0000, 4096);
    write(mock_accel::RING_TAIL.offset, 1, 4);
    one_.slot.time.run_all();
    ASSERT_TRUE(one_.device->at_work());
    trace_.change({.enabled = {}, .devices = {{"gpu0"}}, .data_bytes = {}, .buffer_bytes = {}});
    const auto has_state = [this] {
        const auto events = trace_.events({.since = 0, .limit = 100, .devices = {}}).slice.events;
        return std::ranges::any_of(
            events, [](const auto& event) { return event.kind == pci::TraceKind::kState; });
    };
    one_.slot.time.turn();
    EXPECT_FALSE(has_state());
    while (one_.slot.memory.answer() || one_.slot.time.run_all(1) != 0) {
    }
    EXPECT_FALSE(one_.device->at_work());
    EXPECT_TRUE(has_state());
}

TEST_F(LoopTraceTest, WhatWasOverwrittenIsCounted) {
    for (int i = 0; i < 2000; ++i) touch();
    EXPECT_GT(trace_.status().dropped, 0U);
    EXPECT_EQ(trace_.status().recorded_total, 4000U);
    EXPECT_EQ(trace_.status().overwritten_total, trace_.status().dropped);
    seen({.since = 1, .limit = 1, .devices = {}});
    EXPECT_EQ(lost_, trace_.status().oldest - 1);
    const auto slice = trace_.events({.since = 0, .limit = 100, .devices = {}});
    EXPECT_TRUE(slice.slice.more);
    EXPECT_EQ(slice.lost, 0U);
}

TEST_F(LoopTraceTest, CountersOutliveTheRing) {
    for (int i = 0; i < 2000; ++i) touch();
    const uint64_t overwritten = trace_.status().overwritten_total;
    trace_.change({.enabled = {}, .devices = {}, .data_bytes = {}, .buffer_bytes = 1U << 20});
    EXPECT_EQ(trace_.status().dropped, 0U);
    EXPECT_EQ(trace_.status().recorded_total, 4000U);
    EXPECT_EQ(trace_.status().overwritten_total, overwritten);
    touch();
    EXPECT_EQ(trace_.status().recorded_total, 4002U);
}

}  // namespace
}  // namespace mimic::device_host
