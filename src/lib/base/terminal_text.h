// SPDX-License-Identifier: Apache-2.0
// Text of guests, peers and files on its way to a terminal, which would obey it: move the cursor,
// change its title, type an answer into a shell. The one rule of what may pass: printable UTF-8.
// Controls (C0, DEL, C1), characters without width or that turn the direction of text, and bytes
// that are no UTF-8 do not.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mimic {

/// One line: `text` with '?' for everything that may not pass, at most `limit` characters of it;
/// longer text ends with "...". Thread-safe.
std::string terminal_text(std::string_view text, size_t limit = 200);

/// Many lines, which come in parts of any size: newlines and tabs pass, CR LF becomes a newline and
/// so does a CR alone (nothing is written over what stands there), escape sequences are left out
/// (of strings, such as a title, only their frame), and the rest becomes '?'. Thread-bound.
class TerminalFilter {
public:
    /// What may be shown of `part` and of what was withheld before.
    std::string pass(std::string_view part);

    /// The end: what is left of half a character.
    std::string finish();

private:
    enum class State { kText, kCharacter, kEscape, kIntermediate, kSequence };

    void take(std::string& out, char c);
    void take_text(std::string& out, char c);
    void end_character(std::string& out);

    State state_ = State::kText;
    std::string character_;  // its bytes so far
    size_t wanted_ = 0;      // how many it has
    size_t skipped_ = 0;     // bytes of a sequence
    bool carriage_return_ = false;
};

/// All of `text` through a TerminalFilter. Thread-safe.
std::string terminal_lines(std::string_view text);

}  // namespace mimic
