// SPDX-License-Identifier: Apache-2.0
#include "pci/trace/trace_ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace mimic::pci {
namespace {

using ::testing::ElementsAre;

class StepClock final : public Clock {
public:
    TimePoint now() const override { return TimePoint(Duration(++ticks_ * 10)); }

private:
    mutable int64_t ticks_ = 0;
};

struct Seen {
    uint64_t sequence;
    int64_t time;
    int64_t duration;
    std::string source;
    TraceEvent event;
    std::vector<uint8_t> data;
    std::string text;
};

std::vector<Seen> all(const TraceRing& ring, uint64_t since = 0, size_t limit = SIZE_MAX) {
    std::vector<Seen> result;
    ring.read(since, [&](const TraceRecord& record) {
        if (result.size() == limit) return false;
        result.push_back({record.sequence,
                          record.time_ns,
                          record.duration_ns,
                          std::string(record.source),
                          record.event,
                          {record.event.data.begin(), record.event.data.end()},
                          std::string(record.event.text)});
        return true;
    });
    return result;
}

TEST(TraceRing, AnAccessComesBackAsItWas) {
    const StepClock clock;
    TraceRing ring(kMinTraceBytes, clock);
    const uint32_t gpu = ring.source("gpu0");
    const std::vector<uint8_t> value{0x78, 0x56, 0x34, 0x12};
    ring.record(gpu, {.kind = TraceKind::kBarWrite,
                      .bar = 2,
                      .flags = kTraceFaulted,
                      .address = 0x40,
                      .size = 4,
                      .data = value});
    const auto seen = all(ring);
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen[0].sequence, 1U);
    EXPECT_EQ(seen[0].time, 10);
    EXPECT_EQ(seen[0].source, "gpu0");
    EXPECT_EQ(seen[0].event.kind, TraceKind::kBarWrite);
    EXPECT_EQ(seen[0].event.bar, 2);
    EXPECT_EQ(seen[0].event.flags, kTraceFaulted);
    EXPECT_EQ(seen[0].event.address, 0x40U);
    EXPECT_EQ(seen[0].event.size, 4U);
    EXPECT_EQ(seen[0].data, value);
}

