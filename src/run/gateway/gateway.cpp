// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/nearest.h"
#include "control/openapi.h"
#include "control/routes.h"
#include "gateway/gateway_routes.h"
#include "machine/ended.h"
#include "machine/machine_api.h"
#include "mediator/control/run_folder.h"
#include "service/client.h"
#include "service/peer_json.h"
#include "service/process_routes.h"

namespace mimic::gateway {
namespace {

using service::ApiError;
using service::HttpRequest;
using service::HttpResponse;
using Json = nlohmann::ordered_json;

constexpr size_t kMaxName = 128;  // of a machine or device that somebody asks for
constexpr size_t kMaxMessage = 512;
constexpr size_t kMaxNearest = 16;

// What a process said, cut to what one passes on.
std::string text_of(const Json& json, const char* key) {
    return service::string_member(json, key).substr(0, kMaxMessage);
}

HostAnswer read_answer(const std::string& socket, const Result<service::ClientAnswer>& answer) {
    HostAnswer read;
    read.host = machine::socket_name(socket);
    if (!answer) {
        read.ended = answer.error().code() == std::errc::connection_reset;
        read.why = answer.error().code() == std::errc::timed_out ? "it does not answer in time"
                   : answer.error().code() == std::errc::connection_refused
                       ? "nobody listens"
                       : answer.error().message();
        return read;
    }
    if (answer->status < 200 || answer->status > 599) {
        read.why = fmt::format("it answered with status {}", answer->status);
        return read;
    }
    read.json = service::parse_peer_json(answer->body);
    if (!read.json.is_object()) {
        read.why = "its answer is no JSON object, or too deep";
        return read;
    }
    read.status = answer->status;
    return read;
}

}  // namespace

Gateway::Gateway(machine::RunRoot root, Options options)
    : root_(std::move(root)),
      mediators_(mediator::mediators_path()),
      options_(std::move(options)),
      events_([this] { return event_sources(); }, process_.events, options_.events) {
    service::add_process_routes(router_, control::openapi_document());
    control::add_fault_name_routes(router_);
    add_machine_routes(router_, *this);
    add_device_routes(router_, *this);
    add_mediator_routes(router_, *this);
    add_event_routes(router_, *this);
    add_metric_routes(router_, *this);
    add_trace_routes(router_, *this);
    add_pci_id_routes(router_, *this);
}

Result<std::unique_ptr<Gateway>> Gateway::create(Options options) {
    MIMIC_ASSIGN_OR_RETURN(auto root, machine::RunRoot::open());
    return std::unique_ptr<Gateway>(new Gateway(std::move(root), std::move(options)));
}

HttpResponse Gateway::handle(const HttpRequest& request) {
    return router_.handle(request);
}

std::vector<EventSource> Gateway::event_sources() const {
    std::vector<EventSource> sources;
    for (const auto& name : root_.names()) {
        const auto machine = find(name);
        if (!machine) continue;
        for (const auto& socket : machine->hosts) sources.push_back({name, socket});
        if (!machine->supervisor.empty()) sources.push_back({name, machine->supervisor});
    }
    return sources;
}

service::ApiResult<FoundMachine> Gateway::find(const std::string& name) const {
    if (machine::is_machine_name(name) && root_.is_alive(name)) {
        const std::string dir = root_.machine_dir(name);
        const std::string supervisor = machine::supervisor_socket_path(dir);
        std::error_code error;
        return FoundMachine{name, dir, machine::device_host_sockets(dir),
                            std::filesystem::exists(supervisor, error) ? supervisor : ""};
    }
    const std::string bounded = name.substr(0, kMaxName);
    const auto unknown = [](std::string why, std::vector<std::string> nearest) {
        return tl::unexpected<ApiError>(
            ApiError{404, "unknown_machine", std::move(why), std::move(nearest)});
    };
    if (!machine::is_machine_name(name))
        return unknown(fmt::format("\"{}\" is no machine name", bounded), {});
    const auto known = root_.names();
    if (std::find(known.begin(), known.end(), name) != known.end())
        return unknown(fmt::format("machine {0} does not run: its supervisor was killed; clean up "
                                   "with: mimic down {0}",
                                   name),
                       {});
    if (const std::string reason = machine::end_of(name); !reason.empty())
        return unknown(fmt::format("machine {} does not run; it ended: {}", name, reason), {});
    std::vector<std::string> running;
    for (const auto& other : known)
        if (root_.is_alive(other)) running.push_back(other);
    return unknown(fmt::format("machine {} does not run", name), nearest_names(bounded, running));
}

// A host that is alive and busy needs long for the texts of a page of events: that is work, whereas
// a loop that hangs is told after the host's own deadline.
Duration Gateway::patience_for(const std::string& target) const {
    return target.starts_with("/v1/trace/events") ? 8 * options_.patience : options_.patience;
}

std::vector<HostAnswer> Gateway::ask(const std::vector<HostQuestion>& questions) const {
    std::vector<service::ClientRequest> requests;
    requests.reserve(questions.size());
    for (const auto& [socket, method, target, body] : questions)
        requests.push_back({socket, method, target, body, patience_for(target)});
    const auto answers = service::send_requests(requests);
    std::vector<HostAnswer> read;
    for (size_t i = 0; i < answers.size(); ++i)
        read.push_back(read_answer(questions[i].socket, answers[i]));
    return read;
}

std::vector<HostAnswer> Gateway::ask(const std::vector<std::string>& sockets,
                                     const std::string& method, const std::string& target,
                                     const std::string& body) const {
    std::vector<HostQuestion> questions;
    questions.reserve(sockets.size());
    for (const auto& socket : sockets) questions.push_back({socket, method, target, body});
    return ask(questions);
}

HttpResponse Gateway::forward(const FoundMachine& machine, const std::string& device,
                              const std::string& rest, const HttpRequest& request) const {
    const std::string target = "/v1/devices/" + service::percent_encode(device) + rest +
                               encoded_query(request);
    const std::string method = request.method == "HEAD" ? "GET" : request.method;
    std::vector<std::string> nearest;
    std::string silent;
    bool ended = false;
    for (const auto& answer : ask(machine.hosts, method, target, request.body)) {
        if (answer.status == 0) {
            silent = answer.host + ": " + answer.why;
            ended = ended || answer.ended;
            continue;
        }
        const auto error = error_of(answer);
        if (error.code == "unknown_device") {
            nearest.insert(nearest.end(), error.nearest.begin(), error.nearest.end());
        } else if (error.code == "busy") {
            silent = answer.host + ": " + error.message;
        } else {
            return service::answer(answer.json, answer.status);
        }
    }
    const std::string bounded = device.substr(0, kMaxName);
    nearest = nearest_names(bounded, nearest);
    if (!silent.empty())
        return service::refuse({ended ? 502 : 503, ended ? "host_ended" : "unreachable",
                                fmt::format("machine {} does not answer for device \"{}\": {}",
                                            machine.name, bounded, silent),
                                nearest});
    return service::refuse({404, "unknown_device",
                            fmt::format("machine {} has no device \"{}\"", machine.name, bounded),
                            nearest});
}

std::string encoded_query(const HttpRequest& request) {
    std::string text;
    for (const auto& [key, value] : request.query)
        text += (text.empty() ? "?" : "&") + service::percent_encode(key) + "=" +
                service::percent_encode(value);
    return text;
}

ApiError error_of(const HostAnswer& answer) {
    ApiError error{answer.status, "", "", {}};
    const auto found = answer.json.find("error");
    if (answer.status < 400 || found == answer.json.end() || !found->is_object()) return error;
    error.code = text_of(*found, "code");
    error.message = text_of(*found, "message");
    const auto nearest = found->find("nearest");
    if (nearest == found->end() || !nearest->is_array()) return error;
    for (const auto& name : *nearest)
        if (name.is_string() && error.nearest.size() < kMaxNearest)
            error.nearest.push_back(name.get<std::string>().substr(0, kMaxName));
    return error;
}

}  // namespace mimic::gateway
