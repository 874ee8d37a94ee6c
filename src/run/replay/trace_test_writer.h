// SPDX-License-Identifier: Apache-2.0
// A trace as a unit test: <name>.jsonl with what the replay needs of the trace, and
// <name>_test.cpp, a GoogleTest that replays it.
#pragma once

#include <string>

#include "base/result.h"
#include "trace/file.h"

namespace mimic::replay {

/// Writes both files into `dir`. `name`: letters, digits and _, not a digit first. A trace that
/// replays differently makes a test that fails until the model is mended. Errors: invalid_argument
/// for another name, and for a trace that cannot be replayed to its end; file_exists; those of
/// open(2).
Status write_replay_test(const trace::TraceFile& file, const std::string& dir,
                         const std::string& name);

}  // namespace mimic::replay
