// SPDX-License-Identifier: Apache-2.0
// The last word of a command that was asked for JSON and failed: a document in place of its result,
// so that who reads standard output always finds one (docs/reference/json.md).
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace mimic::cli {

/// Whether `words`, those of a command line, have --json in front of "--". Pure.
bool asks_for_json(const std::vector<std::string>& words);

/// The document "mimic-error"; with `machine` where a command has one for each of several. Pure.
std::string error_document(const std::string& command, int status,
                           const std::vector<std::string>& errors, const std::string& machine = "");

/// Prints what was reported of a command that ends with `status`, if that is a failure, `words` ask
/// for JSON and the command printed no document itself. Returns `status`.
int end_command(const CLI::App& app, const std::vector<std::string>& words, int status);

}  // namespace mimic::cli
