// SPDX-License-Identifier: Apache-2.0
// /v1/devices/{name}/faults: arm, list, clear.
#include <limits>
#include <nlohmann/json.hpp>

#include "control/fault_json.h"
#include "control/routes.h"

namespace mimic::control {
namespace {

using Json = nlohmann::ordered_json;

service::HttpResponse fault_list(const Target& target, int status = 200) {
    Json list = Json::array();
    for (const auto& report : target.faults()) list.push_back(fault_report_json(report));
    Json refused = Json::array();
    for (const auto& refusal : target.refusals())
        refused.push_back(
            {{"fault", refusal.fault}, {"reason", refusal.reason}, {"for_now", refusal.for_now}});
    return service::answer(
        {{"device", target.name()}, {"faults", std::move(list)}, {"refused", std::move(refused)}},
        status);
}

// The status and code of an error of inject().
service::ApiError injection_error(const Error& error) {
    if (error.code() == std::errc::not_supported) return {409, "not_possible", error.message()};
    if (error.code() == std::errc::resource_unavailable_try_again)
        return {409, "too_many_faults", error.message()};
    if (error.code() == std::errc::invalid_argument) return {400, "bad_request", error.message()};
    return {409, "refused", error.message()};
}

service::HttpResponse inject(Targets& targets, const service::HttpRequest& request,
                             const std::string& name) {
    const auto body = service::json_object(request);
    if (!body) return service::refuse(body.error());
    const auto fault = parse_fault_body(request.body);
    if (!fault) return service::refuse(fault.error());
    return targets.on(name, [fault = *fault](Target& target) {
        if (const auto injected = target.inject(fault); !injected)
            return service::refuse(injection_error(injected.error()));
        return fault_list(target, 201);
    });
}

// All, or the one that parameter "id" names. One that has ended before is no error: it ends by
// itself.
service::HttpResponse clear(Targets& targets, const service::HttpRequest& request,
                            const std::string& name) {
    const auto id = service::number_parameter(request, "id", std::numeric_limits<uint64_t>::max());
    if (!id) return service::refuse(id.error());
    return targets.on(name, [id = *id](Target& target) {
        if (id)
            target.clear_fault(*id);
        else
            target.clear_faults();
        return fault_list(target);
    });
}

Json option_names(unsigned options) {
    Json names = Json::array();
    if ((options & pci::kFaultSeverity) != 0) names.push_back("severity");
    if ((options & pci::kFaultCount) != 0) names.push_back("count");
    if ((options & pci::kFaultDelay) != 0) names.push_back("delay");
    if ((options & pci::kFaultVector) != 0) names.push_back("vector");
    return names;
}

}  // namespace

void add_fault_name_routes(service::Router& router) {
    router.add({"GET", "/v1/faults"}, [](const service::HttpRequest&, const service::PathNames&) {
        Json faults = Json::array();
        for (const auto& entry : pci::fault_names())
            faults.push_back({{"name", entry.name},
                              {"text", entry.what},
                              {"options", option_names(entry.options)}});
        return service::answer({{"faults", std::move(faults)}});
    });
}

void add_fault_routes(service::Router& router, Targets& targets) {
    constexpr std::string_view kPath = "/v1/devices/{name}/faults";
    router.add({"GET", kPath}, [&targets](const service::HttpRequest& /*request*/,
                                          const service::PathNames& names) {
        return targets.on(names[0], [](Target& target) { return fault_list(target); });
    });
    router.add({"POST", kPath},
               [&targets](const service::HttpRequest& request, const service::PathNames& names) {
                   return inject(targets, request, names[0]);
               });
    router.add({"DELETE", kPath},
               [&targets](const service::HttpRequest& request, const service::PathNames& names) {
                   return clear(targets, request, names[0]);
               });
}

}  // namespace mimic::control
