// SPDX-License-Identifier: Apache-2.0
// What the plugin asks others for: claims (the API server) and devices (discovery). Tests have
// their own.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dra/discovery/inventory.h"
#include "kube/client.h"

namespace mimic::dra {

/// Thread-safe. Answers are untrusted.
class ClaimSource {
public:
    virtual ~ClaimSource() = default;

    /// Blocks as long as the API client does.
    virtual kube::ApiResult<nlohmann::json> get(const std::string& name_space,
                                                const std::string& name) = 0;

    /// All claims of the cluster.
    virtual kube::ApiResult<std::vector<nlohmann::json>> list() = 0;
};

/// Thread-safe.
class DeviceSource {
public:
    virtual ~DeviceSource() = default;

    /// What is known now; never null.
    virtual InventoryPtr snapshot() = 0;

    /// Looks again and returns what is there now; blocks for it.
    virtual InventoryPtr rescan() = 0;
};

}  // namespace mimic::dra
