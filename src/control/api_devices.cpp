// SPDX-License-Identifier: Apache-2.0
// GET /v1/devices and /v1/devices/{name}.
#include <nlohmann/json.hpp>

#include "control/routes.h"

namespace mimic::control {
namespace {

using Json = nlohmann::ordered_json;

Json info_json(const TargetInfo& info) {
    return {{"name", info.name},
            {"kind", info.kind},
            {"connected", info.connected},
            {"counters", info.counters}};
}

HttpResponse list(Targets& targets) {
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
    return answer({{"devices", std::move(devices)}, {"busy_loops", busy}});
}

}  // namespace

void add_device_routes(Router& router, Targets& targets) {
    router.add({"GET", "/v1/devices"},
               [&targets](const HttpRequest& /*request*/, const PathNames& /*names*/) {
                   return list(targets);
               });
    router.add({"GET", "/v1/devices/{name}"},
               [&targets](const HttpRequest& /*request*/, const PathNames& names) {
                   return targets.on(
                       names[0], [](Target& target) { return answer(info_json(target.info())); });
               });
}

}  // namespace mimic::control
