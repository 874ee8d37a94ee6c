// SPDX-License-Identifier: Apache-2.0
// Parameters of a topology file: ${KEY} and ${KEY:-DEFAULT} in its text become what the command
// line says, before the text is read as YAML. docs/topology.md, "Parameters".
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mimic::topology {

/// Values by name.
using Parameters = std::map<std::string, std::string, std::less<>>;

inline constexpr size_t kMaxParameters = 64;      // arbitrary
inline constexpr size_t kMaxParameterName = 63;   // arbitrary
inline constexpr size_t kMaxParameterValue = 63;  // a name's most; longer values make nothing
                                                  // clearer

/// Reads "KEY=VALUE" into `parameters`. A key is a letter or '_', then letters, digits and '_'. A
/// value is of letters, digits and ". _ + - / :", and begins with none of "-:": so it stays one
/// scalar, whatever stands around it, and no line gets longer than it says. Errors:
/// invalid_argument, also for a key that is there already.
Status add_parameter(Parameters& parameters, std::string_view pair);

/// Reads lines "KEY=VALUE"; empty ones and those that begin with '#' say nothing. Errors:
/// invalid_argument with the line's number.
Status add_parameter_lines(Parameters& parameters, std::string_view text);

/// `text` with each ${KEY} that `parameters` has, and each ${KEY:-DEFAULT}, replaced. What has
/// neither value nor default stays as it is. Errors: invalid_argument for a parameter that the text
/// nowhere asks for, with the nearest that it does. Pure, linear; never fails without parameters.
Result<std::string> replace_parameters(std::string_view text, const Parameters& parameters);

}  // namespace mimic::topology
