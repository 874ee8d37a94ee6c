// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/preparer.h"

#include <algorithm>
#include <optional>
#include <thread>

#include "base/log.h"
#include "dra/plugin/names.h"

namespace mimic::dra {
namespace {

std::string full_name(const PreparedClaim& claim) {
    return fmt::format("{}/{} ({})", claim.name_space, claim.name, claim.uid);
}

// Whether two claims may have the device at the same time.
bool may_share(const PreparedDevice& a, const PreparedDevice& b) {
    if (a.admin || b.admin) return true;
    return !a.share_id.empty() && !b.share_id.empty() && a.share_id != b.share_id;
}

// A PF and its VFs are one piece of hardware.
bool overlap(const std::string& a, const std::string& b) {
    return a == b || pf_of(a) == b || pf_of(b) == a;
}

}  // namespace

// What the API server said of a claim.
struct Preparer::Fetched {
    std::optional<PreparedClaim> claim{};
    std::string error{};
    bool unsure = false;  // no answer: what the checkpoint says may still hold
};

Preparer::Preparer(PreparerOptions options, ClaimSource& claims, DeviceSource& devices)
    : options_(std::move(options)),
      ours_{.facts = options_.setup.facts, .pool = options_.setup.pool},
      claims_(claims),
      setup_(options_.setup, devices),
      lock_(options_.setup.data_dir + "/serialize.lock"),
      checkpoint_(options_.setup.data_dir) {}

void Preparer::at(Step step) const {
    if (options_.setup.hook) options_.setup.hook(step);
}

Result<SerializeLock::Held> Preparer::lock() {
    return lock_.take(options_.lock_timeout);
}

Status Preparer::store(const PluginState& state, Step done, bool hook_temporary) {
    std::function<void()> half_way;
    if (hook_temporary && options_.setup.hook) half_way = [this] { at(Step::kPrepareTemporary); };
    MIMIC_TRY(checkpoint_.store(state, half_way));
    prepared_claims_ = state.claims.size();
    size_t devices = 0;
    for (const auto& [uid, claim] : state.claims) devices += claim.devices.size();
    prepared_devices_ = devices;
    if (done != Step::kCount) at(done);
    return {};
}

Preparer::Fetched Preparer::fetch_one(const ClaimRef& ref) {
    const auto object = claims_.get(ref.name_space, ref.name);
    if (!object) {
        const auto& error = object.error();
        if (error.not_found())
            return {.error = fmt::format("claim {}/{} does not exist (any more)", ref.name_space,
                                         ref.name)};
        return {.error = fmt::format("claim {}/{} cannot be read from the API server: {} (status "
                                     "{})",
                                     ref.name_space, ref.name, error.message, error.status),
                .unsure = true};
    }
    auto claim = parse_claim(*object, ref, ours_);
    if (!claim) return {.error = claim.error().message()};
    return {.claim = std::move(*claim)};
}

std::map<std::string, Preparer::Fetched> Preparer::fetch(
    const std::map<std::string, ClaimRef>& refs) {
    std::vector<std::pair<const ClaimRef*, Fetched*>> work;
    std::map<std::string, Fetched> out;
    for (const auto& [uid, ref] : refs) work.emplace_back(&ref, &out[uid]);
    std::atomic<size_t> next{0};
    const auto run = [&] {
        for (size_t i = next++; i < work.size(); i = next++)
            *work[i].second = fetch_one(*work[i].first);
    };
    // A batch is that of one pod, mostly of a claim or two.
    constexpr size_t kPerThread = 8;
    std::vector<std::jthread> helpers;
    const size_t wanted = std::min<size_t>(options_.api_threads, work.size() / kPerThread);
    for (size_t i = 1; i < wanted; ++i) helpers.emplace_back(run);
    run();
    helpers.clear();
    return out;
}

PrepareAnswer Preparer::answer_for(const PreparedClaim& claim) const {
    PrepareAnswer out;
    for (size_t i = 0; i < claim.devices.size(); ++i) {
        const auto& device = claim.devices[i];
        out.devices.push_back({.requests = device.requests,
                               .pool = device.pool,
                               .device = device.device,
                               .cdi_ids = setup_.cdi_ids(claim, i),
                               .share_id = device.share_id});
    }
    return out;
}

// True if the claim needs nothing more, or cannot be helped; `answer` says which.
bool Preparer::answer_known(const std::string& uid, const Fetched& fetched, PluginState& state,
                            PrepareAnswer& answer) {
    const auto found = state.claims.find(uid);
    if (found == state.claims.end() || found->second.phase != Phase::kCompleted) {
        answer.error = fetched.error;
        return !fetched.claim;
    }
    const PreparedClaim& known = found->second;
    if (!fetched.claim && !fetched.unsure) {
        answer.error = fetched.error;
        return true;
    }
    if (fetched.claim && fetched.claim->devices != known.devices) {
        // It was deallocated and allocated anew, and nobody unprepared it in between.
        if (const auto undone = setup_.undo(known, state); !undone) {
            answer.error = undone.error().message();
            found->second.phase = Phase::kStarted;
            return true;
        }
        state.claims.erase(found);
        return false;
    }
    if (!setup_.is_applied(known)) {
        if (const auto applied = setup_.apply(known, state); !applied) {
            answer.error = applied.error().message();
            return true;
        }
    }
    answer = answer_for(known);
    return true;
}

Status Preparer::check_conflicts(const PreparedClaim& claim, const PluginState& state) {
    for (const auto& [uid, other] : state.claims) {
        if (uid == claim.uid) continue;
        for (const auto& theirs : other.devices) {
            for (const auto& device : claim.devices) {
                if (!overlap(device.device, theirs.device) || may_share(device, theirs)) continue;
                return fail(std::errc::device_or_resource_busy,
                            "device {} cannot be given to this claim: {} is prepared for claim {}",
                            device.device, theirs.device, full_name(other));
            }
        }
    }
    return {};
}

Status Preparer::apply_all(std::vector<std::string>& uids, PluginState& state,
                           PrepareAnswers& answers) {
    MIMIC_TRY(store(state, Step::kPrepareStarted, true));
    std::vector<std::string> done;
    for (const auto& uid : uids) {
        auto& claim = state.claims.at(uid);
        if (const auto applied = setup_.apply(claim, state); !applied) {
            answers[uid].error = applied.error().message();
            // What cannot be undone now stays "started", and is tried again at the next call or
            // start.
            if (const auto undone = setup_.undo(claim, state); undone) state.claims.erase(uid);
            continue;
        }
        claim.phase = Phase::kCompleted;
        done.push_back(uid);
    }
    auto stored = store(state, Step::kPrepareCompleted);
    for (const auto& uid : done) {
        auto& claim = state.claims.at(uid);
        if (stored) {
            answers[uid] = answer_for(claim);
            MIMIC_LOG("dra", kInfo, "Prepared {}: {} devices", full_name(claim),
                      claim.devices.size());
        } else {
            answers[uid].error = stored.error().message();
            // On disk it is "started": heal() or the next call ends this if it fails here.
            if (const auto undone = setup_.undo(claim, state); !undone)
                MIMIC_LOG("dra", kError, "Claim {} is half prepared: {}", full_name(claim),
                          undone.error().message());
        }
    }
    return {};
}

PrepareAnswers Preparer::prepare(std::span<const ClaimRef> refs) {
    PrepareAnswers answers;
    std::map<std::string, ClaimRef> wanted;
    for (const auto& ref : refs) {
        if (const auto good = check_ref(ref); !good) {
            answers[ref.uid].error = good.error().message();
            continue;
        }
        const auto [it, is_new] = wanted.emplace(ref.uid, ref);
        if (!is_new && it->second != ref) answers[ref.uid].error = "one uid for two claims";
    }
    for (const auto& [uid, answer] : answers) wanted.erase(uid);
    if (wanted.empty()) return answers;

    // Without the lock: the API server may take its time.
    auto fetched = fetch(wanted);
    const auto fail_all = [&](const Error& error) {
        for (const auto& [uid, ref] : wanted) {
            if (answers[uid].error.empty() && answers[uid].devices.empty())
                answers[uid].error = error.message();
        }
    };
    const auto held = lock();
    if (!held) return fail_all(held.error()), answers;
    auto state = checkpoint_.load();
    if (!state) return fail_all(state.error()), answers;
    at(Step::kPrepareBegin);
    const PluginState before = *state;

    std::vector<std::string> started;
    for (auto& [uid, got] : fetched) {
        auto& answer = answers[uid];
        if (answer_known(uid, got, *state, answer)) continue;
        // A leftover of an earlier attempt is done over: nobody else works on it, we hold the lock.
        if (const auto old = state->claims.find(uid); old != state->claims.end()) {
            if (const auto undone = setup_.undo(old->second, *state); !undone) {
                answer.error = undone.error().message();
                continue;
            }
            state->claims.erase(old);
        }
        auto possible = check_conflicts(*got.claim, *state);
        if (possible) possible = setup_.plan(*got.claim, *state);
        if (!possible) {
            answer.error = possible.error().message();
            continue;
        }
        state->claims.emplace(uid, std::move(*got.claim));
        started.push_back(uid);
    }
    if (started.empty()) {
        if (*state != before) {
            // What was undone above is so whether or not this works; it would be undone again.
            if (const auto stored = store(*state, Step::kCount); !stored)
                MIMIC_LOG("dra", kWarn, "{}", stored.error().message());
        }
        return answers;
    }
    if (const auto applied = apply_all(started, *state, answers); !applied) {
        for (const auto& uid : started) answers[uid].error = applied.error().message();
    }
    return answers;
}

UnprepareAnswers Preparer::unprepare(std::span<const ClaimRef> refs) {
    UnprepareAnswers answers;
    for (const auto& ref : refs) {
        // The kubelet says names as well, but the uid is all that counts.
        answers[ref.uid] = is_uid(ref.uid) ? ""
                                           : fmt::format("'{}' is no claim's uid", shown(ref.uid));
    }
    const auto fail_all = [&](const Error& error) {
        for (auto& [uid, answer] : answers) {
            if (answer.empty()) answer = error.message();
        }
    };
    if (answers.empty()) return answers;
    const auto held = lock();
    if (!held) return fail_all(held.error()), answers;
    auto state = checkpoint_.load();
    if (!state) return fail_all(state.error()), answers;
    at(Step::kUnprepareBegin);
    const PluginState before = *state;
    for (auto& [uid, answer] : answers) {
        if (!answer.empty()) continue;
        const auto found = state->claims.find(uid);
        // An unknown one may have files if the checkpoint was lost.
        auto undone = found != state->claims.end() ? setup_.undo(found->second, *state)
                                                   : setup_.remove_files(uid);
        if (!undone) {
            answer = undone.error().message();
            // Not what it was any more: a prepare would have to do it all.
            if (found != state->claims.end()) found->second.phase = Phase::kStarted;
        } else if (found != state->claims.end()) {
            MIMIC_LOG("dra", kInfo, "Unprepared {}", full_name(found->second));
            state->claims.erase(found);
        }
    }
    if (*state == before) return answers;
    if (const auto stored = store(*state, Step::kUnprepareForgotten); !stored)
        fail_all(stored.error());
    return answers;
}

}  // namespace mimic::dra
