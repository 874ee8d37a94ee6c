// SPDX-License-Identifier: Apache-2.0
// The few questions that `mimic new` asks somebody at a terminal.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "starter/starter.h"

namespace mimic::starter {

/// Where questions go and answers come from.
struct Conversation {
    /// Prints a line's beginning, reads the answer's line without its newline; nothing at the end
    /// of the input.
    std::function<std::optional<std::string>(const std::string& question)> ask;
    /// Prints a line.
    std::function<void(const std::string& line)> say;
};

/// Asks for a shape and for what may be other than its own; an empty answer takes what stands in
/// brackets, one that is wrong is asked for again. Errors: operation_canceled at the end of the
/// input or after many wrong answers.
Result<Answers> ask_answers(const Conversation& with);

/// Asks for one more word: `question [preset]`. The same errors.
Result<std::string> ask_text(const Conversation& with, const std::string& question,
                             const std::string& preset);

}  // namespace mimic::starter
