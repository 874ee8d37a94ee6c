// SPDX-License-Identifier: Apache-2.0
#include "service/router.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/nearest.h"

namespace mimic::service {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxShown = 64;  // bytes of what a client sent, in a message about it
constexpr auto kReplace = Json::error_handler_t::replace;

// The next element of a path that begins with '/'; `path` is what is behind it.
std::string_view take_element(std::string_view& path) {
    const size_t end = std::min(path.find('/', 1), path.size());
    const auto element = path.substr(1, end - 1);
    path.remove_prefix(end);
    return element;
}

// Whether `path` is `pattern`; what stands for each {...} goes to `names`.
bool matches(std::string_view pattern, std::string_view path, PathNames& names) {
    names.clear();
    while (!pattern.empty() && path.starts_with('/')) {
        const auto wanted = take_element(pattern);
        const auto given = take_element(path);
        if (wanted.starts_with('{')) {
            if (given.empty()) return false;
            names.emplace_back(given);
        } else if (wanted != given) {
            return false;
        }
    }
    return pattern.empty() && path.empty();
}

bool is_json(const std::string& content_type) {
    return content_type.empty() || content_type == "application/json" ||
           content_type.starts_with("application/json;");
}

bool contains(const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
}

}  // namespace

void Router::add(Route route, Handler handler) {
    entries_.push_back({route, std::move(handler)});
}

HttpResponse Router::handle(const HttpRequest& request) const {
    std::string allow;
    PathNames names;
    for (const auto& entry : entries_) {
        if (!matches(entry.route.path, request.path, names)) continue;
        // A HEAD is a GET whose body the server leaves out.
        if (entry.route.method == request.method ||
            (entry.route.method == "GET" && request.method == "HEAD")) {
            // Here and not in each handler: some hand a body on without a look at it.
            if (!request.body.empty() && !is_json(request.content_type))
                return refuse({415, "unsupported_media_type", "a body is application/json"});
            return entry.handler(request, names);
        }
        allow += (allow.empty() ? "" : ", ") + std::string(entry.route.method);
    }
    if (allow.empty()) return refuse({404, "not_found", "no such resource; see /v1/openapi.json"});
    auto response = refuse({405, "method_not_allowed", "this resource allows " + allow});
    response.allow = allow;
    return response;
}

std::vector<Route> Router::routes() const {
    std::vector<Route> routes;
    for (const auto& entry : entries_) routes.push_back(entry.route);
    return routes;
}

HttpResponse answer(const Json& json, int status) {
    HttpResponse response;
    response.status = status;
    response.body = json.dump(-1, ' ', false, kReplace) + "\n";
    return response;
}

std::string error_body(const ApiError& error) {
    return Json{{"error",
                 {{"code", error.code}, {"message", error.message}, {"nearest", error.nearest}}}}
               .dump(-1, ' ', false, kReplace) +
           "\n";
}

HttpResponse refuse(const ApiError& error) {
    HttpResponse response;
    response.status = error.status;
    response.body = error_body(error);
    return response;
}

tl::unexpected<ApiError> bad_request(std::string message, std::vector<std::string> nearest) {
    return tl::unexpected<ApiError>(
        ApiError{400, "bad_request", std::move(message), std::move(nearest)});
}

ApiResult<Json> json_object(const HttpRequest& request) {
    if (!is_json(request.content_type))
        return tl::unexpected<ApiError>(
            ApiError{415, "unsupported_media_type", "a body is application/json"});
    Json body = Json::parse(request.body, nullptr, /*allow_exceptions=*/false);
    if (body.is_discarded())
        return tl::unexpected<ApiError>(ApiError{400, "bad_json", "the body is no JSON"});
    if (!body.is_object()) return bad_request("the body is no JSON object");
    return body;
}

ApiResult<void> only_members(const Json& json, const std::vector<std::string>& known) {
    for (const auto& [key, value] : json.items()) {
        if (contains(known, key)) continue;
        const std::string name = shown(key);
        return bad_request(fmt::format("no member \"{}\"{}", name, did_you_mean(name, known)),
                           nearest_names(name, known));
    }
    return {};
}

ApiResult<void> only_parameters(const HttpRequest& request, const std::vector<std::string>& known,
                                const std::vector<std::string>& repeated) {
    for (const auto& [key, value] : request.query) {
        if (contains(repeated, key)) continue;
        const std::string name = shown(key);
        if (!contains(known, key))
            return bad_request(
                fmt::format("no parameter \"{}\"{}", name, did_you_mean(name, known)),
                nearest_names(name, known));
        if (request.query.count(key) > 1)
            return bad_request(fmt::format("parameter \"{}\" is there twice", name));
    }
    return {};
}

std::optional<std::string> parameter(const HttpRequest& request, const std::string& name) {
    const auto found = request.query.find(name);
    if (found == request.query.end()) return std::nullopt;
    return found->second;
}

ApiResult<std::optional<uint64_t>> number_parameter(const HttpRequest& request,
                                                    const std::string& name, uint64_t max) {
    const auto text = parameter(request, name);
    if (!text) return std::nullopt;
    uint64_t value = 0;
    const char* const last = text->data() + text->size();
    const auto [end, error] = std::from_chars(text->data(), last, value);
    if (error != std::errc() || end != last || value > max)
        return bad_request(fmt::format("parameter \"{}\" is no number from 0 to {}", name, max));
    return value;
}

std::string shown(std::string_view text) {
    return std::string(text.substr(0, kMaxShown));
}

}  // namespace mimic::service
