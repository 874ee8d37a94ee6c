// SPDX-License-Identifier: Apache-2.0
// Preparer, what it does unasked: mending what a killed plugin or a reboot left, and forgetting
// claims that are gone.
#include "base/log.h"
#include "dra/plugin/json_fields.h"
#include "dra/plugin/names.h"
#include "dra/plugin/preparer.h"

namespace mimic::dra {

void Preparer::heal_claims(PluginState& state, bool rebooted) {
    for (auto it = state.claims.begin(); it != state.claims.end();) {
        const PreparedClaim& claim = it->second;
        if (claim.phase == Phase::kStarted) {
            const auto undone = setup_.undo(claim, state);
            MIMIC_LOG("dra", kWarn, "Claim {}/{} ({}) was being prepared when the driver ended: {}",
                      claim.name_space, claim.name, claim.uid,
                      undone ? "undone" : undone.error().message());
            it = undone ? state.claims.erase(it) : std::next(it);
            continue;
        }
        if (rebooted || !setup_.is_applied(claim)) {
            MIMIC_LOG("dra", kInfo, "Doing claim {}/{} ({}) over: {}", claim.name_space, claim.name,
                      claim.uid, rebooted ? "the node was rebooted" : "its files are not there");
            // VFs that we had made went with the reboot; plan() says which to make again.
            auto again = setup_.plan(claim, state);
            if (again) again = setup_.apply(claim, state);
            if (!again)
                MIMIC_LOG("dra", kWarn, "Claim {}/{} ({}) is not done over: {}", claim.name_space,
                          claim.name, claim.uid, again.error().message());
        }
        ++it;
    }
}

Status Preparer::heal() {
    MIMIC_ASSIGN_OR_RETURN(const auto held, lock());
    checkpoint_.remove_temporaries();
    MIMIC_ASSIGN_OR_RETURN(auto state, checkpoint_.load());
    const PluginState before = state;
    const bool rebooted = !state.claims.empty() && state.boot_id != options_.boot_id;
    state.boot_id = options_.boot_id;
    heal_claims(state, rebooted);
    setup_.remove_unused_vfs(state);
    // Also a first, empty one: a folder that cannot be written shows at the start.
    if (state != before || state.claims.empty()) return store(state, Step::kCount);
    prepared_claims_ = state.claims.size();
    size_t devices = 0;
    for (const auto& [uid, claim] : state.claims) devices += claim.devices.size();
    prepared_devices_ = devices;
    return {};
}

Result<size_t> Preparer::remove_stale() {
    std::vector<ClaimRef> known;
    std::set<std::string> strays;
    {
        MIMIC_ASSIGN_OR_RETURN(const auto held, lock());
        MIMIC_ASSIGN_OR_RETURN(const auto state, checkpoint_.load());
        for (const auto& [uid, claim] : state.claims)
            known.push_back({claim.name_space, uid, claim.name});
        strays = setup_.uids_of_files();
        for (const auto& ref : known) strays.erase(ref.uid);
    }
    std::vector<ClaimRef> gone;
    for (const auto& ref : known) {
        const auto object = claims_.get(ref.name_space, ref.name);
        if (!object && !object.error().not_found())
            return fail(std::errc::io_error, "claim {}/{} cannot be read: {}", ref.name_space,
                        ref.name, object.error().message);
        const auto* const uid = object ? member_at(*object, {"metadata", "uid"}) : nullptr;
        const bool same = uid != nullptr && uid->is_string() && *uid == ref.uid;
        if (same && member_at(*object, {"status", "allocation"}) != nullptr) continue;
        MIMIC_LOG("dra", kWarn, "Claim {}/{} ({}) is {}, and is unprepared", ref.name_space,
                  ref.name, ref.uid, same ? "not allocated any more" : "gone");
        gone.push_back(ref);
    }
    size_t undone = 0;
    for (const auto& [uid, error] : unprepare(gone)) {
        if (error.empty())
            ++undone;
        else
            MIMIC_LOG("dra", kWarn, "Claim {} stays for now: {}", uid, error);
    }
    if (!strays.empty()) MIMIC_TRY(adopt(strays, undone));
    return undone;
}

// Files of claims that the checkpoint does not know: it was lost.
Status Preparer::adopt(const std::set<std::string>& uids, size_t& undone) {
    const auto claims = claims_.list();
    if (!claims)
        return fail(std::errc::io_error, "claims cannot be listed: {}", claims.error().message);
    std::map<std::string, PreparedClaim> live;
    for (const auto& object : *claims) {
        const auto* const metadata = member(object, "metadata");
        if (metadata == nullptr) continue;
        const ClaimRef ref{text_of(*metadata, "namespace"), text_of(*metadata, "uid"),
                           text_of(*metadata, "name")};
        if (uids.count(ref.uid) == 0 || !check_ref(ref)) continue;
        auto claim = parse_claim(object, ref, ours_);
        if (!claim || claim->devices.empty()) continue;
        claim->phase = Phase::kCompleted;
        live.emplace(ref.uid, std::move(*claim));
    }
    MIMIC_ASSIGN_OR_RETURN(const auto held, lock());
    MIMIC_ASSIGN_OR_RETURN(auto state, checkpoint_.load());
    bool changed = false;
    for (const auto& uid : uids) {
        if (state.claims.count(uid) != 0) continue;  // prepared meanwhile
        const auto found = live.find(uid);
        if (found == live.end()) {
            MIMIC_LOG("dra", kWarn, "Removing files of claim {}, which is gone", uid);
            MIMIC_TRY(setup_.remove_files(uid));
            ++undone;
        } else if (check_conflicts(found->second, state)) {
            MIMIC_LOG("dra", kWarn, "Claim {}/{} ({}) is prepared, and is known again",
                      found->second.name_space, found->second.name, uid);
            state.claims.emplace(uid, std::move(found->second));
            changed = true;
        }
    }
    return changed ? store(state, Step::kCount) : Status{};
}

}  // namespace mimic::dra
