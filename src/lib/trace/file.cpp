// SPDX-License-Identifier: Apache-2.0
#include "trace/file.h"
#include "base/text_table.h"

#include <cerrno>
#include <fstream>
#include <istream>
#include <nlohmann/json.hpp>
#include <optional>

namespace mimic::trace {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxDevices = 4096;  // arbitrary

std::string line_of(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

tl::unexpected<Error> bad(const std::string& name, size_t line, const std::string& what) {
    return fail(std::errc::invalid_argument, "{}: line {}: {}", name, line, what);
}

// The next line without its end; nullopt at the end of the file. A line that is too long ends the
// reading with `too_long`.
std::optional<std::string> next_line(std::istream& in, size_t& bytes, bool& too_long, bool& ended) {
    std::string line;
    for (int c = in.get(); c != std::istream::traits_type::eof(); c = in.get()) {
        ++bytes;
        ended = c == '\n';
        if (ended) return line;
        if (line.size() == kMaxTraceLine) {
            too_long = true;
            return std::nullopt;
        }
        line.push_back(static_cast<char>(c));
    }
    if (line.empty()) return std::nullopt;
    return line;
}

std::optional<std::string> text_member(const Json& json, const char* key) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_string()) return std::nullopt;
    return found->get<std::string>();
}

Result<TraceHeader> parse_header(const Json& json) {
    const auto version = json.find("mimic_trace");
    if (version == json.end() || !version->is_number_unsigned())
        return fail(std::errc::invalid_argument, "this is no trace of mimic's");
    if (version->get<uint64_t>() != kTraceVersion)
        return fail(std::errc::not_supported,
                    "the trace is of format {}, this program reads format {}",
                    version->get<uint64_t>(), kTraceVersion);
    TraceHeader header;
    const auto mimic = text_member(json, "mimic");
    const auto machine = text_member(json, "machine");
    const auto topology = text_member(json, "topology");
    if (!mimic || !machine || !topology)
        return fail(std::errc::invalid_argument,
                    "\"mimic\", \"machine\" and \"topology\" must be strings");
    header.mimic = *mimic;
    header.machine = *machine;
    header.topology = *topology;
    const auto devices = json.find("devices");
    if (devices == json.end() || !devices->is_array() || devices->size() > kMaxDevices)
        return fail(std::errc::invalid_argument, "\"devices\" must be a list of names");
    for (const Json& device : *devices) {
        if (!device.is_string() || device.get_ref<const std::string&>().size() > kMaxEventName)
            return fail(std::errc::invalid_argument, "\"devices\" must be a list of names");
        header.devices.push_back(device.get<std::string>());
    }
    const auto bytes = json.find("data_bytes");
    if (bytes == json.end() || !bytes->is_number_unsigned() ||
        bytes->get<uint64_t>() > pci::kMaxTraceDmaBytes)
        return fail(std::errc::invalid_argument, "\"data_bytes\" must be a number from 0 to {}",
                    pci::kMaxTraceDmaBytes);
    header.data_bytes = bytes->get<uint32_t>();
    return header;
}

// What the first line of something else says.
std::string no_trace(const std::string& line) {
    if (line.find("\"traceEvents\"") != std::string::npos)
        return "this is a trace for Perfetto, which has not all that a replay needs; record one "
               "with: mimic trace MACHINE -o FILE.jsonl";
    return "this is no trace of mimic's, a JSON object on each line (mimic trace MACHINE -o "
           "FILE.jsonl)";
}

// Takes the lines of one file.
class Reader {
public:
    explicit Reader(const std::string& name) : name_(name) {}

