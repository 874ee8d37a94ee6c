// SPDX-License-Identifier: Apache-2.0
#include "control/api.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/nearest.h"

namespace mimic::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kNameParameter = "{name}";
constexpr size_t kMaxName = 128;  // longer ones are none of ours and not looked for

HttpResponse answer(const Json& json, int status = 200) {
    HttpResponse response;
    response.status = status;
    response.body = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    return response;
}

Json info_json(const TargetInfo& info) {
    return {{"name", info.name},
            {"kind", info.kind},
            {"connected", info.connected},
            {"counters", info.counters}};
}

HttpResponse fault_list(const FaultTarget& target, int status = 200) {
    Json list = Json::array();
    for (const auto& report : target.faults()) list.push_back(fault_report_json(report));
    return answer({{"device", target.info().name}, {"faults", std::move(list)}}, status);
}

// The status and code of an error of inject().
ApiError injection_error(const Error& error) {
    if (error.code() == std::errc::not_supported) return {409, "not_possible", error.message()};
    if (error.code() == std::errc::resource_unavailable_try_again)
        return {409, "too_many_faults", error.message()};
    if (error.code() == std::errc::invalid_argument) return {400, "bad_request", error.message()};
    return {409, "refused", error.message()};
}

// Whether `path` is `pattern`; what stands for {name} goes to `name`.
bool matches(std::string_view pattern, std::string_view path, std::string& name) {
    const size_t at = pattern.find(kNameParameter);
    if (at == std::string_view::npos) return pattern == path;
    const std::string_view before = pattern.substr(0, at);
    const std::string_view after = pattern.substr(at + kNameParameter.size());
    if (path.size() <= before.size() + after.size() || !path.starts_with(before) ||
        !path.ends_with(after))
        return false;
    const auto middle = path.substr(before.size(), path.size() - before.size() - after.size());
    if (middle.find('/') != std::string_view::npos) return false;
    name = middle;
    return true;
}

bool is_json(const std::string& content_type) {
    return content_type.empty() || content_type == "application/json" ||
           content_type.starts_with("application/json;");
}

}  // namespace

struct ControlApi::Entry {
    Route route;
    HttpResponse (ControlApi::*handler)(const HttpRequest& request, const std::string& name);
};

std::span<const ControlApi::Entry> ControlApi::entries() {
    static constexpr Entry kEntries[] = {
        {{"GET", "/v1/version"}, &ControlApi::version},
        {{"GET", "/v1/openapi.json"}, &ControlApi::document},
        {{"GET", "/v1/devices"}, &ControlApi::devices},
        {{"GET", "/v1/devices/{name}"}, &ControlApi::device},
        {{"GET", "/v1/devices/{name}/faults"}, &ControlApi::faults},
        {{"POST", "/v1/devices/{name}/faults"}, &ControlApi::inject},
        {{"DELETE", "/v1/devices/{name}/faults"}, &ControlApi::clear},
    };
    return kEntries;
}

std::vector<Route> ControlApi::routes() {
    std::vector<Route> routes;
    for (const auto& entry : entries()) routes.push_back(entry.route);
    return routes;
}

ControlApi::ControlApi(std::vector<TargetGroup*> groups, Duration deadline)
    : groups_(std::move(groups)), deadline_(deadline) {}

HttpResponse ControlApi::refuse(const ApiError& error) {
    HttpResponse response;
    response.status = error.status;
    response.body = error_body(error);
    return response;
}

HttpResponse ControlApi::handle(const HttpRequest& request) {
    std::string allow;
    for (const auto& entry : entries()) {
        std::string name;
        if (!matches(entry.route.path, request.path, name)) continue;
        // A HEAD is a GET whose body the server leaves out.
        if (entry.route.method == request.method ||
            (entry.route.method == "GET" && request.method == "HEAD"))
            return (this->*entry.handler)(request, name);
        allow += (allow.empty() ? "" : ", ") + std::string(entry.route.method);
    }
    if (allow.empty()) return refuse({404, "not_found", "no such resource; see /v1/openapi.json"});
    auto response = refuse({405, "method_not_allowed", "this resource allows " + allow});
    response.allow = allow;
    return response;
}

