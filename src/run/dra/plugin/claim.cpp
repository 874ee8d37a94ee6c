// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/claim.h"

#include <algorithm>
#include <vector>

#include "dra/plugin/json_fields.h"
#include "dra/plugin/names.h"
#include "dra/plugin/parameters.h"
#include "slices/names.h"
#include "slices/slices.h"

namespace mimic::dra {
namespace {

using nlohmann::json;

constexpr size_t kMaxResults = 128;  // the API allows 32
constexpr size_t kMaxConfigs = 128;  // and 32 of a claim beside those of its classes
constexpr const char* kPodClaimAnnotation = "resource.kubernetes.io/pod-claim-name";

// Parameters of one entry of an allocation, and the requests that they are for (none: all).
struct Config {
    std::vector<std::string> requests;
    Parameters parameters;
};

// "gpu/large" is the alternative "large" of request "gpu"; pods name the request.
std::string main_request(const std::string& name) {
    return name.substr(0, name.find('/'));
}

Result<Config> parse_config(const json& entry, const json& opaque, const slices::DraFacts& facts) {
    Config out;
    if (const auto* const requests = member(entry, "requests"); requests != nullptr) {
        if (!requests->is_array()) return fail(std::errc::invalid_argument, "requests is no list");
        for (const auto& request : *requests) {
            if (!request.is_string())
                return fail(std::errc::invalid_argument, "a request has no name");
            out.requests.push_back(request.get<std::string>());
        }
    }
    const auto* const parameters = member(opaque, "parameters");
    if (parameters == nullptr) return fail(std::errc::invalid_argument, "there are none");
    MIMIC_ASSIGN_OR_RETURN(out.parameters,
                           parse_parameters(*parameters, facts.driver, facts.env_prefix));
    return out;
}

// Ours, in the order of the allocation: what comes later wins, as a claim over its class.
Result<std::vector<Config>> parse_configs(const json& devices, const slices::DraFacts& facts) {
    std::vector<Config> out;
    const auto* const configs = member(devices, "config");
    if (configs == nullptr || configs->is_null()) return out;
    if (!configs->is_array() || configs->size() > kMaxConfigs)
        return fail(std::errc::invalid_argument, "status.allocation.devices.config is no list");
    for (size_t i = 0; i < configs->size(); ++i) {
        const auto* const opaque = member((*configs)[i], "opaque");
        if (opaque == nullptr || text_of(*opaque, "driver") != facts.driver) continue;
        auto config = parse_config((*configs)[i], *opaque, facts);
        if (!config)
            return tl::unexpected(std::move(config).error().with_context(
                fmt::format("opaque parameters of the claim (config {})", i)));
        out.push_back(std::move(*config));
    }
    return out;
}

// Quantities as the API server writes them: digits, a suffix, an exponent
// (apimachinery/pkg/api/resource/quantity.go).
bool is_quantity(std::string_view text) {
    return !text.empty() && text.size() <= slices::kMaxText &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      c == '.' || c == '+' || c == '-';
           });
}

bool is_for(const Config& config, const std::string& request) {
    return config.requests.empty() ||
           std::any_of(config.requests.begin(), config.requests.end(), [&](const auto& name) {
               return name == request || name == main_request(request);
           });
}

// What this share may use of a device that others have, too: "<PREFIX>_<DEVICE>_SHARE_MEMORY=4Gi".
// Nothing but the container keeps to it, as nothing but it keeps to a vendor's.
Status add_share(const json& result, const slices::DraFacts& facts, PreparedDevice& device) {
    const auto* const consumed = member(result, "consumedCapacity");
    if (consumed == nullptr || consumed->is_null()) return {};
    if (!consumed->is_object() || consumed->size() > slices::kMaxAttributes)
        return fail(std::errc::invalid_argument,
                    "consumedCapacity of device {} is no map of at "
                    "most {} quantities",
                    device.device, slices::kMaxAttributes);
    const std::string own = fmt::format("{}/", facts.driver);
    for (const auto& [name, value] : consumed->items()) {
        const std::string text = value.is_string() ? value.get<std::string>() : "";
        if (!slices::is_qualified_name(name) || !is_quantity(text))
            return fail(std::errc::invalid_argument,
                        "consumedCapacity of device {}: '{}' is no capacity with a quantity",
                        device.device, shown(name));
        if (!name.starts_with(own)) continue;  // we publish no other
        const std::string id = as_variable(name.substr(own.size()));
        for (const auto& whose : {std::string(), as_variable(device.device) + "_"})
            device.env[fmt::format("{}_{}SHARE_{}", facts.env_prefix, whose, id)] = text;
    }
    return {};
}

