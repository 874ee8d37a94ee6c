// SPDX-License-Identifier: Apache-2.0
// Words in command lines that people copy.
#pragma once

#include <string>

namespace mimic::outputs {

/// `word` as a POSIX shell reads it back. Thread-safe.
std::string shell_quoted(const std::string& word);

}  // namespace mimic::outputs
