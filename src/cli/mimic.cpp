// SPDX-License-Identifier: Apache-2.0
// mimic: machines with accelerators that are not there. Exit status: exit_table.cpp.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "base/command_report.h"
#include "cli/command_words.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/json_errors.h"
#include "cli/reference.h"
#include "cli/remote_commands.h"

namespace {

// `words` are those that the user gave, without those in front that say which cluster is meant.
int run(std::vector<std::string>& words) {
    CLI::App app("Machines with accelerators that are not there.", "mimic");
    app.formatter(std::make_shared<mimic::cli::HelpFormatter>());
    mimic::cli::Action action;
    mimic::cli::add_commands(app, action);
    if (!words.empty()) {
        const std::vector<std::string> rest(words.begin() + 1, words.end());
        if (words[0] == mimic::cli::kCompleteCommand)
            return mimic::cli::print_completions(app, rest);
        if (words[0] == mimic::cli::kReferenceCommand)
            return mimic::cli::print_reference(app, rest);
    }
    const auto remote = mimic::cli::take_remote_options(words);
    if (const auto status = mimic::cli::check_words(app, words))
        return mimic::cli::end_command(app, words, *status);
    words = mimic::cli::guard_guest_command(app, std::move(words));
    try {
        // The parser takes them from the back.
        const auto shielded = mimic::cli::shield_brackets(words);
        app.parse(std::vector<std::string>(shielded.rbegin(), shielded.rend()));
    } catch (const CLI::ParseError& error) {
        // --help and --version are "errors" with status 0.
        if (error.get_exit_code() == 0) return app.exit(error);
        mimic::cli::print_parse_error(app, error, words);
        return mimic::cli::end_command(app, words, mimic::cli::usage_status(words));
    }
    return mimic::cli::end_command(app, words, remote ? remote(app, words) : action());
}

// What is closed would else be the number of the first file or socket that is opened: a guest's
// agent as standard input.
void open_standard_streams() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0) return;  // no /dev
}

}  // namespace

int main(int argc, char** argv) {
    open_standard_streams();
    try {
        std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
        const int status = run(words);
        if (mimic::flush_output() || status != 0) return status;
        return mimic::cli::lost_output_status(words);
    } catch (const std::exception& error) {
        // We throw nothing; this is a library's, such as out of memory.
        mimic::report_error(error.what());
        return 1;
    }
}