Result<PreparedDevice> parse_result(const json& result, const Ours& ours,
                                    const std::vector<Config>& configs) {
    PreparedDevice out;
    out.pool = text_of(result, "pool");
    out.device = text_of(result, "device");
    out.share_id = text_of(result, "shareID");
    out.admin = is_set(result, "adminAccess");
    const std::string request = text_of(result, "request");
    if (!slices::is_dns_label(out.device))
        return fail(std::errc::invalid_argument, "'{}' is no name of a device", shown(out.device));
    if (out.pool != ours.pool)
        return fail(std::errc::invalid_argument,
                    "device {} is of pool '{}'; the pool of this node is '{}'", out.device,
                    shown(out.pool), ours.pool);
    if (!slices::is_dns_label(main_request(request)))
        return fail(std::errc::invalid_argument, "'{}' is no name of a request", shown(request));
    if (!out.share_id.empty() && !is_uid(out.share_id))
        return fail(std::errc::invalid_argument, "'{}' is no share's id", shown(out.share_id));
    out.requests = {main_request(request)};
    for (const auto& config : configs) {
        if (!is_for(config, request)) continue;
        for (const auto& [name, value] : config.parameters.env) out.env[name] = value;
    }
    if (!out.share_id.empty()) MIMIC_TRY(add_share(result, *ours.facts, out));
    return out;
}

// A device may be the answer to several requests only if it was given for watching; then it is
// prepared once.
Status add_device(std::vector<PreparedDevice>& devices, PreparedDevice device) {
    const auto same = std::find_if(
        devices.begin(), devices.end(), [&](const PreparedDevice& other) {
            return other.device == device.device && other.share_id == device.share_id;
        });
    if (same == devices.end()) {
        devices.push_back(std::move(device));
        return {};
    }
    if (!same->admin && !device.admin)
        return fail(std::errc::invalid_argument, "device {} was given twice to this claim",
                    device.device);
    same->admin = same->admin && device.admin;
    for (auto& [name, value] : device.env) same->env[name] = value;
    for (auto& request : device.requests) {
        if (std::find(same->requests.begin(), same->requests.end(), request) ==
            same->requests.end())
            same->requests.push_back(std::move(request));
    }
    return {};
}

}  // namespace

Status check_ref(const ClaimRef& ref) {
    if (!is_uid(ref.uid))
        return fail(std::errc::invalid_argument, "'{}' is no claim's uid", shown(ref.uid));
    if (!slices::is_dns_label(ref.name_space))
        return fail(std::errc::invalid_argument, "'{}' is no namespace", shown(ref.name_space));
    if (!slices::is_dns_subdomain(ref.name, kMaxObjectName))
        return fail(std::errc::invalid_argument, "'{}' is no claim's name", shown(ref.name));
    return {};
}

Result<PreparedClaim> parse_claim(const json& claim, const ClaimRef& ref, const Ours& ours) {
    PreparedClaim out{.name_space = ref.name_space, .name = ref.name, .uid = ref.uid};
    const auto* const metadata = member(claim, "metadata");
    const std::string uid = metadata != nullptr ? text_of(*metadata, "uid") : "";
    if (uid != ref.uid)
        return fail(std::errc::no_such_file_or_directory,
                    "claim {}/{} is another one now: its uid is '{}', not '{}'", ref.name_space,
                    ref.name, shown(uid), ref.uid);
    const auto* const devices = member_at(claim, {"status", "allocation", "devices"});
    if (devices == nullptr)
        return fail(std::errc::operation_not_permitted, "claim {}/{} is not allocated",
                    ref.name_space, ref.name);
    const auto* const annotations = member(*metadata, "annotations");
    if (annotations != nullptr) out.pod_claim = text_of(*annotations, kPodClaimAnnotation);
    if (!slices::is_dns_label(out.pod_claim)) out.pod_claim.clear();

    const auto* const results = member(*devices, "results");
    if (results == nullptr || results->is_null()) return out;
    if (!results->is_array() || results->size() > kMaxResults)
        return fail(std::errc::invalid_argument,
                    "status.allocation.devices.results of claim {}/{} is no list of at most {}",
                    ref.name_space, ref.name, kMaxResults);
    MIMIC_ASSIGN_OR_RETURN(const auto configs, parse_configs(*devices, *ours.facts));
    for (const auto& result : *results) {
        if (text_of(result, "driver") != ours.facts->driver) continue;
        MIMIC_ASSIGN_OR_RETURN(auto device, parse_result(result, ours, configs));
        MIMIC_TRY(add_device(out.devices, std::move(device)));
    }
    return out;
}

}  // namespace mimic::dra
