// SPDX-License-Identifier: Apache-2.0
// What a mediator's control API says, as text for people. The JSON is a peer's: whatever is missing
// or of another type is shown as nothing or 0.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace mimic::commands {

/// Of GET /v1/mediator.
std::string mediator_status_text(const nlohmann::ordered_json& status);
/// Of GET /v1/mediator/vms. SHARE is of the service that the VMs of its pool have had.
std::string mediator_vms_table(const nlohmann::ordered_json& answer);
/// Of GET /v1/mediator/pools.
std::string mediator_pools_table(const nlohmann::ordered_json& answer);

}  // namespace mimic::commands
