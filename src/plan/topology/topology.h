// SPDX-License-Identifier: Apache-2.0
// Entry points of src/plan/topology: bytes of a YAML file -> validated Model -> QEMU arguments,
// libvirt XML, expected tree, picture. docs/topology.md is the language's reference. All functions
// are pure but load(), and thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "base/result.h"
#include "topology/model.h"
#include "topology/parameters.h"
#include "topology/yaml.h"

namespace mimic::topology {

/// Parses and validates a file's text; of its parameters (parameters.h) it knows the defaults.
/// `file_name` is only for messages; `models` are those that `model:` may name, and outlive the
/// result. Never throws, aborts or takes long, whatever the bytes are. On failure all problems that
/// were found (at most Diagnostics::kMaxProblems), in file order.
tl::expected<Model, Diagnostics> parse(std::string_view text, std::string_view file_name,
                                       model::Models models);

/// Reads `path` ("-": standard input) and parses it. The error's message is the printable report,
/// several lines, ready for stderr; its code is invalid_argument for a bad file or a parameter that
/// it does not ask for, else that of the failed read.
Result<Model> load(const std::string& path, model::Models models,
                   const Parameters& parameters = {});

/// What a program prints of an error of load(): a report as it is, another error with "mimic:
/// error: " before it, as all commands have.
std::string load_report(const Error& error);

/// Name of `function`, one of `machine`'s, in the class folder of its driver: PFs have numbers in
/// BDF order, those that are not plugged at boot behind the others; VF M of N is "N_vfM" there.
/// Empty without a driver.
std::string sysfs_name(const Machine& machine, const FunctionSpec& function);

/// Takes all machines but `name` out of the model. Errors: invalid_argument, with the nearest name.
Status keep_machine(Model& model, const std::string& name);

}  // namespace mimic::topology
