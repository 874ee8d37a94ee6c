// SPDX-License-Identifier: Apache-2.0
// What Perfetto makes of the file. `Imported` keeps the rules of its v58.2 (perfetto_writer.cpp
// says where they are) and fails where that importer would count an error: a slice that overlaps
// another, an end without a beginning, an arrow that touches nothing.
#include "trace/perfetto_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

namespace mimic::trace {
namespace {

using Json = nlohmann::ordered_json;
using pci::TraceKind;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kOpen = -1;

struct Slice {
    std::string track;
    std::string name;
    int64_t start = 0;
    int64_t length = kOpen;
    size_t depth = 0;
    Json args = Json::object();

    std::string text() const {
        return fmt::format("{} {} {}+{} @{}", track, name, start, length, depth);
    }
};

class Imported {
public:
    explicit Imported(const std::string& text) {
        const Json json = Json::parse(text, nullptr, false);
        if (!json.is_object()) {
            fail_with("no JSON");
            return;
        }
        std::vector<std::pair<int64_t, const Json*>> events;
        for (const Json& event : json["traceEvents"])
            events.emplace_back(event.contains("ts") ? ns(event["ts"]) : 0, &event);
        std::stable_sort(events.begin(), events.end(),
                         [](const auto& a, const auto& b) { return a.first < b.first; });
        for (const auto& [time, event] : events) take(time, *event);
        for (const auto& [track, flows] : pending_)
            if (!flows.empty()) fail_with("an arrow ends at nothing");
    }

    std::vector<std::string> on(const std::string& track) const {
        std::vector<std::string> result;
        for (const Slice& slice : slices)
            if (slice.track == track && slice.length != 0) result.push_back(slice.text());
        return result;
    }

    std::vector<Slice> slices;
    std::vector<std::string> problems;
    std::vector<std::string> arrows;
    std::vector<std::string> requests;  // of simulated time, in the order of their beginnings

private:
    static int64_t ns(const Json& us) { return std::llround(us.get<double>() * 1000.0); }

    void fail_with(const std::string& what) { problems.push_back(what); }

    void take(int64_t time, const Json& event) {
        const auto phase = event.at("ph").get<std::string>();
        if (phase == "C") return;
        if (phase == "b" || phase == "e") return request(time, event, phase == "b");
        const int tid = event.at("tid").get<int>();
        if (phase == "M") {
            if (event.at("name") == "thread_name") names_[tid] = event["args"]["name"];
            if (event.at("name") == "thread_sort_index") {
                EXPECT_EQ(event["args"]["sort_index"], tid);
            }
            return;
        }
        if (phase == "i") return begin(time, tid, event, 0);
        if (phase == "X") return begin(time, tid, event, ns(event.at("dur")));
        if (phase == "B") return begin(time, tid, event, kOpen);
        if (phase == "E") return end(time, tid, event);
        arrow(phase, tid, event.at("id").get<int>());
    }

    // Takes those from the stack that ended before; false if a slice of `length` cannot begin now.
    bool close(int tid, int64_t time, int64_t length) {
        auto& stack = stacks_[tid];
        while (!stack.empty()) {
            const Slice& top = slices[stack.back()];
            if (top.length == kOpen) break;
            const int64_t ended = top.start + top.length;
            const bool both_points = top.length == 0 && length == 0;
            if (ended > time || (ended == time && both_points)) break;
            stack.pop_back();
        }
        for (const size_t at : stack) {
            const Slice& slice = slices[at];
            const int64_t ended = slice.start + slice.length;
            if (slice.length != kOpen && length != kOpen && time < ended && time + length > ended)
                return false;
        }
        return true;
    }

    // Slices that may overlap: each has an id of its own.
    void request(int64_t time, const Json& event, bool begins) {
        const int id = event.at("id").get<int>();
        if (begins) {
            if (!open_.emplace(id, std::pair(requests.size(), time)).second)
                fail_with("a request begins twice");
            requests.push_back(event.at("name").get<std::string>());
            return;
        }
        const auto found = open_.find(id);
        if (found == open_.end()) return fail_with("a request ends that did not begin");
        const auto [place, began] = found->second;
        requests[place] += fmt::format(" {}+{}", began, time - began);
        open_.erase(found);
    }

