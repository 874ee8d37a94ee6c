// SPDX-License-Identifier: Apache-2.0
#include "trace/writer.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/nearest.h"
#include "base/terminal_text.h"
#include "base/text_table.h"

namespace mimic::trace {
namespace {

using Json = nlohmann::ordered_json;
using pci::TraceKind;

constexpr size_t kShownBytes = 16;  // of DMA, in text
constexpr int64_t kNsPerUs = 1000;

std::string dumped(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string shown_data(const Event& event) {
    std::string text;
    for (size_t i = 0; i < std::min(event.data.size(), kShownBytes); ++i)
        text += fmt::format(" {:02x}", event.data[i]);
    if (event.data.size() > kShownBytes) text += " ..";
    return text;
}

// "CTRL(0x10)", "0x10"; the place of an access.
std::string place(const Event& event) {
    if (event.reg.empty()) return fmt::format("{:#x}", event.address);
    return fmt::format("{}({:#x})", event.reg, event.address);
}

std::string access_text(const Event& event) {
    const std::string space = event.is_config() ? "config" : fmt::format("BAR{}", event.bar);
    std::string text = fmt::format("{} {} {}", space, event.is_read() ? "read" : "write",
                                   place(event));
    if (const auto number = event.number(); number && event.data.size() == event.size) {
        text += fmt::format(" = {:#x}", *number);
    } else {
        text += fmt::format(", {} bytes{}{}", event.size, event.data.empty() ? "" : ":",
                            shown_data(event));
    }
    for (const auto& [name, value] : event.fields) {
        if (value == 1) text += " " + name;
        if (value > 1) text += fmt::format(" {}={:#x}", name, value);
    }
    return text;
}

std::string dma_text(const Event& event) {
    std::string text = fmt::format("DMA {} {:#x}, {} bytes",
                                   event.kind == TraceKind::kDmaRead ? "read" : "write",
                                   event.address, event.size);
    if (!event.data.empty()) text += ":" + shown_data(event);
    if (event.has(pci::kTraceIssued)) text += " (begins)";
    if (event.has(pci::kTraceLater)) text += " (ends)";
    if (event.has(pci::kTraceFailed)) text += fmt::format(" failed, errno {}", event.value);
    return text;
}

const char* map_text(uint8_t access) {
    constexpr const char* kNames[] = {"?", "reading", "writing", "both"};
    return kNames[access & 3];
}

std::string reset_text(uint64_t kind) {
    constexpr const char* kNames[] = {"function level", "conventional", "power", "detach"};
    return fmt::format("reset ({})", kind < std::size(kNames) ? kNames[kind] : "?");
}

std::string other_text(const Event& event) {
    switch (event.kind) {
        case TraceKind::kDmaMap:
            return fmt::format("DMA map {:#x}, {} bytes for {}", event.address, event.size,
                               map_text(event.bar));
        case TraceKind::kMsix:
            return fmt::format("MSI-X vector {}", event.value);
        case TraceKind::kMsi:
            return fmt::format("MSI message {}", event.value);
        case TraceKind::kIntx:
            return fmt::format("INTx {}", event.value != 0 ? "asserted" : "deasserted");
        case TraceKind::kReset:
            return reset_text(event.value);
        case TraceKind::kError:
            return fmt::format("error {:#x}, {}", event.value,
                               event.address == 0   ? "correctable"
                               : event.address == 1 ? "nonfatal"
                                                    : "fatal");
        case TraceKind::kVfs:
            return counted(event.value, "VF");
        case TraceKind::kSlot:
            return fmt::format("slot: {}, link {}", (event.value & 1) != 0 ? "present" : "empty",
                               (event.value & 2) != 0 ? "up" : "down");
        case TraceKind::kPower:
            return event.value == 3 ? "power state D3hot"
                                    : fmt::format("power state D{}", event.value);
        case TraceKind::kFault:
            return fmt::format("fault {}: {}", event.value, event.text);
        case TraceKind::kState:
            return "state";
        case TraceKind::kDmaData:
            return fmt::format("DMA goes on {:#x}, {} bytes:{}", event.address, event.size,
                               shown_data(event));
        default:
            return std::string(kind_name(event.kind));
    }
}

class TextWriter final : public Writer {
public:
    explicit TextWriter(Sink sink) : sink_(std::move(sink)) {}

    void begin(const TraceHeader& header) override {
        for (const std::string& device : header.devices)
            width_ = std::max(width_, std::min(device.size(), kMaxWidth));
    }
    void event(const Event& event) override {
        if (start_ < 0) start_ = event.time_ns;
        width_ = std::max(width_, std::min(event.device.size(), kMaxWidth));
        // Names come from whoever wrote the trace.
        const std::string text = describe(event);
        sink_(fmt::format("{:>12} {:<{}}  {}\n", since(event.time_ns, start_),
                          terminal_text(event.device), width_, terminal_text(text, text.size())));
    }
    void end(uint64_t /*events*/, uint64_t lost) override {
        if (lost != 0)
            sink_(fmt::format("({} overwritten before {} read)\n",
                              counted(lost, "event") + (lost == 1 ? " was" : " were"),
                              lost == 1 ? "it was" : "they were"));
    }

private:
    static constexpr size_t kMaxWidth = 24;
    Sink sink_;
    size_t width_ = 0;
    int64_t start_ = -1;
};

class JsonLinesWriter final : public Writer {
public:
    explicit JsonLinesWriter(Sink sink) : sink_(std::move(sink)) {}
    void begin(const TraceHeader& header) override { sink_(header_line(header)); }
    void event(const Event& event) override { sink_(event_line(event)); }
    void end(uint64_t events, uint64_t lost) override { sink_(end_line(events, lost)); }

private:
    Sink sink_;
};

// One process, the machine; one thread a device; instants, and counters of what only grows. Arrows
// ("flow events") lead from a doorbell over DMA, and doorbells that are rung meanwhile, to the next
// interrupt of the device. They bind to slices, not to instants, so what they touch is a slice of
// one nanosecond, the time between two ticks of the clock: longer ones could overlap.
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
        for (const std::string& device : header.devices) thread(device);
    }

