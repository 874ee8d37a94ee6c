// SPDX-License-Identifier: Apache-2.0
// plan_sync: which writes make the ResourceSlices of one driver on one node say what they should.
// The rules are those of Kubernetes' own helper (k8s.io/dynamic-resource-allocation/resourceslice):
// who allocates believes the highest generation of a pool alone, and only if it is complete. Pure;
// any thread.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "slices/device.h"

namespace mimic::dra {

/// What the slices should say: a pool, split.
struct DesiredSlices {
    std::string driver;
    std::string node;
    std::string pool;
    std::vector<nlohmann::json> specs;        // slices::slice_specs(), at least one
    std::vector<std::string> generate_names;  // one for each of `specs`

    /// Errors: those of slices::check().
    static Result<DesiredSlices> of(const slices::Pool& pool);
};

/// The Node object that owns the slices; no `uid`: nobody does.
struct NodeOwner {
    std::string name;
    std::string uid;
};

/// A spec that was written and the one that the server stored instead, since it does not know, or
/// has switched off, some of the fields. By index of the slice.
// NOLINTNEXTLINE(bugprone-exception-escape): no move of nlohmann-json throws
struct AdoptedSpec {
    nlohmann::json written;
    nlohmann::json stored;
};
using AdoptedSpecs = std::map<size_t, AdoptedSpec>;

struct SyncAction {
    enum class Kind : uint8_t { kDelete, kUpdate, kCreate };

    Kind kind = Kind::kDelete;
    // Of the slice that is deleted or updated; preconditions of that.
    std::string name, uid, resource_version;
    size_t index = 0;       // of the spec; not of what is deleted
    nlohmann::json object;  // what is written; null for what is deleted
};

/// The writes, in the order in which they are made: deletions, updates, creations. None: all is as
/// it should be. `existing` may be any objects: what is not of this driver and node is not touched,
/// and what cannot be read is replaced.
std::vector<SyncAction> plan_sync(std::span<const nlohmann::json> existing,
                                  const DesiredSlices& desired, const NodeOwner& owner,
                                  const AdoptedSpecs& adopted = {});

/// Why a server may have stored `stored` in place of `written`: the feature gates whose fields are
/// missing, for people; empty if they say the same.
std::string dropped_fields(const nlohmann::json& written, const nlohmann::json& stored);

}  // namespace mimic::dra