    void begin(int64_t time, int tid, const Json& event, int64_t length) {
        const auto name = event.at("name").get<std::string>();
        if (!close(tid, time, length))
            return fail_with(fmt::format("{} at {}: overlaps another", name, time));
        auto& stack = stacks_[tid];
        slices.push_back(
            {names_[tid], name, time, length, stack.size(), event.value("args", Json::object())});
        stack.push_back(slices.size() - 1);
        for (const int flow : pending_[tid])
            arrows.push_back(
                fmt::format("{}: {} > {}", flow, seq(last_[flow]), seq(slices.size() - 1)));
        pending_[tid].clear();
    }

    void end(int64_t time, int tid, const Json& event) {
        close(tid, time, kOpen);
        auto& stack = stacks_[tid];
        if (stack.empty() || slices[stack.back()].length != kOpen ||
            slices[stack.back()].name != event.at("name"))
            return fail_with("an end without a beginning");
        Slice& slice = slices[stack.back()];
        slice.length = time - slice.start;
        if (slice.length < 0) fail_with("ends before it begins");
        slice.args.update(event.value("args", Json::object()));
        stack.pop_back();
    }

    void arrow(const std::string& phase, int tid, int flow) {
        if (phase == "f") {
            if (!last_.contains(flow)) fail_with("an arrow ends that did not begin");
            return pending_[tid].push_back(flow);
        }
        if (stacks_[tid].empty()) return fail_with("an arrow leaves nothing");
        const size_t now = stacks_[tid].back();
        if (phase == "s") {
            if (!last_.emplace(flow, now).second) fail_with("an arrow begins twice");
            return;
        }
        if (!last_.contains(flow)) return fail_with("an arrow goes on that did not begin");
        arrows.push_back(fmt::format("{}: {} > {}", flow, seq(last_[flow]), seq(now)));
        last_[flow] = now;
    }

    std::string seq(size_t slice) const {
        return slices[slice].args.value("seq", Json("?")).dump();
    }

    std::map<int, std::pair<size_t, int64_t>> open_;
    std::map<int, std::string> names_;
    std::map<int, std::vector<size_t>> stacks_;
    std::map<int, size_t> last_;
    std::map<int, std::vector<int>> pending_;
};

class PerfettoWriter : public ::testing::Test {
protected:
    PerfettoWriter()
        : writer_(make_perfetto_writer([this](std::string_view more) { text_ += more; })) {
        writer_->begin(
            {.mimic = "", .machine = "box", .topology = "", .devices = {}, .data_bytes = 0});
    }

    Event& add(int64_t time_ns, const char* device, TraceKind kind, uint8_t flags = 0) {
        Event& event = events_.emplace_back();
        event.sequence = events_.size();
        event.time_ns = time_ns;
        event.device = device;
        event.kind = kind;
        event.flags = flags;
        event.size = 4;
        if (kind == TraceKind::kBarWrite) event.data.assign(4, 1);
        return event;
    }
    // A doorbell of ring `ring`, which interrupts by vector 1 + ring.
    Event& ring(int64_t time_ns, uint32_t ring) {
        Event& event = add(time_ns, "gpu0", TraceKind::kBarWrite, pci::kTraceDoorbell);
        event.address = 0x118 + 0x40 * ring;
        event.reg = fmt::format("RING_TAIL[{}]", ring);
        event.interrupt = 1 + ring;
        return event;
    }
    void interrupt(int64_t time_ns, uint32_t vector, uint8_t flags = 0) {
        add(time_ns, "gpu0", TraceKind::kMsix, flags).value = vector;
    }
    Imported imported() {
        for (const Event& event : events_) writer_->event(event);
        writer_->end(events_.size(), 0);
        return Imported(text_);
    }

