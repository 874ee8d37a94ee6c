// SPDX-License-Identifier: Apache-2.0
// GET and PUT /v1/trace, GET /v1/trace/events.
//
// A cursor names the next event of each loop, "17.0.42"; for callers it is opaque.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/nearest.h"
#include "control/routes.h"
#include "control/trace_target.h"

namespace mimic::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kDefaultLimit = 1000;  // arbitrary
constexpr size_t kMaxDevices = 4096;      // arbitrary

std::string cursor_of(const std::vector<uint64_t>& numbers) {
    return fmt::format("{}", fmt::join(numbers, "."));
}

// Numbers of `count` loops; "" is the start of each.
std::optional<std::vector<uint64_t>> parse_cursor(const std::string& text, size_t count) {
    std::vector<uint64_t> numbers;
    if (text.empty()) return std::vector<uint64_t>(count);
    const char* at = text.data();
    const char* const end = at + text.size();
    while (numbers.size() < count) {
        uint64_t number = 0;
        const auto parsed = std::from_chars(at, end, number);
        if (parsed.ec != std::errc()) return std::nullopt;
        numbers.push_back(number);
        at = parsed.ptr;
        if (at == end) break;
        if (*at != '.' || ++at == end) return std::nullopt;
    }
    if (numbers.size() != count || at != end) return std::nullopt;
    return numbers;
}

service::HttpResponse busy() {
    return service::refuse({503, "busy", "a loop did not answer in time"});
}

using Statuses = std::vector<std::optional<std::optional<TraceStatus>>>;

Statuses statuses(Targets& targets) {
    return targets.each<std::optional<TraceStatus>>(
        [](TargetGroup& group) -> std::optional<TraceStatus> {
            if (group.trace() == nullptr) return std::nullopt;
            return group.trace()->status();
        });
}

Json status_json(const Statuses& all) {
    TraceStatus sum{.settings = {.enabled = false, .all = true, .devices = {}}, .dumps = {}};
    std::vector<uint64_t> oldest;
    std::vector<uint64_t> next;
    for (const auto& one : all) {
        const TraceStatus status = one->value_or(TraceStatus{});
        const TraceSettings& settings = status.settings;
        sum.settings.enabled = sum.settings.enabled || settings.enabled;
        sum.settings.all = sum.settings.all && settings.all;
        sum.settings.devices.insert(sum.settings.devices.end(), settings.devices.begin(),
                                    settings.devices.end());
        sum.settings.data_bytes = std::max(sum.settings.data_bytes, settings.data_bytes);
        sum.settings.buffer_bytes = std::max(sum.settings.buffer_bytes, settings.buffer_bytes);
        sum.events += status.events;
        sum.dropped += status.dropped;
        for (const std::string& path : status.dumps)  // loops may share who writes them
            if (std::find(sum.dumps.begin(), sum.dumps.end(), path) == sum.dumps.end())
                sum.dumps.push_back(path);
        oldest.push_back(status.oldest);
        next.push_back(status.next);
    }
    Json json = settings_json(sum.settings);
    json["events"] = sum.events;
    json["dropped"] = sum.dropped;
    json["oldest"] = cursor_of(oldest);
    json["newest"] = cursor_of(next);
    json["dumps"] = sum.dumps;
    return json;
}

service::HttpResponse status(Targets& targets) {
    const Statuses all = statuses(targets);
    if (std::any_of(all.begin(), all.end(), [](const auto& one) { return !one; })) return busy();
    return service::answer(status_json(all));
}

// The change as group `names` is told: with its own devices only.
TraceChange part_of(const TraceChange& change, const std::vector<std::string>& names) {
    TraceChange part = change;
    if (!part.devices) return part;
    std::erase_if(*part.devices, [&names](const std::string& name) {
        return std::find(names.begin(), names.end(), name) == names.end();
    });
    return part;
}

service::HttpResponse change(Targets& targets, const service::HttpRequest& request) {
    const auto body = service::json_object(request);
    if (!body) return service::refuse(body.error());
    const auto wanted = parse_trace_change(*body);
    if (!wanted) return service::refuse(wanted.error());
    if (wanted->devices) {
        std::vector<std::string> known;
        for (const auto& names : targets.each<std::vector<std::string>>(
                 [](TargetGroup& group) { return group.names(); })) {
            if (!names) return busy();
            known.insert(known.end(), names->begin(), names->end());
        }
        for (const std::string& name : *wanted->devices) {
            if (std::find(known.begin(), known.end(), name) != known.end()) continue;
            return service::refuse({404, "unknown_device",
                                    fmt::format("no device \"{}\"", service::shown(name)),
                                    nearest_names(name, known)});
        }
    }
    const auto done = targets.each<bool>([wanted = *wanted](TargetGroup& group) {
        if (group.trace() == nullptr) return false;
        group.trace()->change(part_of(wanted, group.names()));
        return true;
    });
    if (std::any_of(done.begin(), done.end(), [](const auto& one) { return !one; })) return busy();
    return status(targets);
}

