// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/checkpoint.h"

#include <sys/stat.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/private_files.h"
#include "dra/plugin/files.h"
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

json encode_data(const PluginState& state) {
    json claims = json::object();
    for (const auto& [uid, claim] : state.claims) claims[uid] = encode_claim(claim);
    return {{"bootID", state.boot_id}, {"claims", std::move(claims)}, {"madeVFs", state.made_vfs}};
}

}  // namespace

std::string encode_checkpoint(const PluginState& state) {
    const std::string data = json_text(encode_data(state));
    return fmt::format(R"({{"version":{},"checksum":"{}","data":{}}})"
                       "\n",
                       kCheckpointVersion, checksum(data), data);
}

Result<PluginState> decode_checkpoint(std::string_view text) {
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
    const auto* const claims = member(*data, "claims");
    if (claims == nullptr || !claims->is_object()) return unusable("it has no claims");
    for (const auto& [uid, claim] : claims->items()) {
        MIMIC_ASSIGN_OR_RETURN(auto decoded, decode_claim(uid, claim));
        state.claims.emplace(uid, std::move(decoded));
    }
    const auto* const made_vfs = member(*data, "madeVFs");
    if (made_vfs == nullptr || !made_vfs->is_array()) return unusable("it has no list of VFs");
    for (const auto& pf : *made_vfs) {
        if (!pf.is_string() || !slices::is_dns_label(pf.get<std::string>()))
            return unusable("a PF has no usable name");
        state.made_vfs.insert(pf.get<std::string>());
    }
    return state;
}

Checkpoint::Checkpoint(std::string folder)
    : folder_(std::move(folder)), path_(folder_ + "/checkpoint.json") {}

bool Checkpoint::same(const Identity& a, const struct stat& b) {
    return a.device == b.st_dev && a.inode == b.st_ino && a.changed.tv_sec == b.st_ctim.tv_sec &&
           a.changed.tv_nsec == b.st_ctim.tv_nsec;
}

Result<PluginState> Checkpoint::load() {
    struct stat info {};
    if (::stat(path_.c_str(), &info) != 0) {
        if (errno != ENOENT) return fail_errno("{}", path_);
        identity_.reset();
        return PluginState{};
    }
    if (identity_ && same(*identity_, info)) return cached_;
    auto text = read_small_file(path_);
    if (!text && text.error().code() != std::errc::file_too_large)
        return tl::unexpected(std::move(text).error());
    auto state = text ? decode_checkpoint(*text) : tl::unexpected(std::move(text).error());
    if (!state) return move_aside(state.error());
    cached_ = *state;
    identity_ = Identity{info.st_dev, info.st_ino, info.st_ctim};
    return state;
}

Result<PluginState> Checkpoint::move_aside(const Error& why) {
    const std::string aside = fmt::format("{}.unusable-{}", path_, ::time(nullptr));
    if (::rename(path_.c_str(), aside.c_str()) != 0)
        return fail_errno("{} is unusable ({}) and cannot be moved to {}", path_, why.message(),
                          aside);
    MIMIC_LOG("dra", kError,
              "The checkpoint {} is unusable: {}. It was moved to {}; claims that are prepared are "
              "looked up in the API and in the CDI folder",
              path_, why.message(), aside);
    lost_ = true;
    identity_.reset();
    return PluginState{};
}

Status Checkpoint::store(const PluginState& state, const std::function<void()>& before_rename) {
    MIMIC_TRY(replace_file(
        path_, encode_checkpoint(state),
        {.durability = Durability::kSynced, .mode = 0600, .before_rename = before_rename}));
    cached_ = state;
    identity_.reset();
    struct stat info {};
    if (::stat(path_.c_str(), &info) == 0)
        identity_ = Identity{info.st_dev, info.st_ino, info.st_ctim};
    return {};
}

void Checkpoint::remove_temporaries() const {
    dra::remove_temporaries(folder_);
}

}  // namespace mimic::dra