    std::string text_;
    std::deque<Event> events_;
    std::unique_ptr<Writer> writer_;
};

TEST_F(PerfettoWriter, RequestsHaveTheirSimulatedLengths) {
    const auto request = [this](int64_t seen_ns, uint64_t begun_ns, uint64_t took_ns) {
        Event& event = add(seen_ns, "sst0", TraceKind::kRequest);
        event.address = begun_ns;
        event.size = took_ns;
        event.text = "COMPUTE";
    };
    request(10'000, 100, 900);    // its end, 1000, is shown at 10,000
    request(10'010, 200, 2'000);  // overlaps, whenever it was seen
    request(10'020, 2'500, 0);
    request(50'000, 0, 700);  // simulated time begins anew
    const Imported trace = imported();
    EXPECT_THAT(trace.problems, IsEmpty());
    EXPECT_THAT(trace.requests, ElementsAre("COMPUTE 9100+900", "COMPUTE 9200+2000",
                                            "COMPUTE 11500+0", "COMPUTE 49300+700"));
}

TEST_F(PerfettoWriter, AnAccessLastsAsLongAsItTook) {
    add(1000, "gpu0", TraceKind::kBarWrite).duration_ns = 250;
    add(1100, "gpu0", TraceKind::kMsix);
    add(2000, "gpu0", TraceKind::kBarRead).duration_ns = 300;  // recorded when it was answered
    add(2100, "gpu0", TraceKind::kConfigRead).duration_ns = 40;
    add(3000, "gpu0", TraceKind::kBarRead);  // not known: an instant
    const Imported trace = imported();
    EXPECT_THAT(trace.problems, IsEmpty());
    EXPECT_THAT(trace.on("gpu0"),
                ElementsAre("gpu0 write 0x0 1000+250 @0", "gpu0 read 0x0 1700+300 @0",
                            "gpu0 read 0x0 2060+40 @0"));
}

// Times and lengths are rounded each for itself.
TEST_F(PerfettoWriter, NoSliceOverlapsTheNext) {
    add(1000, "gpu0", TraceKind::kBarWrite).duration_ns = 101;
    add(1100, "gpu0", TraceKind::kBarWrite).duration_ns = 50;
    add(1200, "gpu0", TraceKind::kBarRead).duration_ns = 51;
    add(1300, "gpu0", TraceKind::kDmaMap);
    add(1300, "gpu0", TraceKind::kBarRead).duration_ns = 200;
    EXPECT_THAT(imported().problems, IsEmpty());
}

TEST_F(PerfettoWriter, ARingHasASliceFromDoorbellToItsInterrupt) {
    ring(1000, 0).duration_ns = 100;
    ring(1500, 1);
    add(2000, "gpu0", TraceKind::kDmaMap);
    interrupt(2500, 2);  // of ring 1
    interrupt(2600, 0);  // of something else
    ring(2700, 0);  // after the DMA: what is asked for here is not done with the next interrupt
    interrupt(3000, 1);
    add(3500, "gpu0", TraceKind::kDmaMap);
    interrupt(4000, 1);
    ring(5000, 1);
    add(5100, "gpu0", TraceKind::kDmaMap);
    interrupt(5200, 2, pci::kTraceFaulted);  // lost
    add(9000, "gpu0", TraceKind::kReset);
    ring(9500, 0);  // still at work
    const Imported trace = imported();
    EXPECT_THAT(trace.problems, IsEmpty());
    EXPECT_THAT(trace.on("gpu0 RING_TAIL[0](0x118)"),
                ElementsAre("gpu0 RING_TAIL[0](0x118) ring operation 1000+2000 @0",
                            "gpu0 RING_TAIL[0](0x118) ring operation 3000+1000 @0",
                            "gpu0 RING_TAIL[0](0x118) ring operation 9500+-1 @0"));
    EXPECT_THAT(trace.on("gpu0 RING_TAIL[1](0x158)"),
                ElementsAre("gpu0 RING_TAIL[1](0x158) ring operation 1500+1000 @0",
                            "gpu0 RING_TAIL[1](0x158) ring operation 5000+4000 @0"));
    for (const Slice& slice : trace.slices) {
        if (slice.start == 1000 && slice.name == "ring operation") {
            EXPECT_EQ(slice.args["doorbells"], 2);
            EXPECT_EQ(slice.args["ended by"], "MSI-X vector 1");
        }
    }
}

// Without an interrupt that is its own, an operation ends with what moved last.
TEST_F(PerfettoWriter, ARingThatIsPolledEndsWithItsDma) {
    ring(1000, 0);
    add(1200, "gpu0", TraceKind::kDmaMap);
    add(1300, "gpu0", TraceKind::kDmaWrite);
    ring(2000, 0);
    add(2400, "gpu0", TraceKind::kDmaMap);
    const Imported trace = imported();
    EXPECT_THAT(trace.problems, IsEmpty());
    EXPECT_THAT(trace.on("gpu0 RING_TAIL[0](0x118)"),
                ElementsAre("gpu0 RING_TAIL[0](0x118) ring operation 1000+300 @0",
                            "gpu0 RING_TAIL[0](0x118) ring operation 2000+400 @0"));
}

TEST_F(PerfettoWriter, ArrowsLeadFromADoorbellToTheInterrupt) {
    int64_t now = 0;
    const auto next = [&](const char* device, TraceKind kind, uint8_t flags = 0) {
        add(now += 1000, device, kind, flags);
    };
    next("gpu0", TraceKind::kDmaRead);  // nobody asked for it
    next("gpu0", TraceKind::kBarWrite);
    next("gpu0", TraceKind::kBarWrite, pci::kTraceDoorbell);
    next("gpu1", TraceKind::kBarWrite, pci::kTraceDoorbell);
    next("gpu0", TraceKind::kMsix);  // before any DMA
    next("gpu0", TraceKind::kDmaMap);
    next("gpu0", TraceKind::kBarWrite, pci::kTraceDoorbell);
    next("gpu1", TraceKind::kMsix);
    next("gpu0", TraceKind::kDmaWrite, pci::kTraceIssued);
    next("gpu0", TraceKind::kDmaData);
    next("gpu0", TraceKind::kMsix, pci::kTraceFaulted);  // swallowed
    next("gpu0", TraceKind::kMsi);
    next("gpu0", TraceKind::kMsi);
    next("gpu1", TraceKind::kReset);
    next("gpu1", TraceKind::kDmaRead);
    const Imported trace = imported();
    EXPECT_THAT(trace.problems, IsEmpty());
    EXPECT_THAT(trace.arrows, ElementsAre("1: 3 > 6", "1: 6 > 7", "1: 7 > 9", "1: 9 > 12"));
}

// Whatever a device does, and whatever the clock says of it.
TEST_F(PerfettoWriter, PerfettoFindsNothingWrong) {
    std::mt19937 random(9);  // NOLINT(cert-msc51-cpp): the same each time
    const auto below = [&random](uint64_t n) { return static_cast<int64_t>(random() % n); };
    constexpr TraceKind kKinds[] = {
        TraceKind::kBarRead,  TraceKind::kConfigWrite, TraceKind::kDmaMap, TraceKind::kDmaRead,
        TraceKind::kBarWrite, TraceKind::kReset,       TraceKind::kFault};
    int64_t now = 1'000'000;
    for (int i = 0; i < 2000; ++i) {
        now += below(4) == 0 ? 0 : below(60);
        const int64_t what = below(12);
        if (what < 3) {
            ring(now, static_cast<uint32_t>(below(3))).duration_ns = below(80);
        } else if (what < 5) {
            interrupt(now, static_cast<uint32_t>(below(4)), below(5) == 0 ? 1 : 0);
        } else {
            Event& event = add(now, below(2) == 0 ? "gpu0" : "gpu1", kKinds[below(7)]);
            event.duration_ns = event.is_access() ? below(150) : 0;
        }
    }
    const Imported trace = imported();
    EXPECT_THAT(trace.problems, IsEmpty());
    EXPECT_GT(trace.arrows.size(), 100U);
}

}  // namespace
}  // namespace mimic::trace
