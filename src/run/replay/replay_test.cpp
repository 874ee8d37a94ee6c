// SPDX-License-Identifier: Apache-2.0
// A session of a mock-accel is recorded by a ring, written as a trace file, and replayed; then the
// file is changed in one place, and the replay must point there.
#include "replay/replay.h"
#include "devices/all_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <sstream>

#include "device_host/device_factory.h"
#include "devices/mock_accel/device_rig.h"
#include "host/function_state.h"
#include "pci/trace/trace_ring.h"
#include "replay/stepping_clock.h"
#include "replay/trace_test_writer.h"
#include "topology/topology.h"
#include "trace/file.h"

namespace mimic::replay {
namespace {

using memory::FakeMemory;
using mock_accel::Descriptor;
using pci::TraceKind;
using ::testing::HasSubstr;

constexpr const char* kTopology = R"(version: 1
machines:
  - name: box
    memory: 512M
    devices:
      - name: gpu0
        model: mock-accel
)";
constexpr uint64_t kRing = 0x10'0000;
constexpr uint64_t kCompletions = 0x11'0000;
constexpr uint64_t kSource = 0x12'0000;
constexpr uint64_t kTarget = 0x13'0000;

class Replay : public ::testing::Test {
protected:
    Replay() : ring_(uint64_t{4} << 20, clock_) {
        const auto model = topology::parse(kTopology, "test", devices::all_models());
        EXPECT_TRUE(model);
        const auto& device = model->machines.front().devices.front();
        function_ = std::move(*device_host::make_function(device, device.functions.front()));
        ring_.set_dma_bytes(pci::kMaxTraceDmaBytes);
        function_->set_tracer(&ring_);
        slot_.memory.add(kRing, 0x1000);
        slot_.memory.add(kCompletions, 0x1000);
        std::fill_n(slot_.memory.add(kSource, 0x1000).bytes.begin(), 0x1000, std::byte{0x5a});
        slot_.memory.add(kTarget, 0x1000);
    }
    ~Replay() override { function_->detach(); }

    void config(uint32_t at, uint32_t value, size_t size) {
        function_->config_write(at, {reinterpret_cast<const uint8_t*>(&value), size});
    }
    void write(uint64_t at, uint64_t value, size_t size = 4) {
        function_->write_bar(0, at, {reinterpret_cast<const uint8_t*>(&value), size});
    }
    uint64_t read(uint64_t at, size_t size = 4) {
        uint64_t value = 0;
        function_->read_bar(0, at, {reinterpret_cast<uint8_t*>(&value), size});
        return value;
    }

    // What a driver does at its start.
    void start() {
        config(0x04, 0x0006, 2);
        config(function_->config().find_capability(0x11) + 2, 0x8000, 2);
        read(mock_accel::RING_COUNT.offset);
        write(mock_accel::RING_BASE.offset, kRing, 8);
        write(mock_accel::COMPLETION_BASE.offset, kCompletions, 8);
        write(mock_accel::RING_ORDER.offset, 4);
        write(mock_accel::RING_CONTROL.offset, 3);
    }
    // One copy with an interrupt.
    void copy(uint32_t index) {
        Descriptor descriptor{};
        descriptor.opcode = mock_accel::kOpcodeCopy;
        descriptor.flags = mock_accel::kFlagInterrupt;
        descriptor.length = 64;
        descriptor.cookie = 0x100 + index;
        descriptor.source = kSource;
        descriptor.destination = kTarget;
        std::memcpy(slot_.memory.at(kRing + index * sizeof descriptor), &descriptor,
                    sizeof descriptor);
        write(mock_accel::RING_TAIL.offset, index + 1);
        while (slot_.time.run() != 0 || slot_.memory.answer()) {
        }
        read(mock_accel::RING_HEAD.offset);
    }
    // All of it, from the attach on.
    void session() {
        function_->attach(slot_);
        start();
        copy(0);
        copy(1);
        read(mock_accel::DESCRIPTORS.offset, 8);
    }

