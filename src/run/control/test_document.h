// SPDX-License-Identifier: Apache-2.0
// For tests: the operations of a process, as the OpenAPI document has them and as it serves them.
#pragma once

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "control/api.h"

namespace mimic::control {

/// "GET /v1/version" of each operation that the document says `process` ("device-host",
/// "supervisor", "gateway") serves.
inline std::set<std::string> documented_routes(const std::string& process) {
    const auto document = nlohmann::json::parse(openapi_document());
    std::set<std::string> routes;
    for (const auto& [path, item] : document["paths"].items()) {
        if (!item.at("x-served-by").get<std::set<std::string>>().contains(process)) continue;
        for (const auto& [method, operation] : item.items()) {
            if (method == "parameters" || method == "x-served-by") continue;
            std::string upper = method;
            std::transform(upper.begin(), upper.end(), upper.begin(), ::toupper);
            routes.insert(upper + " " + path);
        }
    }
    return routes;
}

/// The same of what a router has.
inline std::set<std::string> served_routes(const std::vector<service::Route>& all) {
    std::set<std::string> routes;
    for (const service::Route& route : all)
        routes.insert(std::string(route.method) + " " + std::string(route.path));
    return routes;
}

}  // namespace mimic::control
