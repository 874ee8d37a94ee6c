// SPDX-License-Identifier: Apache-2.0
// Preparer: prepares claims for pods and undoes it, however often it is asked and wherever it was
// cut off before. Knows no gRPC. What it guarantees:
//
// - The answer has one entry for each uid that was asked for. Asked again, it is the same.
// - The checkpoint says "started" before anything is done to the node and "completed" before the
//   kubelet hears of it. heal() undoes what was only started.
// - A device is never prepared for two claims, but for watching (admin access) or by shares.
// - After an error in an answer nothing of that claim is left.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dra/plugin/checkpoint.h"
#include "dra/plugin/claim.h"
#include "dra/plugin/device_setup.h"
#include "dra/plugin/serialize_lock.h"
#include "dra/plugin/sources.h"

namespace mimic::dra {

struct PreparerOptions {
    SetupOptions setup;
    std::string boot_id;  // /proc/sys/kernel/random/boot_id
    /// For another prepare to end; the kubelet gives up after 45 s.
    std::chrono::milliseconds lock_timeout = std::chrono::seconds(30);
    unsigned api_threads = 4;  // that ask the API server for claims of one call
};

/// A device for the kubelet.
struct AnswerDevice {
    std::vector<std::string> requests;
    std::string pool, device;
    std::vector<std::string> cdi_ids;
    std::string share_id;

    bool operator==(const AnswerDevice&) const = default;
};

struct PrepareAnswer {
    std::vector<AnswerDevice> devices;
    std::string error;  // empty: prepared
};

using PrepareAnswers = std::map<std::string, PrepareAnswer>;  // by uid
using UnprepareAnswers = std::map<std::string, std::string>;  // by uid; empty: done

/// Thread-safe; calls wait for each other.
class Preparer {
public:
    /// Sources are borrowed and outlive it. The folders of `options` exist.
    Preparer(PreparerOptions options, ClaimSource& claims, DeviceSource& devices);

    PrepareAnswers prepare(std::span<const ClaimRef> refs);
    UnprepareAnswers unprepare(std::span<const ClaimRef> refs);

    /// At start: undoes what was started, does again what is missing (all of it after a reboot),
    /// and removes VFs that nobody uses. Errors: those of reading or writing the checkpoint.
    Status heal();

    /// Unprepares claims that the API server does not know any more; takes claims over that are
    /// prepared and of which the checkpoint knows nothing, since it was lost. Returns how many
    /// claims were undone. Errors: the API server or the disk did not do; nothing is undone then
    /// but what is sure.
    Result<size_t> remove_stale();

    size_t prepared_claims() const { return prepared_claims_; }
    size_t prepared_devices() const { return prepared_devices_; }

private:
    struct Fetched;

    Result<SerializeLock::Held> lock();
    std::map<std::string, Fetched> fetch(const std::map<std::string, ClaimRef>& refs);
    Fetched fetch_one(const ClaimRef& ref);
    PrepareAnswer answer_for(const PreparedClaim& claim) const;
    bool answer_known(const std::string& uid, const Fetched& fetched, PluginState& state,
                      PrepareAnswer& answer);
    static Status check_conflicts(const PreparedClaim& claim, const PluginState& state);
    Status apply_all(std::vector<std::string>& uids, PluginState& state, PrepareAnswers& answers);
    void heal_claims(PluginState& state, bool rebooted);
    Status adopt(const std::set<std::string>& uids, size_t& undone);
    Status store(const PluginState& state, Step done, bool hook_temporary = false);
    void at(Step step) const;

    const PreparerOptions options_;
    const Ours ours_;
    ClaimSource& claims_;
    DeviceSetup setup_;
    SerializeLock lock_;
    Checkpoint checkpoint_;
    std::atomic<size_t> prepared_claims_{0}, prepared_devices_{0};
};

}  // namespace mimic::dra
