// SPDX-License-Identifier: Apache-2.0
// Exit statuses and environment variables of our programs, once: `--help`, man pages and
// docs/reference/exit-codes.md are printed from these tables, and a test compares them with what
// commands do and sources read (tests/cli/exit_codes_test.py).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mimic::cli {

/// One way for a command to end.
struct ExitStatus {
    std::string_view command;  // "kernel verify"; empty: every command that says nothing else
    std::string_view status;   // "1", "128 + n"
    std::string_view meaning;  // one line
};

/// Those of `mimic`, ordered by command; those of all commands come first.
std::span<const ExitStatus> exit_statuses();

/// What `command` may end with: its own rows, then those of all commands but for a status that it
/// has itself. For manual pages.
std::vector<ExitStatus> exit_statuses_of(std::string_view command);

/// Who looks at an environment variable.
enum class EnvironmentReader { kPrograms, kTools, kTests };

struct EnvironmentVariable {
    std::string_view name;
    EnvironmentReader reader = EnvironmentReader::kPrograms;
    std::string_view meaning;  // one line; what holds without it is in parentheses
};

/// All of ours, and those of others that our programs look at, ordered by reader and name.
std::span<const EnvironmentVariable> environment_variables();

/// "Exit status: 0 ..., 1 ..." for the end of a command's help: its own rows, several lines;
/// empty for a command without. `command` as in ExitStatus.
std::string exit_status_help(std::string_view command);

/// docs/reference/exit-codes.md.
std::string exit_codes_page();

}  // namespace mimic::cli
