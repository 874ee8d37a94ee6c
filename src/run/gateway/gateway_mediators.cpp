// SPDX-License-Identifier: Apache-2.0
// Mediators of this user: which there are, and what is asked of one.
#include <nlohmann/json.hpp>

#include "base/nearest.h"
#include "gateway/gateway_routes.h"
#include "mediator/control/run_folder.h"
#include "service/client.h"

namespace mimic::gateway {
namespace {

using mediator::FoundMediator;
using service::ApiError;
using service::ApiResult;
using service::HttpRequest;
using service::HttpResponse;
using service::PathNames;
using Json = nlohmann::ordered_json;

constexpr size_t kLongestName = 128;
constexpr const char* kBase = "/v1/mediators/{mediator}";

ApiResult<FoundMediator> find(const Gateway& gateway, const std::string& name) {
    std::vector<std::string> running;
    for (auto& each : mediator::find_mediators(gateway.mediators())) {
        if (each.name == name) return std::move(each);
        running.push_back(each.name);
    }
    const std::string bounded = name.substr(0, kLongestName);
    return tl::unexpected<ApiError>(ApiError{404, "unknown_mediator",
                                             fmt::format("no mediator \"{}\" runs", bounded),
                                             nearest_names(bounded, running)});
}

HttpResponse list(const Gateway& gateway) {
    std::vector<std::string> sockets;
    const auto found = mediator::find_mediators(gateway.mediators());
    sockets.reserve(found.size());
    for (const auto& each : found) sockets.push_back(each.control_socket);
    Json mediators = Json::array();
    Json unreachable = Json::array();
    const auto answers = gateway.ask(sockets, "GET", "/v1/mediator");
    for (size_t i = 0; i < answers.size(); ++i) {
        if (answers[i].status == 200)
            mediators.push_back(answers[i].json);
        else
            unreachable.push_back(found[i].name);
    }
    return service::answer(
        {{"mediators", std::move(mediators)}, {"unreachable", std::move(unreachable)}});
}

HttpResponse forward(const Gateway& gateway, const std::string& name, const std::string& path,
                     const HttpRequest& request) {
    const auto mediator = find(gateway, name);
    if (!mediator) return service::refuse(mediator.error());
    const std::string method = request.method == "HEAD" ? "GET" : request.method;
    const auto answers = gateway.ask({mediator->control_socket}, method, path, request.body);
    if (answers.at(0).status != 0) return service::answer(answers[0].json, answers[0].status);
    return service::refuse(
        {503, "unreachable", fmt::format("mediator {}: {}", mediator->name, answers[0].why), {}});
}

}  // namespace

void add_mediator_routes(service::Router& router, Gateway& gateway) {
    router.add({"GET", "/v1/mediators"},
               [&gateway](const HttpRequest&, const PathNames&) { return list(gateway); });
    const auto of_process = [&](const char* method, std::string_view path,
                                const std::string& rest) {
        router.add({method, path},
                   [&gateway, rest](const HttpRequest& request, const PathNames& names) {
                       return forward(gateway, names[0], "/v1/mediator" + rest, request);
                   });
    };
    const auto of_vm = [&](const char* method, std::string_view path, const std::string& rest) {
        router.add({method, path},
                   [&gateway, rest](const HttpRequest& request, const PathNames& names) {
                       const std::string vm = service::percent_encode(names[1]);
                       return forward(gateway, names[0], "/v1/mediator/vms/" + vm + rest, request);
                   });
    };
    of_process("GET", kBase, "");
    of_process("GET", "/v1/mediators/{mediator}/vms", "/vms");
    of_process("GET", "/v1/mediators/{mediator}/pools", "/pools");
    of_process("POST", "/v1/mediators/{mediator}/reload", "/reload");
    of_process("PUT", "/v1/mediators/{mediator}/drain", "/drain");
    for (const char* method : {"GET", "PATCH"})
        of_vm(method, "/v1/mediators/{mediator}/vms/{vm}", "");
    for (const char* method : {"PUT", "DELETE"})
        of_vm(method, "/v1/mediators/{mediator}/vms/{vm}/quarantine", "/quarantine");
}

}  // namespace mimic::gateway
