// SPDX-License-Identifier: Apache-2.0
#include "trace/writer.h"

#include <algorithm>

#include "base/nearest.h"
#include "base/terminal_text.h"
#include "base/text_table.h"
#include "trace/perfetto_writer.h"

namespace mimic::trace {
namespace {

using pci::TraceKind;

constexpr size_t kShownBytes = 16;  // of DMA, in text
constexpr int64_t kNsPerMicrosecond = 1000;

std::string shown_data(const Event& event) {
    std::string text;
    for (size_t i = 0; i < std::min(event.data.size(), kShownBytes); ++i)
        text += fmt::format(" {:02x}", event.data[i]);
    if (event.data.size() > kShownBytes) text += " ..";
    return text;
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
        case TraceKind::kRequest:
            return fmt::format("{} {:#x} of queue {}: {} ns from {} ns on{}", event.text,
                               event.value, event.bar, event.size, event.address,
                               event.has(pci::kTraceFailed) ? ", not OK" : "");
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
    return make_perfetto_writer(std::move(sink));
}

std::string place(const Event& event) {
    if (event.reg.empty()) return fmt::format("{:#x}", event.address);
    return fmt::format("{}({:#x})", event.reg, event.address);
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
    return fmt::format("+{}.{:06}", delta / kNsPerSecond, delta % kNsPerSecond / kNsPerMicrosecond);
}

}  // namespace mimic::trace
