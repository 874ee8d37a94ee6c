// SPDX-License-Identifier: Apache-2.0
// What the plugin remembers of claims between prepare and unprepare, also over its own end: values
// that the checkpoint holds.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace mimic::dra {

/// A device of a claim, as it was allocated.
struct PreparedDevice {
    std::vector<std::string> requests;  // names of requests that it serves, without "/<subrequest>"
    std::string pool;
    std::string device;      // Kubernetes' name
    std::string share_id{};  // of a device that several claims may have; else empty
    bool admin = false;      // for watching: others may have the device as well
    std::map<std::string, std::string> env{};  // from the claim's parameters

    bool operator==(const PreparedDevice&) const = default;
};

/// kStarted: files and registers may or may not be written, so they are undone when nobody works on
/// the claim any more. kCompleted: the kubelet may have been told so.
enum class Phase : uint8_t { kStarted, kCompleted };

struct PreparedClaim {
    std::string name_space, name, uid;
    std::string pod_claim{};  // the pod's own name for a claim that a template made; else empty
    Phase phase = Phase::kStarted;
    std::vector<PreparedDevice> devices{};

    bool operator==(const PreparedClaim&) const = default;
};

struct PluginState {
    std::string boot_id;                          // of the boot in which it was written
    std::map<std::string, PreparedClaim> claims;  // by uid
    std::set<std::string> made_vfs;               // PFs (Kubernetes' names) whose VFs we made

    bool operator==(const PluginState&) const = default;
};

}  // namespace mimic::dra
