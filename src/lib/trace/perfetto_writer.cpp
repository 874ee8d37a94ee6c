// SPDX-License-Identifier: Apache-2.0
// Rules that this keeps are those of Perfetto v58.2 (src/trace_processor/importers: json/
// json_trace_parser.cc, common/slice_tracker.cc, common/flow_tracker.cc): events are sorted by
// their time, those of the same time stay as they are in the file; slices of a track lie inside or
// beside each other; an arrow's end binds to the slice of its track that begins next, its start and
// its steps to the one that is open and began last.
#include "trace/perfetto_writer.h"

#include <algorithm>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>

namespace mimic::trace {
namespace {

using Json = nlohmann::ordered_json;
using pci::TraceKind;

constexpr int64_t kNsPerUs = 1000;
constexpr int kProcess = 1;
constexpr int kSimulated = 2;  // the process whose tracks are in the simulated time of models
constexpr int kSimulatedTracks = 1 << 24;  // their numbers, which are nobody else's
// What has no length and is touched by an arrow, which cannot bind to an instant.
constexpr int64_t kPointNs = 1;
constexpr int kTracksOfADevice = 1024;  // arbitrary; rings beyond that have none

// A slice on the track of a device.
struct Span {
    int64_t start;
    int64_t end;
};

// What goes on in a ring, from the first doorbell to the interrupt.
struct Ring {
    int track = 0;
    bool is_open = false;
    bool has_moved = false;       // there was DMA since
    bool was_rung_since = false;  // a doorbell after the last DMA
    uint64_t doorbells = 0;
    int64_t last_dma_ns = 0;
    std::optional<uint32_t> vector;
};

struct Device {
    std::string name;
    int track = 0;
    uint64_t flow = 0;        // the last one
    bool is_flowing = false;  // a doorbell was rung, and no interrupt has come
    bool has_moved = false;   // there was DMA since
    uint64_t read_bytes = 0;
    uint64_t written_bytes = 0;
    uint64_t interrupts = 0;
    int64_t arrow_ns = 0;          // where the last arrow touched
    bool rings_interrupt = false;  // one of its rings was seen to
    std::deque<Span> spans;        // the last ones
    std::map<std::pair<uint8_t, uint64_t>, Ring> rings;
    uint64_t requests = 0;
    uint64_t simulated_ns = 0;  // how far its simulated time has come
    int64_t epoch_ns = 0;       // where that time's zero is shown
};

bool is_interrupt(const Event& event) {
    const bool message = event.kind == TraceKind::kMsix || event.kind == TraceKind::kMsi;
    return (message && !event.has(pci::kTraceFaulted)) ||
           (event.kind == TraceKind::kIntx && event.value != 0);
}

// Of a model's own: no fault swallowed or sent it.
bool is_genuine(const Event& event) {
    return !event.has(pci::kTraceFaulted) && !event.has(pci::kTraceInjected);
}

bool is_doorbell(const Event& event) {
    return event.kind == TraceKind::kBarWrite && event.has(pci::kTraceDoorbell) &&
           is_genuine(event);
}

bool moves_data(const Event& event) {
    return event.is_dma() || event.kind == TraceKind::kDmaMap;
}

bool ends_all(const Event& event) {
    return event.kind == TraceKind::kReset || event.kind == TraceKind::kDetach;
}

std::string name_of(const Event& event) {
    if (event.is_access())
        return fmt::format("{} {}", event.is_read() ? "read" : "write", place(event));
    if (event.is_dma()) return event.kind == TraceKind::kDmaRead ? "DMA read" : "DMA write";
    return describe(event);
}

Json args_of(const Event& event) {
    Json args{{"seq", event.sequence}};
    const Json json = to_json(event);
    for (const char* key : {"addr", "size", "value", "reg", "fields", "vector", "data", "text",
                            "queue", "begun_ns", "took_ns", "failed"})
        if (json.contains(key) && event.kind != TraceKind::kState) args[key] = json[key];
    return args;
}

// Times and lengths were rounded each for itself, so that one slice may seem to end a nanosecond
// inside of the next. Such a one begins later.
Span beside_others(const std::deque<Span>& others, Span span) {
    for (bool again = true; again;) {
        again = false;
        for (const Span& other : others) {
            const bool apart = span.end <= other.start || other.end <= span.start;
            const bool inside = other.start <= span.start && span.end <= other.end;
            const bool around = span.start < other.start && other.end <= span.end;
            if (apart || inside || around) continue;
            again = true;
            span.start = other.start <= span.start ? other.end : other.start;
            span.end = std::max(span.end, span.start + kPointNs);
        }
    }
    return span;
}

class PerfettoWriter final : public Writer {
public:
    explicit PerfettoWriter(Sink sink) : sink_(std::move(sink)) {}

