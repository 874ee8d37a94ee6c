// SPDX-License-Identifier: Apache-2.0
// Faults as the control API writes them: the body of POST .../faults and the list that GET gives.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "pci/faults/function_faults.h"
#include "service/api_error.h"

namespace mimic::control {

/// The fault that a body asks for: {"fault": name, "options": {...}, "at_us": n,
/// "after_accesses": n, "seed": n}; all but "fault" may be left out. Errors: 400 bad_json,
/// bad_request, unknown_fault. `body` may be anything. Thread-safe.
service::ApiResult<pci::Fault> parse_fault_body(const std::string& body);

/// The body that parse_fault_body() makes `name`, `options` and the triggers of `fault` of.
std::string fault_body(const std::string& name, const pci::FaultOptions& options,
                       const pci::Fault& triggers);

/// One element of "faults".
nlohmann::ordered_json fault_report_json(const pci::FaultReport& report);

}  // namespace mimic::control
