// SPDX-License-Identifier: Apache-2.0
// The trace of a machine: settings for all of its device hosts, and their events merged by time.
//
// A cursor is that of each host: "control-0:17.3;control-1:9"; for callers it is opaque.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/nearest.h"
#include "base/private_files.h"
#include "control/trace_target.h"
#include "gateway/gateway_routes.h"
#include "machine/machine_api.h"
#include "service/client.h"
#include "service/peer_json.h"

namespace mimic::gateway {
namespace {

using service::HttpRequest;
using service::HttpResponse;
using service::PathNames;
using Json = nlohmann::ordered_json;

constexpr size_t kMaxCursor = 16U << 10;  // arbitrary

uint64_t number_of(const Json& json, const char* key) {
    return service::uint_member(json, key).value_or(0);
}

// The first answer that is an error of ours to pass on, as a response.
std::optional<HttpResponse> trouble(const std::vector<HostAnswer>& answers) {
    for (const HostAnswer& answer : answers) {
        if (answer.status == 200) continue;
        if (answer.status != 0) return service::refuse(error_of(answer));
        return service::refuse(
            {503, "unreachable", fmt::format("{} does not answer: {}", answer.host, answer.why)});
    }
    return std::nullopt;
}

// Cursors by host. Hosts that are gone since are passed over.
std::map<std::string, std::string> parse_cursor(const std::string& text) {
    std::map<std::string, std::string> cursors;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find(';', at), text.size());
        const std::string part = text.substr(at, end - at);
        if (const size_t colon = part.find(':'); colon != std::string::npos)
            cursors[part.substr(0, colon)] = part.substr(colon + 1);
        at = end + 1;
    }
    return cursors;
}

std::string joined(const std::vector<std::string>& cursors) {
    return fmt::format("{}", fmt::join(cursors, ";"));
}

HttpResponse merged_status(const std::vector<HostAnswer>& answers) {
    if (auto refused = trouble(answers)) return *refused;
    bool enabled = false;
    bool all = true;
    Json devices = Json::array();
    Json dumps = Json::array();
    std::map<std::string, uint64_t> most;
    std::map<std::string, uint64_t> sum;
    std::map<std::string, std::vector<std::string>> cursors;
    for (const HostAnswer& answer : answers) {
        const Json& json = answer.json;
        enabled = enabled || json.value("enabled", Json(false)) == true;
        const Json named = json.value("devices", Json::array());
        if (named.is_array()) {
            all = false;
            devices.insert(devices.end(), named.begin(), named.end());
        }
        const Json files = json.value("dumps", Json::array());
        if (files.is_array()) dumps.insert(dumps.end(), files.begin(), files.end());
        for (const char* key : {"data_bytes", "buffer_bytes"})
            most[key] = std::max(most[key], number_of(json, key));
        for (const char* key : {"events", "dropped"}) sum[key] += number_of(json, key);
        for (const char* key : {"oldest", "newest"})
            cursors[key].push_back(answer.host + ":" + service::string_member(json, key));
    }
    return service::answer({{"enabled", enabled},
                            {"devices", all ? Json("all") : devices},
                            {"data_bytes", most["data_bytes"]},
                            {"buffer_bytes", most["buffer_bytes"]},
                            {"events", sum["events"]},
                            {"dropped", sum["dropped"]},
                            {"oldest", joined(cursors["oldest"])},
                            {"newest", joined(cursors["newest"])},
                            {"dumps", std::move(dumps)}});
}

// With what a replay of the trace needs to make the same devices.
HttpResponse with_topology(HttpResponse response, const FoundMachine& machine) {
    if (response.status != 200) return response;
    Json json = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
    auto text = read_small_file(machine.run_dir + "/topology.yaml");
    if (!json.is_object() || !text) return response;
    json["topology"] = std::move(*text);
    return service::answer(json);
}

// Names of the devices of each host, in the order of `sockets`.
service::ApiResult<std::vector<std::vector<std::string>>> device_names(
    const Gateway& gateway, const FoundMachine& machine) {
    std::vector<std::vector<std::string>> all;
    const auto answers = gateway.ask(machine.hosts, "GET", "/v1/devices");
    for (const HostAnswer& answer : answers) {
        if (answer.status != 200)
            return tl::unexpected(
                service::ApiError{503, "unreachable",
                                  fmt::format("{} does not answer: {}", answer.host, answer.why)});
        all.emplace_back();
        const Json devices = answer.json.value("devices", Json::array());
        if (!devices.is_array()) continue;
        for (const Json& device : devices)
            if (device.is_object()) all.back().push_back(service::string_member(device, "name"));
    }
    return all;
}

HttpResponse change(const Gateway& gateway, const FoundMachine& machine,
                    const HttpRequest& request) {
    const auto body = service::json_object(request);
    if (!body) return service::refuse(body.error());
    const auto wanted = control::parse_trace_change(*body);
    if (!wanted) return service::refuse(wanted.error());
    if (!wanted->devices)
        return merged_status(gateway.ask(machine.hosts, "PUT", "/v1/trace", body->dump()));
    // A host knows its own devices only, so each gets those.
    const auto names = device_names(gateway, machine);
    if (!names) return service::refuse(names.error());
    std::vector<std::string> known;
    for (const auto& some : *names) known.insert(known.end(), some.begin(), some.end());
    for (const std::string& name : *wanted->devices) {
        if (std::find(known.begin(), known.end(), name) != known.end()) continue;
        return service::refuse(
            {404, "unknown_device",
             fmt::format("machine {} has no device \"{}\"", machine.name, service::shown(name)),
             nearest_names(name, known)});
    }
    std::vector<HostQuestion> parts;
    for (size_t i = 0; i < machine.hosts.size(); ++i) {
        Json part = *body;
        part["devices"] = Json::array();
        for (const std::string& name : *wanted->devices)
            if (std::find((*names)[i].begin(), (*names)[i].end(), name) != (*names)[i].end())
                part["devices"].push_back(name);
        parts.push_back({machine.hosts[i], "PUT", "/v1/trace", part.dump()});
    }
    return merged_status(gateway.ask(parts));
}

