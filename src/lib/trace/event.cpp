// SPDX-License-Identifier: Apache-2.0
#include "trace/event.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

namespace mimic::trace {
namespace {

using Json = nlohmann::ordered_json;
using pci::TraceKind;

constexpr std::array<std::string_view, pci::kTraceKinds> kKinds{
    "config-read", "config-write", "bar-read", "bar-write", "dma-read", "dma-write", "dma-map",
    "msix",        "msi",          "intx",     "reset",     "attach",   "detach",    "fault",
    "error",       "vfs",          "slot",     "power",     "state",    "dma-data",  "request"};

constexpr std::array<std::pair<const char*, uint8_t>, 6> kFlags{
    {{"faulted", pci::kTraceFaulted},
     {"injected", pci::kTraceInjected},
     {"issued", pci::kTraceIssued},
     {"later", pci::kTraceLater},
     {"failed", pci::kTraceFailed},
     {"doorbell", pci::kTraceDoorbell}}};

constexpr std::array<const char*, 3> kSeverities{"correctable", "nonfatal", "fatal"};

constexpr size_t kMaxData = 16U << 20;
// So that one may add delays to a time: 146 years.
constexpr uint64_t kMaxTime = INT64_MAX / 2;
constexpr uint64_t kMaxDuration = INT64_MAX / 4;  // so that it may be added, too

std::string hex_bytes(const std::vector<uint8_t>& data) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(2 * data.size());
    for (const uint8_t byte : data) {
        text.push_back(kDigits[byte >> 4]);
        text.push_back(kDigits[byte & 15]);
    }
    return text;
}

std::optional<std::vector<uint8_t>> parse_bytes(std::string_view text) {
    if (text.size() % 2 != 0 || text.size() / 2 > kMaxData) return std::nullopt;
    std::vector<uint8_t> data(text.size() / 2);
    for (size_t i = 0; i < data.size(); ++i) {
        const char* const from = text.data() + 2 * i;
        const auto parsed = std::from_chars(from, from + 2, data[i], 16);
        if (parsed.ec != std::errc() || parsed.ptr != from + 2) return std::nullopt;
    }
    return data;
}

bool is_message(TraceKind kind) {
    return kind == TraceKind::kMsix || kind == TraceKind::kMsi;
}

// Whether it has an address and a size.
bool has_place(const Event& event) {
    return event.is_access() || event.is_dma() || event.kind == TraceKind::kDmaMap ||
           event.kind == TraceKind::kDmaData;
}

bool has_value(const Event& event) {
    switch (event.kind) {
        case TraceKind::kIntx:
        case TraceKind::kReset:
        case TraceKind::kFault:
        case TraceKind::kError:
        case TraceKind::kVfs:
        case TraceKind::kSlot:
        case TraceKind::kPower:
        case TraceKind::kRequest:
            return true;
        default:
            return event.is_dma() && event.has(pci::kTraceFailed);
    }
}

// Reads members of one object and remembers the first that is wrong.
class Members {
public:
    explicit Members(const Json& json) : json_(json) {}