    void begin(const TraceHeader& header) override {
        sink_("{\"displayTimeUnit\":\"ns\",\"otherData\":" +
              dumped({{"mimic", header.mimic}, {"machine", header.machine}}) +
              ",\"traceEvents\":[\n");
        put({{"ph", "M"},
             {"name", "process_name"},
             {"pid", kProcess},
             {"tid", 0},
             {"args", {{"name", header.machine}}}});
        for (const std::string& device : header.devices) device_of(device);
    }

    void event(const Event& event) override {
        if (event.kind == TraceKind::kDmaData) return;  // the DMA before it says how much
        Device& device = device_of(event.device);
        if (event.kind == TraceKind::kRequest) return put_request(device, event);
        const Arrow arrow = arrow_of(device, event);
        if (arrow == Arrow::kNone && event.duration_ns == 0) {
            put_shown(device, event, {{"ph", "i"}, {"s", "t"}}, event.time_ns);
        } else {
            put_slice(device, event, arrow);
        }
        follow_rings(device, event);
        count(device, event);
    }

    void end(uint64_t /*events*/, uint64_t lost) override {
        for (auto& [name, device] : devices_) {
            for (auto& [place, ring] : device.rings) {
                // One that raises interrupts is still at work.
                if (ring.is_open && ring.has_moved && !device.rings_interrupt)
                    end_operation(ring, ring.last_dma_ns, "DMA");
            }
        }
        sink_(fmt::format("\n],\"lostEvents\":{}}}\n", lost));
    }

private:
    enum class Arrow : uint8_t { kNone, kStart, kStep, kEnd };
    static constexpr size_t kSpans = 64;  // that a new one may touch; arbitrary

    static std::string dumped(const Json& json) {
        return json.dump(-1, ' ', false, Json::error_handler_t::replace);
    }

    Device& device_of(const std::string& name) {
        const auto [at, is_new] = devices_.try_emplace(name);
        if (is_new) {
            at->second.name = name;
            at->second.track = static_cast<int>(devices_.size()) * kTracksOfADevice;
            name_track(at->second.track, name);
        }
        return at->second;
    }

    // The number of a track is its place on the page, too: rings stand below their device.
    void name_track(int track, const std::string& name, int process = kProcess) {
        for (const auto& [what, args] :
             {std::pair("thread_name", Json{{"name", name}}),
              std::pair("thread_sort_index", Json{{"sort_index", track}})}) {
            put({{"ph", "M"}, {"name", what}, {"pid", process}, {"tid", track}, {"args", args}});
        }
    }

    void put_shown(const Device& device, const Event& event, Json shown, int64_t time_ns) {
        shown["name"] = name_of(event);
        shown["cat"] = kind_name(event.kind);
        shown["pid"] = kProcess;
        shown["tid"] = device.track;
        shown["args"] = args_of(event);
        put(shown, time_ns);
    }