    // `ended`: a newline was behind it.
    Status take(const std::string& text, bool ended) {
        ++line_;
        if (ended_) return bad(name_, line_, "there is something behind the end line");
        const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
        const bool is_ours = line_ != 1 || text.starts_with("{\"mimic_trace\"");
        if (json.is_discarded() && !is_ours) return bad(name_, line_, no_trace(text));
        if (json.is_discarded() && !ended)
            return bad(name_, line_, "it ends in the middle: the file was cut off");
        if (json.is_discarded()) return bad(name_, line_, "not JSON");
        if (!json.is_object()) return bad(name_, line_, "not a JSON object");
        if (line_ == 1 && json.contains("traceEvents")) return bad(name_, line_, no_trace(text));
        if (line_ == 1) {
            auto header = parse_header(json);
            if (!header)
                return tl::unexpected<Error>(
                    std::move(header).error().with_context(fmt::format("{}: line 1", name_)));
            file_.header = std::move(*header);
            return {};
        }
        return json.contains("end") ? take_end(json) : take_event(json);
    }

    Result<TraceFile> finish() && {
        if (line_ == 0) return bad(name_, 1, "the file is empty");
        if (!ended_) return bad(name_, line_ + 1, "the end line is missing: the file was cut off");
        return std::move(file_);
    }

    size_t line() const { return line_; }

private:
    Status take_event(const Json& json) {
        if (file_.events.size() == kMaxTraceEvents)
            return bad(name_, line_, fmt::format("more than {} events", kMaxTraceEvents));
        auto event = parse_event(json);
        if (!event) return bad(name_, line_, event.error().message());
        const Event* const before = file_.events.empty() ? nullptr : &file_.events.back();
        if (event->sequence <= (before != nullptr ? before->sequence : 0))
            return bad(name_, line_, "\"seq\" does not rise");
        if (before != nullptr && event->time_ns < before->time_ns)
            return bad(name_, line_, "\"t\" is before that of the line above");
        file_.events.push_back(std::move(*event));
        file_.lines.push_back(line_);
        return {};
    }

    Status take_end(const Json& json) {
        const auto events = json.find("events");
        const auto lost = json.find("lost");
        if (events == json.end() || !events->is_number_unsigned() || lost == json.end() ||
            !lost->is_number_unsigned())
            return bad(name_, line_, "\"events\" and \"lost\" must be numbers");
        if (events->get<uint64_t>() != file_.events.size())
            return bad(name_, line_,
                       fmt::format("it speaks of {}, the file has {}",
                                   counted(events->get<uint64_t>(), "event"), file_.events.size()));
        file_.lost = lost->get<uint64_t>();
        ended_ = true;
        return {};
    }

    const std::string& name_;
    size_t line_ = 0;
    bool ended_ = false;
    TraceFile file_;
};

}  // namespace

std::string header_line(const TraceHeader& header) {
    return line_of({{"mimic_trace", kTraceVersion},
                    {"mimic", header.mimic},
                    {"machine", header.machine},
                    {"topology", header.topology},
                    {"clock", "CLOCK_MONOTONIC"},
                    {"devices", header.devices},
                    {"data_bytes", header.data_bytes}});
}

std::string event_line(const Event& event) {
    return line_of(to_json(event));
}

std::string end_line(uint64_t events, uint64_t lost) {
    return line_of({{"end", true}, {"events", events}, {"lost", lost}});
}

Result<TraceFile> read_trace(std::istream& in, const std::string& name) {
    Reader reader(name);
    size_t bytes = 0;
    bool too_long = false;
    bool ended = false;
    while (const auto line = next_line(in, bytes, too_long, ended)) {
        if (bytes > kMaxTraceFile)
            return fail(std::errc::file_too_large, "{}: more than {} bytes", name, kMaxTraceFile);
        MIMIC_TRY(reader.take(*line, ended));
    }
    if (too_long)
        return bad(name, reader.line() + 1, fmt::format("longer than {} bytes", kMaxTraceLine));
    return std::move(reader).finish();
}

Result<TraceFile> read_trace_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return fail_errno("cannot open {}", path);
    return read_trace(in, path);
}

}  // namespace mimic::trace