TEST(TraceRing, AnAccessHasALength) {
    const StepClock clock;
    TraceRing ring(kMinTraceBytes, clock);
    const std::vector<uint8_t> huge(100'000);
    const uint64_t write = ring.record(0, {.kind = TraceKind::kBarWrite, .size = 4, .data = {}});
    ring.record(0, {.kind = TraceKind::kMsix});
    ring.acted(write);
    const int64_t begun = ring.ticks();
    ring.record(0, {.kind = TraceKind::kMsix});
    ring.record(0,
                {.kind = TraceKind::kBarRead, .size = huge.size(), .data = huge, .begun = begun});
    // One that never ends, and one that took longer than there is room for.
    ring.record(0, {.kind = TraceKind::kConfigWrite, .size = 4});
    ring.record(0, {.kind = TraceKind::kConfigRead, .size = 4, .begun = -(int64_t{1} << 40)});
    const auto seen = all(ring);
    ASSERT_EQ(seen.size(), 6U);
    EXPECT_EQ(seen[0].time, 10);
    EXPECT_EQ(seen[0].duration, 20);
    EXPECT_EQ(seen[0].event.size, 4U);
    EXPECT_EQ(seen[1].duration, 0);
    EXPECT_EQ(seen[3].time, 60);
    EXPECT_EQ(seen[3].duration, 20);
    EXPECT_EQ(seen[3].event.size, huge.size());
    EXPECT_EQ(seen[4].duration, 0);
    EXPECT_EQ(seen[5].duration, int64_t{UINT32_MAX});
}

// What a write causes may be more than the ring holds.
TEST(TraceRing, AWriteThatIsOverwrittenBeforeItHasActed) {
    const StepClock clock;
    TraceRing ring(kMinTraceBytes, clock);
    const uint64_t write = ring.record(0, {.kind = TraceKind::kBarWrite, .size = 4});
    for (uint64_t i = 0; i < 3000; ++i) ring.record(0, {.kind = TraceKind::kMsix, .value = i});
    ring.acted(write);
    for (const Seen& event : all(ring)) {
        EXPECT_EQ(event.event.kind, TraceKind::kMsix);
        EXPECT_EQ(event.event.size, 0U);
    }
    const uint64_t other = ring.record(0, {.kind = TraceKind::kBarWrite, .size = 4});
    ring.clear();
    ring.acted(other);
    EXPECT_TRUE(all(ring).empty());
}

TEST(TraceRing, DmaPayloadIsKeptAsFarAsAsked) {
    const StepClock clock;
    TraceRing ring(kMinTraceBytes, clock);
    std::vector<uint8_t> payload(300);
    std::iota(payload.begin(), payload.end(), uint8_t{0});
    const TraceEvent event{.kind = TraceKind::kDmaRead, .address = 1, .size = 300, .data = payload};
    ring.record(0, event);
    ring.set_dma_bytes(256);
    ring.record(0, event);
    const auto seen = all(ring);
    EXPECT_TRUE(seen[0].data.empty());
    EXPECT_EQ(seen[1].data, std::vector<uint8_t>(payload.begin(), payload.begin() + 256));
    EXPECT_EQ(seen[1].event.size, 300U);
}

TEST(TraceRing, NoRecordIsLargerThanAQuarterOfTheBuffer) {
    const StepClock clock;
    TraceRing ring(kMinTraceBytes, clock);
    ring.set_dma_bytes(kMaxTraceDmaBytes);
    EXPECT_EQ(ring.dma_bytes(), kMinTraceBytes / 4);
    const std::vector<uint8_t> huge(1U << 20, 7);
    const std::string text(1U << 20, 'x');
    ring.record(0, {.kind = TraceKind::kDmaWrite, .size = huge.size(), .data = huge});
    ring.record(0, {.kind = TraceKind::kBarRead, .size = huge.size(), .data = huge});
    ring.record(0, {.kind = TraceKind::kFault, .text = text});
    const auto seen = all(ring);
    ASSERT_EQ(seen.size(), 3U);
    EXPECT_EQ(seen[0].data.size(), kMinTraceBytes / 4);
    EXPECT_EQ(seen[1].data.size(), kTraceAccessBytes);
    EXPECT_EQ(seen[2].text.size(), kMinTraceBytes / 4);
}

// Records of many sizes, so that each kind of wrap happens: in a header, in data, in text.
TEST(TraceRing, OverwritesTheOldestAndCountsThem) {
    const StepClock clock;
    TraceRing ring(kMinTraceBytes, clock);
    ring.set_dma_bytes(4096);
    constexpr uint64_t kEvents = 20'000;
    for (uint64_t i = 1; i <= kEvents; ++i) {
        const std::vector<uint8_t> data(i * 7 % 301, static_cast<uint8_t>(i));
        const std::string text(i % 13, 'a');
        ring.record(ring.source("d" + std::to_string(i % 3)), {.kind = TraceKind::kDmaRead,
                                                               .size = data.size(),
                                                               .value = i,
                                                               .data = data,
                                                               .text = text});
    }
    EXPECT_EQ(ring.next(), kEvents + 1);
    EXPECT_EQ(ring.oldest(), ring.overwritten() + 1);
    EXPECT_GT(ring.overwritten(), 0U);
    const auto seen = all(ring);
    ASSERT_EQ(seen.size(), kEvents - ring.overwritten());
    for (const Seen& one : seen) {
        ASSERT_EQ(one.event.value, one.sequence);
        ASSERT_EQ(one.source, "d" + std::to_string(one.sequence % 3));
        ASSERT_EQ(one.data,
                  std::vector<uint8_t>(one.sequence * 7 % 301, static_cast<uint8_t>(one.sequence)));
        ASSERT_EQ(one.text, std::string(one.sequence % 13, 'a'));
    }
}

TEST(TraceRing, ReadsFromAnyNumberOn) {
    const StepClock clock;
    TraceRing ring(1U << 20, clock);
    for (uint64_t i = 1; i <= 30'000; ++i) ring.record(0, {.kind = TraceKind::kMsix, .value = i});
    for (const uint64_t since :
         {uint64_t{0}, ring.oldest(), uint64_t{20'000}, uint64_t{20'480}, uint64_t{29'999}}) {
        const auto seen = all(ring, since, 2);
        ASSERT_EQ(seen.size(), 2U) << since;
        EXPECT_EQ(seen[0].sequence, std::max(since, ring.oldest()));
        EXPECT_EQ(seen[1].event.value, seen[0].sequence + 1);
    }
    EXPECT_TRUE(all(ring, 30'001).empty());
    EXPECT_TRUE(all(ring, UINT64_MAX).empty());
    EXPECT_EQ(ring.read(29'990, [](const TraceRecord& r) { return r.sequence < 29'995; }), 29'995U);
}

TEST(TraceRing, ClearKeepsTheNumbers) {
    const StepClock clock;
    TraceRing ring(kMinTraceBytes, clock);
    ring.record(0, {.kind = TraceKind::kAttach});
    ring.clear();
    ring.record(0, {.kind = TraceKind::kDetach});
    const auto seen = all(ring);
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen[0].sequence, 2U);
    EXPECT_EQ(ring.overwritten(), 0U);
}

TEST(TraceRing, ACopyHasTheNewest) {
    const StepClock clock;
    TraceRing ring(1U << 20, clock);
    for (uint64_t i = 1; i <= 50'000; ++i)
        ring.record(ring.source("gpu0"), {.kind = TraceKind::kMsix, .value = i});
    const auto copy = ring.copy(kMinTraceBytes);
    const auto seen = all(*copy);
    EXPECT_EQ(seen.size(), kMinTraceBytes / 48);
    EXPECT_EQ(seen.back().sequence, 50'000U);
    EXPECT_EQ(seen.front().sequence, copy->oldest());
    EXPECT_EQ(seen.front().event.value, copy->oldest());
    EXPECT_EQ(seen.front().source, "gpu0");
    EXPECT_EQ(all(*ring.copy(kMaxTraceBytes)).size(), all(ring).size());
}

// Times by the counter are those of the clock, and rise.
TEST(TraceRing, TheCounterTellsTheTime) {
    if (cheapest_ticks() != TraceTicks::kTsc) GTEST_SKIP() << "no steady counter";
    const SteadyClock clock;
    TraceRing ring(kMinTraceBytes, clock, 1, TraceTicks::kTsc);
    std::vector<int64_t> before;
    std::vector<int64_t> after;
    for (int i = 0; i < 500; ++i) {
        before.push_back(clock.now().time_since_epoch().count());
        ring.record(0, {.kind = TraceKind::kMsix});
        after.push_back(clock.now().time_since_epoch().count());
    }
    const auto seen = all(ring);
    ASSERT_EQ(seen.size(), 500U);
    constexpr int64_t kError = 1'000'000;  // of the comparison, when this thread is interrupted
    for (size_t i = 0; i < seen.size(); ++i) {
        EXPECT_GE(seen[i].time, before[i] - kError);
        EXPECT_LE(seen[i].time, after[i] + kError);
        if (i == 0) continue;
        EXPECT_GE(seen[i].time, seen[i - 1].time);
    }
    EXPECT_EQ(all(ring)[250].time, seen[250].time) << "a time that was told stays";
    EXPECT_EQ(all(*ring.copy(kMinTraceBytes))[250].time, seen[250].time);
}

TEST(TraceRing, SourcesAreReusedByNameAndBounded) {
    const StepClock clock;
    TraceRing ring(kMinTraceBytes, clock);
    EXPECT_EQ(ring.source("gpu0-vf0"), ring.source("gpu0-vf0"));
    for (int i = 0; i < 5000; ++i) ring.source("x" + std::to_string(i));
    const uint32_t last = ring.source("one more");
    ring.record(last, {.kind = TraceKind::kAttach});
    EXPECT_EQ(all(ring).back().source, "?");
}

// Where all bytes are wanted, those that do not fit the event follow it.
TEST(TraceRing, LongDmaGoesOnInFurtherEvents) {
    const StepClock clock;
    TraceRing ring(uint64_t{1} << 20, clock);
    std::vector<uint8_t> payload(150'000);
    std::iota(payload.begin(), payload.end(), uint8_t{0});
    const TraceEvent dma{
        .kind = TraceKind::kDmaWrite, .address = 0x1000, .size = payload.size(), .data = payload};
    ring.set_dma_bytes(kMaxTraceDmaBytes);
    ring.record(0, dma);
    const auto seen = all(ring);
    ASSERT_EQ(seen.size(), 3U);
    EXPECT_EQ(seen[0].event.size, payload.size());
    std::vector<uint8_t> together;
    for (const Seen& one : seen) {
        if (&one != &seen[0]) {
            EXPECT_EQ(one.event.kind, TraceKind::kDmaData);
            EXPECT_EQ(one.event.address, dma.address + together.size());
            EXPECT_EQ(one.event.size, one.data.size());
        }
        together.insert(together.end(), one.data.begin(), one.data.end());
    }
    EXPECT_EQ(together, payload);
    // Not where only some are wanted, nor where it would push out half of the ring.
    ring.clear();
    ring.set_dma_bytes(kMaxTraceDmaBytes - 1);
    ring.record(0, dma);
    ring.set_dma_bytes(kMaxTraceDmaBytes);
    payload.resize(600'000);
    ring.record(0, {.kind = TraceKind::kDmaRead, .size = payload.size(), .data = payload});
    EXPECT_EQ(all(ring).size(), 2U);
}

TEST(TraceRing, SaysWhenSoManyBytesAreNew) {
    const StepClock clock;
    TraceRing ring(kMinTraceBytes, clock);
    unsigned times = 0;
    ring.set_due(4800, [&times] { ++times; });
    for (int i = 0; i < 99; ++i) ring.record(0, {.kind = TraceKind::kMsix});
    EXPECT_EQ(times, 0U);
    ring.record(0, {.kind = TraceKind::kMsix});
    EXPECT_EQ(times, 1U);
    ring.clear();
    for (int i = 0; i < 200; ++i) ring.record(0, {.kind = TraceKind::kMsix});
    EXPECT_EQ(times, 3U);
    ring.set_due(0, nullptr);
    for (int i = 0; i < 200; ++i) ring.record(0, {.kind = TraceKind::kMsix});
    EXPECT_EQ(times, 3U);
}

}  // namespace
}  // namespace mimic::pci
