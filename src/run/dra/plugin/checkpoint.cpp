// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/checkpoint.h"

#include <nlohmann/json.hpp>

#include "dra/plugin/json_fields.h"
#include "dra/plugin/names.h"
#include "slices/names.h"

namespace mimic::dra {
namespace {

using nlohmann::json;

constexpr size_t kMaxDevicesOfClaim = 128;  // the API allows 32 results
constexpr std::string_view kStartedName = "PrepareStarted";
constexpr std::string_view kCompletedName = "PrepareCompleted";

std::string checksum(std::string_view text) {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a: draft-eastlake-fnv
    for (const char c : text) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 0x100000001b3;
    }
    return fmt::format("{:016x}", hash);
}

json encode_device(const PreparedDevice& device) {
    json out = {{"requests", device.requests}, {"pool", device.pool}, {"device", device.device}};
    if (!device.share_id.empty()) out["shareID"] = device.share_id;
    if (device.admin) out["admin"] = true;
    if (!device.env.empty()) out["env"] = device.env;
    return out;
}

json encode_claim(const PreparedClaim& claim) {
    json out = {{"namespace", claim.name_space},
                {"name", claim.name},
                {"phase", claim.phase == Phase::kCompleted ? kCompletedName : kStartedName},
                {"devices", json::array()}};
    if (!claim.pod_claim.empty()) out["podClaimName"] = claim.pod_claim;
    for (const auto& device : claim.devices) out["devices"].push_back(encode_device(device));
    return out;
}

tl::unexpected<Error> unusable(std::string_view what) {
    return fail(std::errc::bad_message, "{}", what);
}

Result<PreparedDevice> decode_device(const json& in) {
    PreparedDevice out;
    out.pool = text_of(in, "pool");
    out.device = text_of(in, "device");
    out.share_id = text_of(in, "shareID");
    out.admin = is_set(in, "admin");
    if (!slices::is_dns_label(out.device)) return unusable("a device has no usable name");
    if (out.pool.empty() || !is_printable(out.pool, kMaxObjectName))
        return unusable("a device has no usable pool");
    if (!out.share_id.empty() && !is_uid(out.share_id))
        return unusable("a device has a bad shareID");
    const auto* const requests = member(in, "requests");
    if (requests == nullptr || !requests->is_array()) return unusable("a device has no requests");
    for (const auto& request : *requests) {
        if (!request.is_string() || !slices::is_dns_label(request.get<std::string>()))
            return unusable("a request has no usable name");
        out.requests.push_back(request.get<std::string>());
    }
    if (const auto* const env = member(in, "env")) {
        if (!env->is_object()) return unusable("an environment is no object");
        for (const auto& [name, value] : env->items()) {
            if (!value.is_string()) return unusable("a variable has no text");
            out.env.emplace(name, value.get<std::string>());
        }
    }
    return out;
}

Result<PreparedClaim> decode_claim(const std::string& uid, const json& in) {
    PreparedClaim out;
    out.uid = uid;
    out.name_space = text_of(in, "namespace");
    out.name = text_of(in, "name");
    out.pod_claim = text_of(in, "podClaimName");
    if (!is_uid(uid)) return unusable("a claim's uid is not usable");
    if (!slices::is_dns_label(out.name_space) ||
        !slices::is_dns_subdomain(out.name, kMaxObjectName))
        return unusable("a claim has no usable name");
    if (!out.pod_claim.empty() && !slices::is_dns_label(out.pod_claim))
        return unusable("a claim's name in its pod is not usable");
    const std::string phase = text_of(in, "phase");
    if (phase != kStartedName && phase != kCompletedName) return unusable("a claim has no phase");
    out.phase = phase == kCompletedName ? Phase::kCompleted : Phase::kStarted;
    const auto* const devices = member(in, "devices");
    if (devices == nullptr || !devices->is_array() || devices->size() > kMaxDevicesOfClaim)
        return unusable("a claim has no list of devices");
    for (const auto& device : *devices) {
        MIMIC_ASSIGN_OR_RETURN(auto decoded, decode_device(device));
        out.devices.push_back(std::move(decoded));
    }
    return out;
}

json encode_data(const PluginState& state, uint64_t sequence) {
    json claims = json::object();
    for (const auto& [uid, claim] : state.claims) claims[uid] = encode_claim(claim);
    return {{"bootID", state.boot_id},
            {"claims", std::move(claims)},
            {"madeVFs", state.made_vfs},
            {"sequence", sequence}};
}

Status decode_claims(const json* claims, PluginState& state) {
    if (claims == nullptr || !claims->is_object()) return unusable("it has no claims");
    for (const auto& [uid, claim] : claims->items()) {
        MIMIC_ASSIGN_OR_RETURN(auto decoded, decode_claim(uid, claim));
        state.claims[uid] = std::move(decoded);
    }
    return {};
}

Status decode_made_vfs(const json* made_vfs, PluginState& state) {
    if (made_vfs == nullptr || !made_vfs->is_array()) return unusable("it has no list of VFs");
    state.made_vfs.clear();
    for (const auto& pf : *made_vfs) {
        if (!pf.is_string() || !slices::is_dns_label(pf.get<std::string>()))
            return unusable("a PF has no usable name");
        state.made_vfs.insert(pf.get<std::string>());
    }
    return {};
}

uint64_t sequence_of(const json& value) {
    const auto* const found = member(value, "sequence");
    return found != nullptr && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

}  // namespace

std::string encode_checkpoint(const PluginState& state, uint64_t sequence) {
    const std::string data = json_text(encode_data(state, sequence));
    return fmt::format(R"({{"version":{},"checksum":"{}","data":{}}})"
                       "\n",
                       kCheckpointVersion, checksum(data), data);
}

Result<PluginState> decode_checkpoint(std::string_view text, uint64_t* sequence) {
    const json file = json::parse(text, nullptr, false);
    if (!file.is_object()) return unusable("it is no JSON object");
    const auto* const version = member(file, "version");
    if (version == nullptr || !version->is_number_integer()) return unusable("it has no version");
    if (version->get<int64_t>() > kCheckpointVersion)
        return fail(std::errc::not_supported, "it has version {}, and this program knows {}",
                    version->get<int64_t>(), kCheckpointVersion);
    if (version->get<int64_t>() != kCheckpointVersion) return unusable("its version is unknown");
    const auto* const data = member(file, "data");
    if (data == nullptr || !data->is_object()) return unusable("it has no data");
    if (checksum(json_text(*data)) != text_of(file, "checksum"))
        return unusable("its checksum is wrong");
    PluginState state;
    state.boot_id = text_of(*data, "bootID");
    MIMIC_TRY(decode_claims(member(*data, "claims"), state));
    MIMIC_TRY(decode_made_vfs(member(*data, "madeVFs"), state));
    if (sequence != nullptr) *sequence = sequence_of(*data);
    return state;
}

std::string encode_change(const PluginState& before, const PluginState& after, uint64_t sequence) {
    json set = json::object();
    json erase = json::array();
    for (const auto& [uid, claim] : after.claims) {
        const auto old = before.claims.find(uid);
        if (old == before.claims.end() || old->second != claim) set[uid] = encode_claim(claim);
    }
    for (const auto& [uid, claim] : before.claims)
        if (after.claims.count(uid) == 0) erase.push_back(uid);
    const auto data = json_text({{"bootID", after.boot_id},
                                 {"claims", std::move(set)},
                                 {"erased", std::move(erase)},
                                 {"madeVFs", after.made_vfs},
                                 {"sequence", sequence}});
    return fmt::format("{} {}\n", checksum(data), data);
}

bool apply_change(std::string_view line, uint64_t sequence, PluginState& state) {
    constexpr size_t kDigits = 16;
    if (line.size() <= kDigits + 1 || line[kDigits] != ' ') return false;
    const auto data = line.substr(kDigits + 1);
    if (checksum(data) != line.substr(0, kDigits)) return false;
    const json change = json::parse(data, nullptr, false);
    if (!change.is_object() || sequence_of(change) != sequence) return false;
    PluginState next = state;
    next.boot_id = text_of(change, "bootID");
    if (!decode_claims(member(change, "claims"), next)) return false;
    if (!decode_made_vfs(member(change, "madeVFs"), next)) return false;
    const auto* const erased = member(change, "erased");
    if (erased == nullptr || !erased->is_array()) return false;
    for (const auto& uid : *erased)
        if (uid.is_string()) next.claims.erase(uid.get<std::string>());
    state = std::move(next);
    return true;
}

}  // namespace mimic::dra
