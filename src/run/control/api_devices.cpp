// SPDX-License-Identifier: Apache-2.0
// GET /v1/devices and /v1/devices/{name}.
#include <nlohmann/json.hpp>

#include "control/routes.h"

namespace mimic::control {
namespace {

using Json = nlohmann::ordered_json;

Json counters_json(const TargetInfo& info) {
    Json counters = Json::object();
    for (const auto& [name, value] : info.counters) counters[name] = value;
    return counters;
}

Json info_json(const TargetInfo& info) {
    const auto name_or_null = [](const std::string& name) {
        return name.empty() ? Json(nullptr) : Json(name);
    };
    const auto value_or_null = [](const auto& value) {
        return value ? Json(*value) : Json(nullptr);
    };
    return {{"name", info.name},
            {"kind", info.kind},
            {"connected", info.connected},
            {"numa_node", value_or_null(info.numa_node)},
            {"parent", name_or_null(info.parent)},
            {"pf", name_or_null(info.pf)},
            {"bdf", name_or_null(info.bdf)},
            {"vendor_id", fmt::format("0x{:04x}", info.vendor_id)},
            {"device_id", fmt::format("0x{:04x}", info.device_id)},
            {"class_code", fmt::format("0x{:06x}", info.class_code)},
            {"power_state", info.in_d0 ? "D0" : "D3hot"},
            {"bus_master", info.bus_master},
            {"vfs", value_or_null(info.vfs)},
            {"total_vfs", value_or_null(info.total_vfs)},
            {"present", info.present},
            {"link_up", value_or_null(info.link_up)},
            {"faults",
             {{"armed", info.faults.armed},
              {"active", info.faults.active},
              {"struck", info.faults.struck}}},
            {"counters", counters_json(info)}};
}

service::HttpResponse list(Targets& targets) {
    Json devices = Json::array();
    unsigned busy = 0;
    for (const auto& infos :
         targets.each<std::vector<TargetInfo>>([](TargetGroup& group) { return group.infos(); })) {
        if (!infos) {
            ++busy;
            continue;
        }
        for (const auto& info : *infos) devices.push_back(info_json(info));
    }
    return service::answer({{"devices", std::move(devices)}, {"busy_loops", busy}});
}

}  // namespace

void add_device_routes(service::Router& router, Targets& targets) {
    router.add({"GET", "/v1/devices"},
               [&targets](const service::HttpRequest& /*request*/,
                          const service::PathNames& /*names*/) { return list(targets); });
    router.add({"GET", "/v1/devices/{name}"}, [&targets](const service::HttpRequest& /*request*/,
                                                         const service::PathNames& names) {
        return targets.on(names[0],
                          [](Target& target) { return service::answer(info_json(target.info())); });
    });
}

}  // namespace mimic::control