    uint64_t number(const char* key, uint64_t max, bool needed) {
        const Json* const found = find(key, needed);
        if (found == nullptr) return 0;
        // What is made here, not parsed, may be a signed number.
        const bool is_number = found->is_number_unsigned() ||
                               (found->is_number_integer() && found->get<int64_t>() >= 0);
        if (is_number && found->get<uint64_t>() <= max) return found->get<uint64_t>();
        return wrong(key, "a number from 0 to " + std::to_string(max)), 0;
    }
    uint64_t hex_number(const char* key, bool needed) {
        const Json* const found = find(key, needed);
        if (found == nullptr) return 0;
        const auto value = found->is_string() ? parse_hex(found->get_ref<const std::string&>())
                                              : parse_hex("");
        if (!value) wrong(key, "a number as \"0x...\"");
        return value.value_or(0);
    }
    std::string text(const char* key, size_t most, bool needed) {
        const Json* const found = find(key, needed);
        if (found == nullptr) return {};
        if (found->is_string() && found->get_ref<const std::string&>().size() <= most)
            return found->get<std::string>();
        return wrong(key, "a string of at most " + std::to_string(most) + " bytes"), "";
    }
    bool flag(const char* key) {
        const Json* const found = find(key, false);
        if (found == nullptr) return false;
        if (!found->is_boolean()) wrong(key, "true or false");
        return found->is_boolean() && found->get<bool>();
    }
    const Json* find(const char* key, bool needed) {
        const auto found = json_.find(key);
        if (found != json_.end()) return &*found;
        if (needed && problem_.empty()) problem_ = fmt::format("\"{}\" is missing", key);
        return nullptr;
    }
    void wrong(const char* key, const std::string& want) {
        if (problem_.empty()) problem_ = fmt::format("\"{}\" is not {}", key, want);
    }
    const std::string& problem() const { return problem_; }

private:
    const Json& json_;
    std::string problem_;
};

void parse_fields(Members& members, Event& event) {
    const Json* const fields = members.find("fields", false);
    if (fields == nullptr) return;
    if (!fields->is_object() || fields->size() > kMaxEventFields)
        return members.wrong("fields", "an object of fields");
    for (const auto& [name, value] : fields->items()) {
        const auto number = value.is_string() ? parse_hex(value.get_ref<const std::string&>())
                                              : parse_hex("");
        if (!number || name.size() > kMaxEventName)
            return members.wrong("fields", "an object of numbers as \"0x...\"");
        event.fields.emplace_back(name, *number);
    }
}

void parse_data(Members& members, const Json& json, Event& event) {
    if (event.is_access() && json.contains("value")) {
        const uint64_t value = members.hex_number("value", true);
        if (event.size == 0 || event.size > sizeof value)
            return members.wrong("size", "a number from 1 to 8, as \"value\" needs");
        event.data.resize(event.size);
        std::memcpy(event.data.data(), &value, event.size);
        if (event.size < sizeof value && value >> (8 * event.size) != 0)
            members.wrong("value", "a number of \"size\" bytes");
        return;
    }
    if (!json.contains("data")) return;
    const auto data = parse_bytes(members.text("data", 2 * kMaxData, true));
    if (!data) return members.wrong("data", "pairs of hexadecimal digits");
    event.data = *data;
    if (event.data.size() > event.size) members.wrong("data", "at most \"size\" bytes");
}

}  // namespace

std::optional<uint64_t> Event::number() const {
    if (data.empty() || data.size() > sizeof(uint64_t)) return std::nullopt;
    uint64_t result = 0;
    std::memcpy(&result, data.data(), data.size());
    return result;
}

std::string hex(uint64_t value) {
    return fmt::format("{:#x}", value);
}

Result<uint64_t> parse_hex(std::string_view text) {
    uint64_t value = 0;
    if (text.size() > 2 && text.size() <= 18 && text.substr(0, 2) == "0x") {
        const char* const end = text.data() + text.size();
        const auto parsed = std::from_chars(text.data() + 2, end, value, 16);
        if (parsed.ec == std::errc() && parsed.ptr == end) return value;
    }
    return fail(std::errc::invalid_argument, "want a number as \"0x...\"");
}

std::string_view kind_name(TraceKind kind) {
    return static_cast<size_t>(kind) < kKinds.size() ? kKinds[static_cast<size_t>(kind)] : "?";
}

std::optional<TraceKind> kind_of(std::string_view name) {
    const auto found = std::find(kKinds.begin(), kKinds.end(), name);
    if (found == kKinds.end()) return std::nullopt;
    return static_cast<TraceKind>(found - kKinds.begin());
}

Event event_of(const pci::TraceRecord& record, const std::optional<pci::TraceName>& name) {
    const pci::TraceEvent& from = record.event;
    Event event{.sequence = record.sequence,
                .time_ns = record.time_ns,
                .duration_ns = record.duration_ns,
                .device = std::string(record.source),
                .kind = from.kind,
                .bar = from.bar,
                .flags = from.flags,
                .address = from.address,
                .size = from.size,
                .value = from.value,
                .data = {from.data.begin(), from.data.end()},
                .text = std::string(from.text),
                .reg = {},
                .fields = {}};
    if (name) {
        event.reg = name->reg;
        event.fields = name->fields;
        if (event.has(pci::kTraceDoorbell)) event.interrupt = name->interrupt;
    }
    return event;
}