    void put_slice(Device& device, const Event& event, Arrow arrow) {
        const int64_t length = std::max(event.duration_ns, kPointNs);
        Span span{event.time_ns, event.time_ns + length};
        if (event.is_read() && event.duration_ns != 0)
            span = {std::max<int64_t>(event.time_ns - length, 0), event.time_ns};
        // An arrow must not lead back, however slices were moved.
        if (arrow != Arrow::kNone) {
            span.start = std::max(span.start, device.arrow_ns);
            span.end = std::max(span.end, span.start + kPointNs);
        }
        span = beside_others(device.spans, span);
        if (arrow != Arrow::kNone) device.arrow_ns = span.start;
        device.spans.push_back(span);
        if (device.spans.size() > kSpans) device.spans.pop_front();
        if (arrow == Arrow::kEnd) put_arrow(device, "f", span.start);
        const int64_t ns = span.end - span.start;
        put_shown(device, event,
                  {{"ph", "X"}, {"dur", static_cast<double>(ns) / static_cast<double>(kNsPerUs)}},
                  span.start);
        if (arrow == Arrow::kStart) put_arrow(device, "s", span.start);
        if (arrow == Arrow::kStep) put_arrow(device, "t", span.start);
    }

    // A request of a model, as long as it took in simulated time, on a track of its own kind: those
    // that overlap stand below each other. The time's zero is where its first request ended just
    // when it was seen; simulated time that goes back has begun anew.
    void put_request(Device& device, const Event& event) {
        const uint64_t end = event.address + event.size;
        if (device.requests == 0 || end < device.simulated_ns)
            device.epoch_ns = event.time_ns - static_cast<int64_t>(end);
        if (device.requests++ == 0) {
            if (!simulates_) {
                simulates_ = true;
                put({{"ph", "M"},
                     {"name", "process_name"},
                     {"pid", kSimulated},
                     {"tid", 0},
                     {"args", {{"name", "simulated time"}}}});
            }
            name_track(kSimulatedTracks + device.track, device.name, kSimulated);
        }
        device.simulated_ns = end;
        const Json both{{"name", event.text},
                        {"cat", "request"},
                        {"id", ++requests_},
                        {"pid", kSimulated},
                        {"tid", kSimulatedTracks + device.track}};
        Json begin = both;
        begin["ph"] = "b";
        begin["args"] = args_of(event);
        Json finish = both;
        finish["ph"] = "e";
        const int64_t start = device.epoch_ns + static_cast<int64_t>(event.address);
        put(begin, std::max<int64_t>(start, 0));
        put(finish, std::max<int64_t>(device.epoch_ns + static_cast<int64_t>(end), 0));
    }

    // What `event` is in a chain of arrows of its device, which it may begin or end.
    Arrow arrow_of(Device& device, const Event& event) {
        if (!is_genuine(event)) return Arrow::kNone;
        if (is_doorbell(event)) {
            if (device.is_flowing) return Arrow::kStep;
            device.is_flowing = true;
            device.has_moved = false;
            device.flow = ++flows_;
            return Arrow::kStart;
        }
        if (ends_all(event)) device.is_flowing = false;
        if (!device.is_flowing) return Arrow::kNone;
        if (moves_data(event)) {
            device.has_moved = true;
            return Arrow::kStep;
        }
        // An interrupt before any DMA has another cause.
        if (!device.has_moved || !is_interrupt(event)) return Arrow::kNone;
        device.is_flowing = false;
        return Arrow::kEnd;
    }

    void put_arrow(const Device& device, const char* phase, int64_t time_ns) {
        put({{"ph", phase},
             {"name", "doorbell to interrupt"},
             {"cat", "flow"},
             {"id", device.flow},
             {"pid", kProcess},
             {"tid", device.track}},
            time_ns);
    }

    void follow_rings(Device& device, const Event& event) {
        if (is_doorbell(event)) return ring_rung(device, event);
        for (auto& [place, ring] : device.rings) {
            if (!ring.is_open) continue;
            if (ends_all(event)) {
                end_operation(ring, event.time_ns, describe(event));
            } else if (moves_data(event)) {
                // Whose it is cannot be seen.
                ring.has_moved = true;
                ring.was_rung_since = false;
                ring.last_dma_ns = event.time_ns;
            } else if (is_genuine(event) && is_interrupt(event)) {
                ring_answered(device, ring, event);
            }
        }
    }