HttpResponse ControlApi::version(const HttpRequest& /*request*/, const std::string& /*name*/) {
    return answer({{"api", 1}, {"mimic", MIMIC_VERSION}, {"pid", ::getpid()}});
}

HttpResponse ControlApi::document(const HttpRequest& /*request*/, const std::string& /*name*/) {
    HttpResponse response;
    response.body = openapi_document();
    return response;
}

HttpResponse ControlApi::devices(const HttpRequest& /*request*/, const std::string& /*name*/) {
    Json list = Json::array();
    unsigned busy = 0;
    for (TargetGroup* const group : groups_) {
        const auto infos = call_on<std::vector<TargetInfo>>(
            group->runner(), [group] { return group->infos(); }, deadline_);
        if (!infos) ++busy;
        for (const auto& info : infos.value_or(std::vector<TargetInfo>{}))
            list.push_back(info_json(info));
    }
    return answer({{"devices", std::move(list)}, {"busy_loops", busy}});
}

HttpResponse ControlApi::device(const HttpRequest& /*request*/, const std::string& name) {
    return on_target(name, [](FaultTarget& target) { return answer(info_json(target.info())); });
}

HttpResponse ControlApi::faults(const HttpRequest& /*request*/, const std::string& name) {
    return on_target(name, [](FaultTarget& target) { return fault_list(target); });
}

HttpResponse ControlApi::inject(const HttpRequest& request, const std::string& name) {
    if (!is_json(request.content_type))
        return refuse({415, "unsupported_media_type", "a body is application/json"});
    const auto fault = parse_fault_body(request.body);
    if (!fault) return refuse(fault.error());
    return on_target(name, [fault = *fault](FaultTarget& target) {
        if (const auto injected = target.inject(fault); !injected)
            return refuse(injection_error(injected.error()));
        return fault_list(target, 201);
    });
}

HttpResponse ControlApi::clear(const HttpRequest& /*request*/, const std::string& name) {
    return on_target(name, [](FaultTarget& target) {
        target.clear_faults();
        return fault_list(target);
    });
}

HttpResponse ControlApi::on_target(const std::string& name, const Work& work) {
    using Found = std::optional<HttpResponse>;
    auto order = groups_;
    if (const auto last = std::find(order.begin(), order.end(), last_); last != order.end())
        std::iter_swap(order.begin(), last);
    bool busy = false;
    for (TargetGroup* const group : order) {
        auto found = call_on<Found>(
            group->runner(),
            [group, name, work]() -> Found {
                const auto target = group->find(name);
                if (target == nullptr) return std::nullopt;
                return work(*target);
            },
            deadline_);
        if (!found) busy = true;
        if (!found || !*found) continue;
        last_ = group;
        return std::move(**found);
    }
    if (busy)
        return refuse({503, "busy", "a loop of this process does not answer; try again later"});
    return no_such_target(name);
}

HttpResponse ControlApi::no_such_target(const std::string& name) {
    const std::string shown = name.substr(0, kMaxName);
    std::vector<std::string> names;
    for (TargetGroup* const group : groups_) {
        const auto some = call_on<std::vector<std::string>>(
            group->runner(), [group] { return group->names(); }, deadline_);
        if (some) names.insert(names.end(), some->begin(), some->end());
    }
    return refuse({404, "unknown_device", fmt::format("no device \"{}\"", shown),
                   nearest_names(shown, names)});
}

Result<std::unique_ptr<ControlServer>> ControlServer::create(Options options,
                                                             std::vector<TargetGroup*> groups) {
    std::unique_ptr<ControlServer> server(new ControlServer(std::move(groups), options.deadline));
    MIMIC_ASSIGN_OR_RETURN(
        server->http_,
        HttpServer::create(
            options.socket_path,
            [api = &server->api_](const HttpRequest& request) { return api->handle(request); },
            [](int status, const char* code, const char* sentence) {
                return ControlApi::refuse({status, code, sentence});
            }));
    return server;
}

}  // namespace mimic::control