    trace::TraceFile recorded() const {
        trace::TraceFile file;
        file.header = {"0.1.0", "box", kTopology, {"gpu0"}, pci::kMaxTraceDmaBytes};
        ring_.read(0, [&file](const pci::TraceRecord& record) {
            file.events.push_back(trace::event_of(record, std::nullopt));
            file.lines.push_back(file.lines.size() + 2);
            return true;
        });
        return file;
    }
    static ReplayResult replayed(const trace::TraceFile& file) {
        const auto result = replay_trace(file);
        EXPECT_TRUE(result) << result.error().message();
        return result.value_or(ReplayResult{});
    }
    static size_t find(const trace::TraceFile& file, TraceKind kind, unsigned skip = 0) {
        for (size_t i = 0; i < file.events.size(); ++i)
            if (file.events[i].kind == kind && skip-- == 0) return i;
        ADD_FAILURE() << "no such event";
        return 0;
    }
    static void drop(trace::TraceFile& file, size_t at) {
        file.events.erase(file.events.begin() + static_cast<ptrdiff_t>(at));
        file.lines.pop_back();
        for (size_t i = at; i < file.events.size(); ++i) --file.events[i].sequence;
    }

    SteppingClock clock_;
    pci::TraceRing ring_;
    pci::FakeSlot slot_;
    std::unique_ptr<pci::Function> function_;
};

TEST_F(Replay, TheSameModelDoesTheSame) {
    session();
    ASSERT_EQ(slot_.take_vectors().size(), 2U);
    const ReplayResult result = replayed(recorded());
    EXPECT_TRUE(result.same()) << replay_report(result);
    EXPECT_GT(result.compared, 12U);
    EXPECT_TRUE(result.notes.empty()) << replay_report(result);
}

TEST_F(Replay, AlsoWhenMemoryAnswersLater) {
    for (const uint64_t at : {kRing, kCompletions, kSource, kTarget}) {
        std::vector<std::byte> bytes(slot_.memory.at(at), slot_.memory.at(at) + 0x1000);
        slot_.memory.remove(at);
        auto& region = slot_.memory.add(at, 0x1000, FakeMemory::Kind::kByMessage);
        std::copy(bytes.begin(), bytes.end(), region.bytes.begin());
    }
    session();
    const trace::TraceFile file = recorded();
    EXPECT_TRUE(std::ranges::any_of(file.events,
                                    [](const auto& event) { return event.has(pci::kTraceLater); }));
    const ReplayResult result = replayed(file);
    EXPECT_TRUE(result.same()) << replay_report(result);
}

// A loop whose turn is over serves sockets before it goes on with posted work, for as long as it
// takes on a busy machine.
TEST_F(Replay, WorkThatWaitedBehindLaterAccesses) {
    function_->attach(slot_);
    start();
    Descriptor descriptor{};
    descriptor.opcode = mock_accel::kOpcodeCopy;
    descriptor.length = 64;
    descriptor.source = kSource;
    descriptor.destination = kTarget;
    std::memcpy(slot_.memory.at(kRing), &descriptor, sizeof descriptor);
    write(mock_accel::RING_TAIL.offset, 1);
    for (int i = 0; i < 50'000; ++i) (void)clock_.now();  // 50 ms
    read(mock_accel::STATUS.offset);
    read(mock_accel::RING_HEAD.offset);
    while (slot_.time.run() != 0 || slot_.memory.answer()) {
    }
    read(mock_accel::RING_HEAD.offset);
    const ReplayResult result = replayed(recorded());
    EXPECT_TRUE(result.same()) << replay_report(result);
}

TEST_F(Replay, AValueThatWasReadDiffers) {
    session();
    trace::TraceFile file = recorded();
    const size_t at = find(file, TraceKind::kBarRead, 1);
    file.events[at].data[0] ^= 4;
    const ReplayResult result = replayed(file);
    ASSERT_TRUE(result.difference);
    EXPECT_EQ(result.difference->sequence, file.events[at].sequence);
    EXPECT_EQ(result.difference->line, at + 2);
    EXPECT_EQ(result.difference->device, "gpu0");
    EXPECT_EQ(result.difference->now, "reads 0x1");
    EXPECT_FALSE(result.difference->context.empty());
}

TEST_F(Replay, AnInterruptThatIsMissing) {
    session();
    trace::TraceFile file = recorded();
    const size_t at = find(file, TraceKind::kMsix, 1);
    drop(file, at);
    const ReplayResult result = replayed(file);
    ASSERT_TRUE(result.difference);
    EXPECT_EQ(result.difference->now, "MSI-X vector 1");
    EXPECT_EQ(result.difference->sequence, file.events[at].sequence);
}

TEST_F(Replay, AnInterruptThatTheModelDoesNotSend) {
    session();
    trace::TraceFile file = recorded();
    trace::Event extra = file.events.back();
    extra.kind = TraceKind::kMsix;
    extra.value = 2;
    ++extra.sequence;
    file.events.push_back(extra);
    file.lines.push_back(file.lines.back() + 1);
    const ReplayResult result = replayed(file);
    ASSERT_TRUE(result.difference);
    EXPECT_EQ(result.difference->recorded, "MSI-X vector 2");
    EXPECT_THAT(result.difference->now, HasSubstr("nothing"));
}

TEST_F(Replay, AByteOfDmaDiffers) {
    session();
    trace::TraceFile file = recorded();
    const size_t at = find(file, TraceKind::kDmaWrite);
    file.events[at].data[5] ^= 1;
    const ReplayResult result = replayed(file);
    ASSERT_TRUE(result.difference);
    EXPECT_EQ(result.difference->sequence, file.events[at].sequence);
    EXPECT_THAT(result.difference->now, HasSubstr("byte 5 is 0x5a, not 0x5b"));
}

TEST_F(Replay, DmaToAnotherPlaceDiffers) {
    session();
    trace::TraceFile file = recorded();
    const size_t at = find(file, TraceKind::kDmaRead);
    file.events[at].address += 8;
    const ReplayResult result = replayed(file);
    ASSERT_TRUE(result.difference);
    EXPECT_EQ(result.difference->sequence, file.events[at].sequence);
}

// As a recording that begins while a driver is at work, between two transfers.
TEST_F(Replay, BeginsWithAState) {
    function_->attach(slot_);
    start();
    copy(0);
    ring_.clear();
    const std::string state = host::capture_state(*function_);
    ring_.record(ring_.source("gpu0"), {.kind = TraceKind::kState, .text = state});
    copy(1);
    read(mock_accel::DESCRIPTORS.offset, 8);
    const trace::TraceFile file = recorded();
    const ReplayResult result = replayed(file);
    EXPECT_TRUE(result.same()) << replay_report(result);
    EXPECT_GT(result.compared, 5U);
}

TEST_F(Replay, AStateOfABusyRingCannotBeRestored) {
    function_->attach(slot_);
    start();
    write(mock_accel::RING_TAIL.offset, 1);
    ring_.clear();
    ring_.record(ring_.source("gpu0"),
                 {.kind = TraceKind::kState, .text = host::capture_state(*function_)});
    read(mock_accel::RING_HEAD.offset);
    const ReplayResult result = replayed(recorded());
    EXPECT_THAT(result.stopped, HasSubstr("ring 0 was at work"));
}

// As a dump of a ring that is always on, which keeps no bytes of DMA.
TEST_F(Replay, WhereItCannotGoOnItBeginsAgainAtTheNextState) {
    ring_.set_dma_bytes(0);
    session();
    ring_.record(ring_.source("gpu0"),
                 {.kind = TraceKind::kState, .text = host::capture_state(*function_)});
    write(mock_accel::STATUS.offset, 7);
    read(mock_accel::STATUS.offset);
    const trace::TraceFile file = recorded();
    const ReplayResult result = replayed(file);
    EXPECT_TRUE(result.same()) << replay_report(result);
    EXPECT_THAT(replay_report(result), HasSubstr("the bytes of DMA were not recorded"));
    const size_t state = find(file, TraceKind::kState);
    EXPECT_THAT(replay_report(result),
                HasSubstr(fmt::format("begins again at line {}", file.lines[state])));
    EXPECT_GT(result.left_out, 5U);
    // What is behind that state is compared.
    trace::TraceFile wrong = file;
    wrong.events.back().data[0] ^= 1;
    EXPECT_TRUE(replayed(wrong).difference);
}

TEST_F(Replay, LeavingOutAllResultsIsNotTheSame) {
    function_->attach(slot_);
    start();
    ring_.clear();
    ring_.set_dma_bytes(0);
    ring_.record(ring_.source("gpu0"),
                 {.kind = TraceKind::kState, .text = host::capture_state(*function_)});
    copy(0);
    ring_.record(ring_.source("gpu0"),
                 {.kind = TraceKind::kState, .text = host::capture_state(*function_)});
    const ReplayResult result = replayed(recorded());
    EXPECT_FALSE(result.difference);
    EXPECT_THAT(result.stopped, HasSubstr("nothing could be compared"));
}

TEST_F(Replay, LongDmaIsPutTogether) {
    session();
    trace::TraceFile file = recorded();
    const size_t at = find(file, TraceKind::kDmaWrite);
    trace::Event& dma = file.events[at];
    ASSERT_EQ(dma.data.size(), 64U);
    trace::Event rest{.sequence = dma.sequence + 1,
                      .time_ns = dma.time_ns,
                      .device = dma.device,
                      .kind = TraceKind::kDmaData,
                      .address = dma.address + 40,
                      .size = 24,
                      .data = {dma.data.begin() + 40, dma.data.end()}};
    dma.data.resize(40);
    for (size_t i = at + 1; i < file.events.size(); ++i) ++file.events[i].sequence;
    file.events.insert(file.events.begin() + static_cast<ptrdiff_t>(at) + 1, rest);
    file.lines.push_back(file.lines.back() + 1);
    EXPECT_TRUE(replayed(file).same()) << replay_report(replayed(file));
    EXPECT_TRUE(replayed(file).notes.empty());
    file.events[at + 1].data[3] ^= 1;
    const ReplayResult result = replayed(file);
    ASSERT_TRUE(result.difference);
    EXPECT_THAT(result.difference->now, HasSubstr("byte 43 is 0x5a"));
}

// Nothing of the accesses in D3hot is in a trace; where it begins with one, the model is there too.
TEST_F(Replay, AStateInD3hotIsRestored) {
    function_->attach(slot_);
    start();
    const uint32_t power = function_->config().find_capability(1) + 4;
    config(power, 3, 2);
    ring_.clear();
    ring_.record(ring_.source("gpu0"),
                 {.kind = TraceKind::kState, .text = host::capture_state(*function_)});
    ASSERT_FALSE(function_->in_d0());
    config(power, 0, 2);
    read(mock_accel::STATUS.offset);
    const trace::TraceFile file = recorded();
    find(file, TraceKind::kPower);
    const ReplayResult result = replayed(file);
    EXPECT_TRUE(result.same()) << replay_report(result);
    EXPECT_THAT(replay_report(result), HasSubstr("gpu0 was not in D0 for a time"));
}

TEST_F(Replay, WhatIsBeforeAResetIsLeftOutAndSaid) {
    session();
    function_->reset(pci::ResetKind::kConventional);
    read(mock_accel::DESCRIPTORS.offset, 8);
    trace::TraceFile file = recorded();
    drop(file, 0);  // the attach
    const ReplayResult result = replayed(file);
    EXPECT_TRUE(result.same()) << replay_report(result);
    EXPECT_THAT(replay_report(result), HasSubstr("left out"));
    EXPECT_EQ(result.compared, 1U);
}

TEST_F(Replay, NothingToReplayIsNotTheSame) {
    session();
    trace::TraceFile file = recorded();
    drop(file, 0);
    const ReplayResult result = replayed(file);
    EXPECT_FALSE(result.same());
    EXPECT_THAT(result.stopped, HasSubstr("no event can be replayed"));
}

TEST_F(Replay, WithoutBytesOfDmaItSaysWhereItStops) {
    ring_.set_dma_bytes(0);
    session();
    const ReplayResult result = replayed(recorded());
    EXPECT_FALSE(result.difference);
    EXPECT_THAT(result.stopped, HasSubstr("the bytes of DMA were not recorded"));
    EXPECT_GT(result.compared, 0U);
}

TEST_F(Replay, LostEventsEndIt) {
    session();
    trace::TraceFile file = recorded();
    for (size_t i = 8; i < file.events.size(); ++i) file.events[i].sequence += 3;
    EXPECT_THAT(replayed(file).stopped, HasSubstr("events before it were lost"));
}

TEST_F(Replay, HostileTracesAreRefused) {
    session();
    const trace::TraceFile right = recorded();
    const auto with = [&right](const std::function<void(trace::TraceFile&)>& change) {
        trace::TraceFile file = right;
        change(file);
        const auto result = replay_trace(file);
        if (!result) return "error: " + result.error().message();
        return result->same() ? std::string("same") : replay_report(*result);
    };
    EXPECT_THAT(with([](auto& file) { file.header.topology.clear(); }), HasSubstr("no topology"));
    EXPECT_THAT(with([](auto& file) { file.header.topology = "a: ["; }), HasSubstr("line 1"));
    EXPECT_THAT(with([](auto& file) { file.header.machine = "crate"; }), HasSubstr("\"crate\""));
    EXPECT_THAT(with([](auto& file) { file.events[3].device = "gpu1"; }),
                HasSubstr("line 5: the machine has no device \"gpu1\"; did you mean gpu0?"));
    const size_t bar = find(right, TraceKind::kBarWrite);
    EXPECT_THAT(with([bar](auto& file) { file.events[bar].address = UINT64_MAX; }),
                HasSubstr("outside of the device"));
    EXPECT_THAT(with([bar](auto& file) { file.events[bar].bar = 5; }), HasSubstr("outside"));
    EXPECT_THAT(with([bar](auto& file) { file.events[bar].size = 1U << 30; }),
                HasSubstr("not recorded"));
    EXPECT_THAT(with([](auto& file) {
                    file.events[0].kind = TraceKind::kReset;
                    file.events[0].value = 77;
                }),
                HasSubstr("no such reset"));
    for (const char* state :
         {"", "{", "[]", "{\"config\":1}", "{\"config\":\"00\",\"msix\":\"\"}"}) {
        EXPECT_THAT(with([state](auto& file) {
                        file.events[0].kind = TraceKind::kState;
                        file.events[0].text = state;
                    }),
                    HasSubstr("no state of it"))
            << state;
    }
}

TEST_F(Replay, WritesATest) {
    session();
    const std::string dir = ::testing::TempDir();
    const trace::TraceFile file = recorded();
    ::unlink((dir + "/copy_twice.jsonl").c_str());
    ::unlink((dir + "/copy_twice_test.cpp").c_str());
    const Status written = write_replay_test(file, dir, "copy_twice");
    ASSERT_TRUE(written) << written.error().message();
    EXPECT_EQ(replay_problem(dir + "/copy_twice.jsonl"), "");
    EXPECT_FALSE(write_replay_test(file, dir, "copy_twice")) << "it is there";
    for (const char* name : {"", "9a", "a/b", "../x", "a b", "a\"b"})
        EXPECT_FALSE(write_replay_test(file, dir, name)) << name;
}

}  // namespace
}  // namespace mimic::replay
