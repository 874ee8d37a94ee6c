// SPDX-License-Identifier: Apache-2.0
#include "commands/mediator.h"

#include <unistd.h>

#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/command_report.h"
#include "base/nearest.h"
#include "base/terminal_text.h"
#include "commands/mediator_tables.h"
#include "mediator/control/run_folder.h"
#include "service/client.h"
#include "service/peer_json.h"
#include "yaml/scalars.h"

namespace mimic::commands {
namespace {

using Json = nlohmann::ordered_json;
using Options = MediatorOptions;

constexpr useconds_t kLookAgain = 50'000;  // microseconds, while one waits for the drain

int tell_error(const Error& error) {
    report_error(error.message());
    return error.code() == std::errc::invalid_argument ? 2 : 1;
}

Result<std::string> control_socket(const Options& options) {
    if (!options.socket.empty()) return options.socket;
    const auto found = mediator::find_mediators();
    std::vector<std::string> names;
    for (const auto& each : found) {
        if (each.name == options.name) return each.control_socket;
        names.push_back(each.name);
    }
    if (!options.name.empty())
        return fail(std::errc::no_such_file_or_directory, "no mediator {} runs{}",
                    options.name.substr(0, 64), did_you_mean(options.name, names));
    if (found.empty())
        return fail(std::errc::no_such_file_or_directory,
                    "no mediator runs; start one with: mimic-mediator");
    if (found.size() > 1)
        return fail(std::errc::argument_out_of_domain,
                    "{} mediators run; choose one with --name: {}", found.size(),
                    fmt::join(names, ", "));
    return found.front().control_socket;
}

// The body of a good answer.
Result<std::string> ask(const Options& options, const std::string& method,
                        const std::string& target, const std::string& body = "") {
    MIMIC_ASSIGN_OR_RETURN(const auto socket, control_socket(options));
    MIMIC_ASSIGN_OR_RETURN(auto answer, service::send_request({socket, method, target, body}));
    if (answer.status < 300) return std::move(answer.body);
    const Json json = service::parse_peer_json(answer.body);
    const Json* const error = service::find_member(json, "error");
    const std::string message = error == nullptr ? "" : service::string_member(*error, "message");
    return fail(std::errc::operation_not_permitted, "{}",
                message.empty() ? fmt::format("the mediator answered with status {}", answer.status)
                                : message);
}

using Print = std::function<std::string(const Json& answer)>;

int ask_and_print(const Options& options, const std::string& method, const std::string& target,
                  const std::string& body, const Print& print) {
    const auto answer = ask(options, method, target, body);
    if (!answer) return tell_error(answer.error());
    const Json json = service::parse_peer_json(*answer);
    if (json.is_null())
        return tell_error(Error(std::errc::protocol_error, "the mediator's answer is no JSON"));
    const std::string text = options.json
                                 ? json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                                 : print(json);
    return std::fputs(text.c_str(), stdout) < 0 ? 1 : 0;
}

std::string vm_path(uint32_t vm) {
    return fmt::format("/v1/mediator/vms/{}", vm);
}

std::string one_vm(const Json& vm) {
    return mediator_vms_table(Json{{"vms", Json::array({vm})}});
}

// The JSON member and value of "queue_depth=8".
Status add_limit(const std::string& text, Json& limits) {
    const size_t equals = text.find('=');
    const std::string key = text.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
    const auto wrong = [&](const char* expected) {
        return fail(std::errc::invalid_argument, "{}: expected {}", text.substr(0, 64), expected);
    };
    if (key == "rate" || key == "burst") {
        const auto real = yaml::parse_real(value);
        if (!real) return wrong("a number");
        limits[key] = *real;
    } else if (key == "queue_depth" || key == "parallel") {
        const auto number = yaml::parse_number(value);
        if (!number) return wrong("a whole number");
        limits[key] = *number;
    } else if (key == "memory_bytes") {
        const auto size = yaml::parse_size(value);
        if (!size) return wrong("a size such as 64M");
        limits[key] = *size;
    } else if (key == "job_timeout") {
        const auto picoseconds = yaml::parse_duration(value);
        if (!picoseconds) return wrong("a duration such as 1.5s");
        limits["job_timeout_s"] = static_cast<double>(*picoseconds) / 1e12;
    } else {
        return fail(std::errc::invalid_argument, "\"{}\" is no limit{}", key.substr(0, 64),
                    did_you_mean(key.substr(0, 64), {"rate", "burst", "queue_depth", "memory_bytes",
                                                     "parallel", "job_timeout"}));
    }
    return {};
}

}  // namespace

Result<std::string> limits_body(const std::vector<std::string>& limits) {
    Json json = Json::object();
    for (const auto& limit : limits) MIMIC_TRY(add_limit(limit, json));
    return Json{{"limits", std::move(json)}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

int run_mediator_status(const Options& options) {
    return ask_and_print(options, "GET", "/v1/mediator", "", &mediator_status_text);
}

int run_mediator_vms(const Options& options) {
    return ask_and_print(options, "GET", "/v1/mediator/vms", "", &mediator_vms_table);
}

int run_mediator_pools(const Options& options) {
    return ask_and_print(options, "GET", "/v1/mediator/pools", "", &mediator_pools_table);
}

int run_mediator_metrics(const Options& options) {
    const auto text = ask(options, "GET", "/metrics");
    if (!text) return tell_error(text.error());
    return std::fputs(terminal_lines(*text).c_str(), stdout) < 0 ? 1 : 0;
}

int run_mediator_reload(const Options& options) {
    return ask_and_print(options, "POST", "/v1/mediator/reload", "", [](const Json& json) {
        return fmt::format("reloaded {}\n",
                           terminal_text(service::string_member(json, "reloaded")));
    });
}

int run_mediator_drain(const Options& options, bool on, bool wait) {
    const std::string body = Json{{"on", on}}.dump();
    if (!on || !wait)
        return ask_and_print(options, "PUT", "/v1/mediator/drain", body, [on](const Json&) {
            return std::string(on ? "no new requests are taken\n" : "back to work\n");
        });
    auto answer = ask(options, "PUT", "/v1/mediator/drain", body);
    for (;;) {
        if (!answer) return tell_error(answer.error());
        const Json json = service::parse_peer_json(*answer);
        const Json* const drained = service::find_member(json, "drained");
        if (drained != nullptr && *drained == true) break;
        ::usleep(kLookAgain);
        answer = ask(options, "GET", "/v1/mediator");
    }
    return std::fputs(options.json ? "{\"draining\": true, \"drained\": true}\n"
                                   : "nothing is in flight any more\n",
                      stdout) < 0
               ? 1
               : 0;
}

int run_mediator_set_weight(const Options& options, uint32_t vm, uint32_t weight) {
    return ask_and_print(options, "PATCH", vm_path(vm), Json{{"weight", weight}}.dump(), &one_vm);
}

int run_mediator_set_limit(const Options& options, uint32_t vm,
                           const std::vector<std::string>& limits) {
    const auto body = limits_body(limits);
    if (!body) return tell_error(body.error());
    return ask_and_print(options, "PATCH", vm_path(vm), *body, &one_vm);
}

int run_mediator_quarantine(const Options& options, uint32_t vm, const std::string& reason,
                            uint64_t release_seconds) {
    Json body = {{"release_in_s", release_seconds}};
    if (!reason.empty()) body["reason"] = reason;
    return ask_and_print(options, "PUT", vm_path(vm) + "/quarantine",
                         body.dump(-1, ' ', false, Json::error_handler_t::replace), &one_vm);
}

int run_mediator_release(const Options& options, uint32_t vm) {
    return ask_and_print(options, "DELETE", vm_path(vm) + "/quarantine", "", &one_vm);
}

}  // namespace mimic::commands
