// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/metadata.h"

#include <algorithm>

#include <fmt/format.h>

namespace mimic::dra {
namespace {

using nlohmann::json;

struct AttributeJson {
    json operator()(int64_t value) const { return {{"int", value}}; }
    json operator()(bool value) const { return {{"bool", value}}; }
    json operator()(const std::string& value) const { return {{"string", value}}; }
    json operator()(const slices::Version& value) const { return {{"version", value.text}}; }
};

bool serves(const PreparedDevice& device, const std::string& request) {
    return std::find(device.requests.begin(), device.requests.end(), request) !=
           device.requests.end();
}

}  // namespace

std::vector<std::string> requests_of(const PreparedClaim& claim) {
    std::vector<std::string> out;
    for (const auto& device : claim.devices) {
        for (const auto& request : device.requests) {
            if (std::find(out.begin(), out.end(), request) == out.end()) out.push_back(request);
        }
    }
    return out;
}

json device_metadata(const PreparedClaim& claim, const std::string& request,
                     const std::string& driver, const PublishedAttributes& attributes) {
    json devices = json::array();
    for (const auto& device : claim.devices) {
        if (!serves(device, request)) continue;
        json entry = {{"driver", driver}, {"pool", device.pool}, {"name", device.device}};
        const auto found = attributes.find(device.device);
        if (found != attributes.end()) {
            for (const auto& [name, value] : found->second)
                entry["attributes"][name] = std::visit(AttributeJson{}, value);
        }
        devices.push_back(std::move(entry));
    }
    json out = {{"apiVersion", "metadata.resource.k8s.io/v1alpha1"},
                {"kind", "DeviceMetadata"},
                {"metadata",
                 {{"name", claim.name},
                  {"namespace", claim.name_space},
                  {"uid", claim.uid},
                  {"generation", 1}}},
                {"requests", {{{"name", request}, {"devices", std::move(devices)}}}}};
    if (!claim.pod_claim.empty()) out["podClaimName"] = claim.pod_claim;
    return out;
}

std::string metadata_path(const PreparedClaim& claim, const std::string& request,
                          const std::string& driver) {
    constexpr std::string_view kFolder = "/var/run/kubernetes.io/dra-device-attributes";
    return claim.pod_claim.empty() ? fmt::format("{}/resourceclaims/{}/{}/{}-metadata.json",
                                                 kFolder, claim.name, request, driver)
                                   : fmt::format("{}/resourceclaimtemplates/{}/{}/{}-metadata.json",
                                                 kFolder, claim.pod_claim, request, driver);
}

std::string metadata_kind(const std::string& driver) {
    return fmt::format("{}/metadata", driver);
}

}  // namespace mimic::dra
