// SPDX-License-Identifier: Apache-2.0
// What may follow on a command line: the hidden command `mimic __complete WORD...`, which the
// completions of bash, zsh and fish (integrations/completions) ask at each <Tab>. It reads a few
// small files and asks no process, so that it answers at once, also where a machine hangs.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace mimic::cli {

/// First word of the hidden command.
inline constexpr std::string_view kCompleteCommand = "__complete";

/// Lines for a shell: WORD, or WORD<tab>DESCRIPTION. A line that begins with ':' is an order:
/// ":file" and ":folder" say that names of files or folders fit here, too; ":nospace" that the word
/// goes on. `words`: those behind "mimic"; the last one is the word that is being written and may
/// be empty. Only words that begin with that one are listed.
std::vector<std::string> complete(const CLI::App& app, std::vector<std::string> words);

/// Prints complete(). Returns 0: whoever presses <Tab> wants no error.
int print_completions(const CLI::App& app, std::vector<std::string> words);

}  // namespace mimic::cli
