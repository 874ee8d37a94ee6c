// SPDX-License-Identifier: Apache-2.0
// What the command line's parser says badly or not at all: words that are no command, commands of
// guests that look like options of ours, help without the parser's type names, and errors in the
// words of the other commands.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

namespace mimic::cli {

/// Help with "N" for numbers and nothing for texts in place of the parser's names of types and
/// ranges, which the descriptions give in words. Set before commands are added, which copy it.
class HelpFormatter final : public CLI::Formatter {
public:
    std::string make_option_opts(const CLI::Option* option) const override;
};

/// Help for `of`, which is called `name`.
std::string help_text(const CLI::App& of, const std::string& name);

/// The command (empty: the program) that `words` name, or nullptr with the reason and the nearest
/// command in `problem`.
const CLI::App* find_command(const CLI::App& app, const std::vector<std::string>& words,
                             std::string& problem);

/// Looks at the words before the parser does. The exit status where the command line ends here: 2,
/// with the nearest command on stderr where a word is none, and with a list of all on stdout where
/// none was given.
std::optional<int> check_words(const CLI::App& app, const std::vector<std::string>& words);

/// Puts "--" before the command of `exec NODE COMMAND...`, so that its options are not taken for
/// ours. Options of ours behind NODE stay ours.
std::vector<std::string> guard_guest_command(const CLI::App& app, std::vector<std::string> words);

/// `words` with those of a guest's command or a debugger's (behind "--" of exec, run, gdb) so that
/// the parser leaves them alone: it takes "[ -e /x ]" apart at its brackets and commas. Their
/// options get unshielded() as a transform.
std::vector<std::string> shield_brackets(std::vector<std::string> words);
std::string unshielded(std::string word);

/// Where in `words`, which begin with the name of `command`, words stand that are neither options
/// nor their values, up to "--".
std::vector<size_t> positional_words(const CLI::App& command,
                                     const std::vector<std::string>& words);

/// Prints an error of the parser about `words`, with the nearest option where one is unknown, and
/// where to read on.
void print_parse_error(const CLI::App& app, const CLI::ParseError& error,
                       const std::vector<std::string>& words);

/// How the command that `words` begin with ends where they are wrong: 2, or 125 where 2 may be what
/// a command in a guest ended with (as env, timeout and docker have it).
int usage_status(const std::vector<std::string>& words);

/// How it ends where all went well, but what it printed was lost: as for what else is wrong, apart
/// from differences that were found.
int lost_output_status(const std::vector<std::string>& words);

}  // namespace mimic::cli
