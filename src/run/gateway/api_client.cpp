// SPDX-License-Identifier: Apache-2.0
#include "gateway/api_client.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/nearest.h"
#include "service/client.h"
#include "service/peer_json.h"

namespace mimic::gateway {
namespace {

using Json = nlohmann::ordered_json;
constexpr auto kReplace = Json::error_handler_t::replace;

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<std::string> percent_decode(std::string_view text) {
    std::string decoded;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            decoded += text[i];
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        const int high = hex_digit(text[i + 1]);
        const int low = hex_digit(text[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        decoded += static_cast<char>(high << 4 | low);
        i += 2;
    }
    return decoded;
}

constexpr size_t kMostNamed = 64;  // arbitrary: more is no help in a message

std::errc meaning(int status) {
    if (status == 404) return std::errc::no_such_file_or_directory;
    if (status == 502) return std::errc::connection_reset;
    if (status == 503) return std::errc::timed_out;
    if (status >= 400 && status < 500) return std::errc::invalid_argument;
    return std::errc::protocol_error;
}

tl::unexpected<Error> error_from(const service::HttpResponse& response) {
    HostAnswer answer;
    answer.status = response.status;
    answer.json = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
    if (!answer.json.is_object()) answer.json = Json::object();
    const auto error = error_of(answer);
    if (error.message.empty())
        return fail(meaning(response.status), "the answer has status {}", response.status);
    return fail(meaning(response.status), "{}{}", error.message,
                error.nearest.empty() ? "" : "; did you mean " + error.nearest.front() + "?");
}

Result<Json> parsed(const Result<std::string>& body) {
    if (!body) return tl::unexpected(body.error());
    Json json = Json::parse(*body, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) return fail(std::errc::protocol_error, "the answer is no JSON");
    return json;
}

}  // namespace

Result<ApiClient> ApiClient::open() {
    MIMIC_ASSIGN_OR_RETURN(auto gateway, Gateway::create());
    return ApiClient(std::move(gateway));
}

Result<Json> ApiClient::get(const std::string& target) const {
    return parsed(request("GET", target, ""));
}

Result<Json> ApiClient::post(const std::string& target, const Json& body) const {
    return parsed(request("POST", target, body.dump(-1, ' ', false, kReplace)));
}

Result<Json> ApiClient::put(const std::string& target, const Json& body) const {
    return parsed(request("PUT", target, body.dump(-1, ' ', false, kReplace)));
}

Result<Json> ApiClient::remove(const std::string& target) const {
    return parsed(request("DELETE", target, ""));
}

Result<std::string> ApiClient::get_text(const std::string& target) const {
    return request("GET", target, "");
}

Result<std::string> ApiClient::request(const std::string& method, const std::string& target,
                                       const std::string& body) const {
    MIMIC_ASSIGN_OR_RETURN(auto request, parse_target(method, target));
    request.body = body;
    auto response = gateway_->handle(request);
    if (response.status >= 400) return error_from(response);
    return std::move(response.body);
}

Result<std::string> ApiClient::machine_path(std::string_view machine) {
    if (!machine::is_machine_name(machine))
        return fail(std::errc::invalid_argument, "\"{}\" is no machine name", machine);
    return fmt::format("/v1/machines/{}", machine);
}

Result<std::string> ApiClient::device_path(std::string_view machine, std::string_view device) {
    MIMIC_ASSIGN_OR_RETURN(const auto path, machine_path(machine));
    if (device.empty() || device.find('/') != std::string_view::npos)
        return fail(std::errc::no_such_file_or_directory, "machine {} has no device \"{}\"",
                    machine, device);
    return path + "/devices/" + service::percent_encode(device);
}

Error ApiClient::with_devices(const std::string& machine, const std::string& device,
                              Error error) const {
    const auto path = machine_path(machine);
    if (!path || error.code() != std::errc::no_such_file_or_directory) return error;
    const auto answer = get(*path + "/devices");
    if (!answer) return error;  // it is the machine that is not there
    const auto* const devices = service::find_member(*answer, "devices");
    std::vector<std::string> names;
    if (devices != nullptr && devices->is_array())
        for (const Json& one : *devices) names.push_back(service::string_member(one, "name"));
    const bool is_near = !nearest_names(device, names, 1).empty();
    if (names.empty() || is_near || names.size() > kMostNamed) return error;
    std::sort(names.begin(), names.end());
    return Error(error.code(),
                 fmt::format("{}; there {} {}", error.message(), names.size() == 1 ? "is" : "are",
                             fmt::join(names, ", ")));
}

Result<service::HttpRequest> parse_target(const std::string& method, std::string_view target) {
    const auto wrong = [&target] {
        return fail(std::errc::invalid_argument, "\"{}\" is no path of the control API", target);
    };
    service::HttpRequest request;
    request.method = method;
    const size_t mark = std::min(target.find('?'), target.size());
    const auto path = percent_decode(target.substr(0, mark));
    if (!path || !path->starts_with('/')) return wrong();
    request.path = *path;
    std::string_view query = target.substr(std::min(mark + 1, target.size()));
    while (!query.empty()) {
        const auto pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(pair.size() + 1, query.size()));
        const size_t equals = std::min(pair.find('='), pair.size());
        const auto key = percent_decode(pair.substr(0, equals));
        const auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())));
        if (!key || !value || request.query.size() >= service::kMaxHttpQuery) return wrong();
        request.query.emplace(*key, *value);
    }
    return request;
}

}  // namespace mimic::gateway