// What a host said of its events. A peer may say anything: what is no event is left out.
trace::Slice slice_of(const Json& json) {
    trace::Slice slice;
    const auto events = json.find("events");
    if (events != json.end() && events->is_array()) {
        for (const Json& one : *events)
            if (auto event = trace::parse_event(one)) slice.events.push_back(std::move(*event));
    }
    slice.more = json.value("more", Json(false)) == true;
    slice.until_ns = static_cast<int64_t>(
        std::min<uint64_t>(number_of(json, "until_ns"), INT64_MAX));
    return slice;
}

std::string events_target(const HttpRequest& request, const std::string& cursor, uint64_t limit) {
    std::string target = fmt::format("/v1/trace/events?limit={}&since={}", limit,
                                     service::percent_encode(cursor));
    const auto [first, last] = request.query.equal_range("device");
    for (auto at = first; at != last; ++at)
        target += "&device=" + service::percent_encode(at->second);
    return target;
}

HttpResponse events(const Gateway& gateway, const FoundMachine& machine,
                    const HttpRequest& request) {
    if (const auto known = service::only_parameters(request, {"since", "limit", "device"},
                                                    {"device"});
        !known)
        return service::refuse(known.error());
    const auto limit = service::number_parameter(request, "limit", control::kMaxTraceAnswerEvents);
    if (!limit) return service::refuse(limit.error());
    const std::string since = service::parameter(request, "since").value_or("");
    if (since.size() > kMaxCursor || limit->value_or(1) == 0)
        return service::refuse({400, "bad_request", "\"since\" is no cursor, or \"limit\" is 0"});
    const auto cursors = parse_cursor(since);
    const uint64_t most = limit->value_or(1000);

    std::vector<HostQuestion> questions;
    std::vector<std::string> starts;
    for (const std::string& socket : machine.hosts) {
        const auto cursor = cursors.find(machine::socket_name(socket));
        starts.push_back(cursor != cursors.end() ? cursor->second : "");
        questions.push_back({socket, "GET", events_target(request, starts.back(), most)});
    }
    const auto answers = gateway.ask(questions);
    if (auto refused = trouble(answers)) return *refused;
    std::vector<trace::Slice> slices;
    uint64_t lost = 0;
    for (const HostAnswer& answer : answers) {
        slices.push_back(slice_of(answer.json));
        lost += number_of(answer.json, "lost");
    }
    std::vector<size_t> sizes;
    sizes.reserve(slices.size());
    for (const auto& slice : slices) sizes.push_back(slice.events.size());
    const trace::Merged merged = trace::merge_slices(std::move(slices), most);
    // Only the host can say which cursor is behind the last event taken.
    std::vector<HostQuestion> partly;
    for (size_t i = 0; i < answers.size(); ++i)
        if (merged.taken[i] != sizes[i] && merged.taken[i] != 0)
            partly.push_back(
                {machine.hosts[i], "GET", events_target(request, starts[i], merged.taken[i])});
    const auto again = gateway.ask(partly);
    if (auto refused = trouble(again)) return *refused;
    std::vector<std::string> next;
    for (size_t i = 0, part = 0; i < answers.size(); ++i) {
        std::string cursor = starts[i];
        if (merged.taken[i] == sizes[i])
            cursor = service::string_member(answers[i].json, "next");
        else if (merged.taken[i] != 0)
            cursor = service::string_member(again[part++].json, "next");
        next.push_back(machine::socket_name(machine.hosts[i]) + ":" + cursor);
    }
    Json list = Json::array();
    for (const auto& event : merged.events) list.push_back(trace::to_json(event));
    return service::answer({{"events", std::move(list)},
                            {"next", joined(next)},
                            {"lost", lost},
                            {"more", merged.more},
                            {"until_ns", merged.until_ns}});
}

using Serve = HttpResponse (*)(const Gateway&, const FoundMachine&, const HttpRequest&);

}  // namespace

void add_trace_routes(service::Router& router, Gateway& gateway) {
    const auto add = [&router, &gateway](const char* method, std::string_view path, Serve serve) {
        router.add({method, path},
                   [&gateway, serve](const HttpRequest& request, const PathNames& names) {
                       const auto machine = gateway.find(names[0]);
                       if (!machine) return service::refuse(machine.error());
                       return serve(gateway, *machine, request);
                   });
    };
    add("GET", "/v1/machines/{machine}/trace",
        [](const Gateway& asked, const FoundMachine& machine, const HttpRequest&) {
            return with_topology(merged_status(asked.ask(machine.hosts, "GET", "/v1/trace")),
                                 machine);
        });
    add("PUT", "/v1/machines/{machine}/trace", change);
    add("GET", "/v1/machines/{machine}/trace/events", events);
}

}  // namespace mimic::gateway