    void event(const Event& event) override {
        if (event.kind == TraceKind::kDmaData) return;  // the DMA before it says how much
        Device& device = thread(event.device);
        const Arrow arrow = arrow_of(device, event);
        // An end binds to the slice that follows, the others to the one that is open.
        if (arrow == Arrow::kEnd) put_arrow(device, event, "f");
        Json args{{"seq", event.sequence}};
        const Json json = to_json(event);
        for (const char* key : {"addr", "size", "value", "reg", "fields", "vector", "data", "text"})
            if (json.contains(key) && event.kind != TraceKind::kState) args[key] = json[key];
        Json shown{{"ph", arrow == Arrow::kNone ? "i" : "X"},
                   {"name", name_of(event)},
                   {"cat", kind_name(event.kind)},
                   {"pid", kProcess},
                   {"tid", device.thread},
                   {"args", std::move(args)}};
        arrow == Arrow::kNone ? shown["s"] = "t" : shown["dur"] = kSliceUs;
        put(shown, event.time_ns);
        if (arrow == Arrow::kStart) put_arrow(device, event, "s");
        if (arrow == Arrow::kStep) put_arrow(device, event, "t");
        count(device, event);
    }

    void end(uint64_t /*events*/, uint64_t lost) override {
        sink_(fmt::format("\n],\"lostEvents\":{}}}\n", lost));
    }

private:
    static constexpr int kProcess = 1;
    static constexpr double kSliceUs = 0.001;
    enum class Arrow : uint8_t { kNone, kStart, kStep, kEnd };
    struct Device {
        int thread = 0;
        uint64_t flow = 0;        // the last one
        bool is_flowing = false;  // a doorbell was rung, and no interrupt has come
        bool has_moved = false;   // there was DMA since
        uint64_t read_bytes = 0;
        uint64_t written_bytes = 0;
        uint64_t interrupts = 0;
    };

