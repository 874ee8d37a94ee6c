// SPDX-License-Identifier: Apache-2.0
// Manual pages and the page docs/reference/commands.md, from what --help is made of: the parser's
// commands and options. The hidden command `__reference` of each program prints them.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mimic::cli {

/// First word of the hidden command.
inline constexpr std::string_view kReferenceCommand = "__reference";

/// A command and its whole name, such as "mimic kernel up".
struct NamedCommand {
    const CLI::App* app = nullptr;
    std::string name;
};

/// The program and all commands below it that the help names, in its order.
std::vector<NamedCommand> all_commands(const CLI::App& app);

/// The manual page of one command in man(7)'s macros: in section 1 if it is one of mimic's, else in
/// section 8.
std::string man_page(const NamedCommand& command);

/// All commands as one page of Markdown.
std::string commands_markdown(const CLI::App& app);

/// `PROGRAM __reference markdown`, or `PROGRAM __reference man FOLDER` (a page a command). `words`:
/// those behind "__reference". Returns an exit status.
int print_reference(const CLI::App& app, const std::vector<std::string>& words);

/// For main() of the other programs: print_reference() if that is what is asked for, else nothing.
std::optional<int> reference_asked(int argc, char** argv, const CLI::App& app);

}  // namespace mimic::cli
