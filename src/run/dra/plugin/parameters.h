// SPDX-License-Identifier: Apache-2.0
// Opaque parameters: what a claim or a device class may ask of the plugin beyond its devices
// (docs/kubernetes/api-reference.md):
//
//   apiVersion: <driver>/v1alpha1
//   kind: DeviceParameters
//   env: {NAME: value}      # more variables for the container
//
// Whatever else stands there is an error: a typing mistake must not start a pod without what it
// asked for.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mimic::dra {

inline constexpr size_t kMaxVariables = 32;        // of one object of parameters
inline constexpr size_t kMaxVariableName = 128;    // bytes
inline constexpr size_t kMaxVariableValue = 4096;  // bytes; all parameters are at most 10 KiB

struct Parameters {
    std::map<std::string, std::string> env;
};

/// `driver` and `env_prefix` are those of DraFacts: variables "<env_prefix>_..." are the plugin's
/// own. Errors: invalid_argument with the member that is wrong. Pure.
Result<Parameters> parse_parameters(const nlohmann::json& value, std::string_view driver,
                                    std::string_view env_prefix);

}  // namespace mimic::dra
