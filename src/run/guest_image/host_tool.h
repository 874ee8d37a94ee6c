// SPDX-License-Identifier: Apache-2.0
// Running the host's tools (tools/debs, make, strip, ssh-keygen) to their end.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace mimic::guest_image {

/// Runs argv[0] (searched in PATH) with empty standard input and returns what it prints to stdout,
/// without trailing newlines. Its stderr is ours if `show_errors`, so its own progress is seen;
/// else it is kept for the error message. Errors: no_such_file_or_directory (no such program),
/// io_error (a bad exit status; the message ends with the last lines of what was kept). Blocks
/// until it ends. Thread-safe.
Result<std::string> run_tool(const std::vector<std::string>& argv, bool show_errors);

}  // namespace mimic::guest_image