Json to_json(const Event& event) {
    Json json{{"seq", event.sequence},
              {"t", event.time_ns},
              {"device", event.device},
              {"kind", kind_name(event.kind)}};
    if (event.kind == TraceKind::kBarRead || event.kind == TraceKind::kBarWrite)
        json["bar"] = event.bar;
    if (event.kind == TraceKind::kDmaMap) json["access"] = event.bar;
    if (has_place(event)) {
        json["addr"] = hex(event.address);
        json["size"] = event.size;
    }
    if (event.is_access() && event.number() && event.data.size() == event.size)
        json["value"] = hex(*event.number());
    else if (has_place(event) && !event.data.empty())
        json["data"] = hex_bytes(event.data);
    if (event.is_access() && event.duration_ns > 0) json["dur"] = event.duration_ns;
    if (event.kind == TraceKind::kRequest) {
        json["queue"] = event.bar;
        json["begun_ns"] = event.address;
        json["took_ns"] = event.size;
    }
    if (is_message(event.kind)) json["vector"] = event.value;
    if (has_value(event)) json["value"] = hex(event.value);
    if (event.kind == TraceKind::kError)
        json["severity"] = kSeverities[std::min<uint64_t>(event.address, 2)];
    for (const auto& [name, flag] : kFlags)
        if (event.has(flag)) json[name] = true;
    if (event.interrupt) json["interrupt"] = *event.interrupt;
    if (!event.reg.empty()) json["reg"] = event.reg;
    if (!event.fields.empty()) {
        Json fields = Json::object();
        for (const auto& [name, value] : event.fields) fields[name] = hex(value);
        json["fields"] = std::move(fields);
    }
    if (!event.text.empty()) json["text"] = event.text;
    return json;
}

Result<Event> parse_event(const Json& json) {
    if (!json.is_object()) return fail(std::errc::invalid_argument, "an event is no object");
    Members members(json);
    Event event;
    event.sequence = members.number("seq", UINT64_MAX, true);
    event.time_ns = static_cast<int64_t>(members.number("t", kMaxTime, true));
    event.device = members.text("device", kMaxEventName, true);
    const auto kind = kind_of(members.text("kind", kMaxEventName, true));
    if (!kind) members.wrong("kind", "a kind of event");
    event.kind = kind.value_or(TraceKind::kAttach);
    if (event.kind == TraceKind::kBarRead || event.kind == TraceKind::kBarWrite)
        event.bar = static_cast<uint8_t>(members.number("bar", 5, true));
    if (event.kind == TraceKind::kDmaMap)
        event.bar = static_cast<uint8_t>(members.number("access", 3, true));
    if (has_place(event)) {
        event.address = members.hex_number("addr", true);
        event.size = members.number("size", INT64_MAX, true);
    }
    if (members.problem().empty()) parse_data(members, json, event);
    if (event.kind == TraceKind::kRequest) {
        event.bar = static_cast<uint8_t>(members.number("queue", UINT8_MAX, true));
        event.address = members.number("begun_ns", kMaxTime, true);
        event.size = members.number("took_ns", kMaxTime, true);
    }
    if (is_message(event.kind)) event.value = members.number("vector", UINT32_MAX, true);
    if (event.kind == TraceKind::kError) {
        const std::string severity = members.text("severity", kMaxEventName, true);
        const auto found = std::find(kSeverities.begin(), kSeverities.end(), severity);
        if (found == kSeverities.end()) members.wrong("severity", "a severity");
        event.address = static_cast<uint64_t>(found - kSeverities.begin());
    }
    if (event.is_access())
        event.duration_ns = static_cast<int64_t>(members.number("dur", kMaxDuration, false));
    for (const auto& [name, flag] : kFlags)
        if (members.flag(name)) event.flags |= flag;
    if (event.has(pci::kTraceDoorbell) && json.contains("interrupt"))
        event.interrupt = static_cast<uint32_t>(members.number("interrupt", UINT32_MAX, true));
    if (has_value(event)) event.value = members.hex_number("value", true);
    event.reg = members.text("reg", kMaxEventName, false);
    parse_fields(members, event);
    event.text = members.text("text", kMaxEventText, false);
    if (members.problem().empty()) return event;
    return fail(std::errc::invalid_argument, "{}", members.problem());
}

}  // namespace mimic::trace