    static std::string name_of(const Event& event) {
        if (event.is_access())
            return fmt::format("{} {}", event.is_read() ? "read" : "write", place(event));
        if (event.is_dma()) return event.kind == TraceKind::kDmaRead ? "DMA read" : "DMA write";
        return other_text(event);
    }

    Device& thread(const std::string& name) {
        const auto [at, is_new] = devices_.try_emplace(name);
        if (is_new) {
            at->second.thread = static_cast<int>(devices_.size());
            put({{"ph", "M"},
                 {"name", "thread_name"},
                 {"pid", kProcess},
                 {"tid", at->second.thread},
                 {"args", {{"name", name}}}});
        }
        return at->second;
    }

    // What `event` is in a chain of arrows of its device, which it may begin or end.
    Arrow arrow_of(Device& device, const Event& event) {
        if (event.has(pci::kTraceFaulted) || event.has(pci::kTraceInjected)) return Arrow::kNone;
        if (event.has(pci::kTraceDoorbell) && event.kind == TraceKind::kBarWrite) {
            if (device.is_flowing) return Arrow::kStep;
            device.is_flowing = true;
            device.has_moved = false;
            device.flow = ++flows_;
            return Arrow::kStart;
        }
        if (event.kind == TraceKind::kReset || event.kind == TraceKind::kDetach)
            device.is_flowing = false;
        if (!device.is_flowing) return Arrow::kNone;
        if (event.is_dma() || event.kind == TraceKind::kDmaMap) {
            device.has_moved = true;
            return Arrow::kStep;
        }
        // An interrupt before any DMA has another cause.
        if (!device.has_moved || !is_interrupt(event)) return Arrow::kNone;
        device.is_flowing = false;
        return Arrow::kEnd;
    }

    void put_arrow(const Device& device, const Event& event, const char* phase) {
        put({{"ph", phase},
             {"name", "doorbell to interrupt"},
             {"cat", "flow"},
             {"id", device.flow},
             {"pid", kProcess},
             {"tid", device.thread}},
            event.time_ns);
    }

    static bool is_interrupt(const Event& event) {
        const bool message = event.kind == TraceKind::kMsix || event.kind == TraceKind::kMsi;
        return (message && !event.has(pci::kTraceFaulted)) ||
               (event.kind == TraceKind::kIntx && event.value != 0);
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
    std::map<std::string, Device> devices_;
};

}  // namespace

Result<Format> parse_format(std::string_view name) {
    if (name == "text") return Format::kText;
    if (name == "jsonl") return Format::kJsonLines;
    if (name == "perfetto") return Format::kPerfetto;
    return fail(std::errc::invalid_argument, "no format \"{}\"{}", name,
                did_you_mean(name, {"text", "jsonl", "perfetto"}));
}

std::unique_ptr<Writer> make_writer(Format format, Sink sink) {
    switch (format) {
        case Format::kText:
            return std::make_unique<TextWriter>(std::move(sink));
        case Format::kJsonLines:
            return std::make_unique<JsonLinesWriter>(std::move(sink));
        case Format::kPerfetto:
            break;
    }
    return std::make_unique<PerfettoWriter>(std::move(sink));
}

std::string describe(const Event& event) {
    std::string text = event.is_access() ? access_text(event)
                       : event.is_dma()  ? dma_text(event)
                                         : other_text(event);
    if (event.has(pci::kTraceFaulted))
        text += event.is_read() ? " (answered by a fault)" : " (swallowed by a fault)";
    if (event.has(pci::kTraceInjected)) text += " (sent by a fault)";
    return text;
}

std::string since(int64_t time_ns, int64_t start_ns) {
    const int64_t delta = std::max<int64_t>(time_ns - start_ns, 0);
    constexpr int64_t kNsPerSecond = 1'000'000'000;
    return fmt::format("+{}.{:06}", delta / kNsPerSecond, delta % kNsPerSecond / kNsPerUs);
}

}  // namespace mimic::trace
