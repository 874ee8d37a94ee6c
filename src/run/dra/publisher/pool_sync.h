// SPDX-License-Identifier: Apache-2.0
// PoolSync: the ResourceSlices of one driver on one node: what is known of them, what they should
// say, and the writes in between. Owns no thread and no connection, so a process may have thousands
// (`mimic-dra --simulate`) that share a watch and a few clients; Publisher has one.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "dra/publisher/sync_plan.h"
#include "kube/client.h"
#include "slices/device.h"

namespace mimic::dra {

/// What a step did.
struct SyncStep {
    uint64_t writes = 0;     // that succeeded
    uint64_t conflicts = 0;  // 409: the next step knows better
    uint64_t errors = 0;
    std::optional<kube::ApiError> error{};  // the last one, conflicts included
    std::vector<std::string> notes{};       // fields that the server dropped; for the log
};

/// Thread-safe; only one thread at a time may be in step(). No lock is held while a server is
/// asked.
class PoolSync {
public:
    /// From now on the slices should say this. True if that is something new. Errors: those of
    /// slices::check(); then nothing changes.
    Result<bool> want(const slices::Pool& pool);
    void set_owner(NodeOwner owner);

    /// What Watcher tells. Objects of other drivers or nodes are welcome, and not touched.
    void replaced(const std::string& resource_version, std::vector<nlohmann::json> objects);
    /// What an event meant: nothing (we wrote that ourselves, or know better), a change, or the end
    /// of a slice that we had not asked for.
    enum class News : uint8_t { kNone, kChange, kDeletion };
    News changed(const kube::WatchEvent& event);

    /// Makes all the writes that are needed now. Goes on after a refusal of one, which says nothing
    /// about the next, but not after what is transient. Nothing before want() and replaced().
    SyncStep step(kube::Client& client);

    /// Whether step() would write nothing.
    bool settled() const;
    /// How many slices there are.
    size_t slice_count() const;

    /// Asks for dropped fields once more: the server may have been upgraded.
    void forget_adopted();

private:
    std::vector<SyncAction> plan() const;    // with mutex_ held
    void put(nlohmann::json object);         // with mutex_ held: unless a newer one is known
    void put_answer(nlohmann::json object);  // with mutex_ held: unless the watch knows of its end
    std::optional<kube::ApiError> write(kube::Client& client, const SyncAction& action,
                                        SyncStep& step);
    void written(const SyncAction& action, nlohmann::json stored, SyncStep& step);
    void refresh(kube::Client& client, const std::string& name);

    mutable std::mutex mutex_;
    std::optional<DesiredSlices> desired_;
    NodeOwner owner_;
    bool synced_ = false;                            // a list has been seen
    std::map<std::string, nlohmann::json> objects_;  // by name, without managedFields
    std::string seen_;  // resourceVersion that `objects_` has been told of all before
    AdoptedSpecs adopted_;
    // Names of what we deleted, whose events are still to come: names are not used twice.
    std::set<std::string> deleted_;
    // What is being written, whose event may come before its answer: a name, "" for a creation.
    std::optional<std::string> busy_;
};

}  // namespace mimic::dra