    void ring_rung(Device& device, const Event& event) {
        if (device.rings.size() + 1 >= kTracksOfADevice) return;
        const auto [at, is_new] = device.rings.try_emplace({event.bar, event.address});
        Ring& ring = at->second;
        if (is_new) {
            ring.track = device.track + static_cast<int>(device.rings.size());
            name_track(ring.track, fmt::format("{} {}", device.name, place(event)));
        }
        if (event.interrupt) ring.vector = event.interrupt;
        // A driver that looks for completions itself rings again once it has seen them.
        if (ring.is_open && ring.has_moved && !device.rings_interrupt)
            end_operation(ring, ring.last_dma_ns, "DMA");
        if (!ring.is_open) begin_operation(ring, event.time_ns);
        ++ring.doorbells;
        ring.was_rung_since = true;
    }

    void ring_answered(Device& device, Ring& ring, const Event& event) {
        const bool is_its = ring.vector
                                ? event.kind == TraceKind::kMsix && event.value == *ring.vector
                                : ring.has_moved;
        if (!is_its) return;
        device.rings_interrupt = true;
        const bool goes_on = ring.was_rung_since && ring.has_moved;
        end_operation(ring, event.time_ns, describe(event));
        if (!goes_on) return;
        begin_operation(ring, event.time_ns);
        ring.doorbells = 1;
    }

    void begin_operation(Ring& ring, int64_t time_ns) {
        ring.is_open = true;
        ring.has_moved = false;
        ring.was_rung_since = false;
        ring.doorbells = 0;
        put({{"ph", "B"},
             {"name", "ring operation"},
             {"cat", "ring"},
             {"pid", kProcess},
             {"tid", ring.track}},
            time_ns);
    }

    void end_operation(Ring& ring, int64_t time_ns, const std::string& by) {
        ring.is_open = false;
        put({{"ph", "E"},
             {"name", "ring operation"},
             {"cat", "ring"},
             {"pid", kProcess},
             {"tid", ring.track},
             {"args", {{"doorbells", ring.doorbells}, {"ended by", by}}}},
            time_ns);
    }

    void count(Device& device, const Event& event) {
        const bool mapped = event.kind == TraceKind::kDmaMap;
        if ((event.is_dma() && !event.has(pci::kTraceIssued)) || mapped) {
            if (event.kind == TraceKind::kDmaRead || (mapped && (event.bar & 1) != 0))
                device.read_bytes += event.size;
            if (event.kind == TraceKind::kDmaWrite || (mapped && (event.bar & 2) != 0))
                device.written_bytes += event.size;
            counter(event, "DMA bytes",
                    {{"read", device.read_bytes}, {"written", device.written_bytes}});
        }
        if (is_interrupt(event)) counter(event, "interrupts", {{"sent", ++device.interrupts}});
    }

    void counter(const Event& event, const char* what, Json args) {
        put({{"ph", "C"},
             {"name", event.device + " " + what},
             {"pid", kProcess},
             {"args", std::move(args)}},
            event.time_ns);
    }

    // Times are microseconds; a double would round them.
    void put(const Json& json, int64_t time_ns = -1) {
        std::string text = dumped(json);
        if (time_ns >= 0) {
            text.pop_back();
            text += fmt::format(",\"ts\":{}.{:03}}}", time_ns / kNsPerUs, time_ns % kNsPerUs);
        }
        sink_((first_ ? "" : ",\n") + text);
        first_ = false;
    }

    Sink sink_;
    bool first_ = true;
    uint64_t flows_ = 0;
    uint64_t requests_ = 0;
    bool simulates_ = false;  // there was a request
    std::map<std::string, Device> devices_;
};

}  // namespace

std::unique_ptr<Writer> make_perfetto_writer(Sink sink) {
    return std::make_unique<PerfettoWriter>(std::move(sink));
}

}  // namespace mimic::trace