service::HttpResponse events(Targets& targets, const service::HttpRequest& request) {
    if (const auto known = service::only_parameters(request, {"since", "limit", "device"},
                                                    {"device"});
        !known)
        return service::refuse(known.error());
    const auto limit = service::number_parameter(request, "limit", kMaxTraceAnswerEvents);
    if (!limit) return service::refuse(limit.error());
    const auto since = parse_cursor(service::parameter(request, "since").value_or(""),
                                    targets.groups().size());
    if (!since || limit->value_or(1) == 0)
        return service::refuse({400, "bad_request", "\"since\" is no cursor, or \"limit\" is 0"});
    TraceQuery query{.since = 0, .limit = limit->value_or(kDefaultLimit), .devices = {}};
    const auto [first, last] = request.query.equal_range("device");
    for (auto at = first; at != last; ++at) query.devices.push_back(at->second);

    std::vector<trace::Slice> slices;
    std::vector<uint64_t> next;
    uint64_t lost = 0;
    for (size_t i = 0; i < targets.groups().size(); ++i) {
        TargetGroup* const group = targets.groups()[i];
        query.since = (*since)[i];
        const auto slice = call_on<TraceSlice>(
            group->runner(),
            [group, query] {
                return group->trace() != nullptr ? group->trace()->events(query) : TraceSlice{};
            },
            targets.deadline());
        if (!slice) return busy();
        lost += slice->lost;
        next.push_back(slice->next);
        slices.push_back(slice->slice);
    }
    std::vector<std::vector<uint64_t>> numbers;
    for (const auto& slice : slices) {
        numbers.emplace_back();
        for (const auto& event : slice.events) numbers.back().push_back(event.sequence);
    }
    const trace::Merged merged = trace::merge_slices(std::move(slices), query.limit);
    for (size_t i = 0; i < next.size(); ++i)
        if (merged.taken[i] < numbers[i].size()) next[i] = numbers[i][merged.taken[i]];
    Json list = Json::array();
    for (const auto& event : merged.events) list.push_back(trace::to_json(event));
    return service::answer({{"events", std::move(list)},
                            {"next", cursor_of(next)},
                            {"lost", lost},
                            {"more", merged.more},
                            {"until_ns", merged.until_ns}});
}

service::ApiResult<uint64_t> number_member(const Json& value, const char* key, uint64_t least,
                                           uint64_t most) {
    if (value.is_number_unsigned() && value.get<uint64_t>() >= least &&
        value.get<uint64_t>() <= most)
        return value.get<uint64_t>();
    return service::bad_request(fmt::format("\"{}\" is no number from {} to {}", key, least, most));
}

service::ApiResult<std::vector<std::string>> names_member(const Json& value) {
    std::vector<std::string> names;
    bool right = value.is_array() && value.size() <= kMaxDevices;
    for (size_t i = 0; right && i < value.size(); ++i) {
        right = value[i].is_string();
        if (right) names.push_back(value[i].get<std::string>());
    }
    if (!right) return service::bad_request("\"devices\" is neither \"all\" nor a list of names");
    return names;
}

}  // namespace

Json settings_json(const TraceSettings& settings) {
    return {{"enabled", settings.enabled},
            {"devices", settings.all ? Json("all") : Json(settings.devices)},
            {"data_bytes", settings.data_bytes},
            {"buffer_bytes", settings.buffer_bytes}};
}

service::ApiResult<TraceChange> parse_trace_change(const Json& body) {
    if (auto known = service::only_members(body,
                                           {"enabled", "devices", "data_bytes", "buffer_bytes"});
        !known)
        return tl::unexpected(known.error());
    TraceChange change;
    if (const auto enabled = body.find("enabled"); enabled != body.end()) {
        if (!enabled->is_boolean())
            return service::bad_request("\"enabled\" is neither true nor false");
        change.enabled = enabled->get<bool>();
    }
    if (const auto devices = body.find("devices"); devices != body.end()) {
        change.all = *devices == "all";
        if (!change.all) {
            auto names = names_member(*devices);
            if (!names) return tl::unexpected(names.error());
            change.devices = std::move(*names);
        }
    }
    if (const auto bytes = body.find("data_bytes"); bytes != body.end()) {
        const auto number = number_member(*bytes, "data_bytes", 0, pci::kMaxTraceDmaBytes);
        if (!number) return tl::unexpected(number.error());
        change.data_bytes = static_cast<uint32_t>(*number);
    }
    if (const auto bytes = body.find("buffer_bytes"); bytes != body.end()) {
        const auto number = number_member(*bytes, "buffer_bytes", pci::kMinTraceBytes,
                                          pci::kMaxTraceBytes);
        if (!number) return tl::unexpected(number.error());
        change.buffer_bytes = *number;
    }
    return change;
}

void add_trace_routes(service::Router& router, Targets& targets) {
    router.add({"GET", "/v1/trace"},
               [&targets](const service::HttpRequest& /*request*/, const service::PathNames&) {
                   return status(targets);
               });
    router.add({"PUT", "/v1/trace"}, [&targets](const service::HttpRequest& request,
                                                const service::PathNames& /*names*/) {
        return change(targets, request);
    });
    router.add({"GET", "/v1/trace/events"}, [&targets](const service::HttpRequest& request,
                                                       const service::PathNames& /*names*/) {
        return events(targets, request);
    });
}

}  // namespace mimic::control
