// SPDX-License-Identifier: Apache-2.0
// mimic: machines with accelerators that are not there. Exit status: 0 done, 1 failure, 2 wrong
// usage, 128 + n after signal n; `mimic exec` passes on that of the guest's command.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "cli/commands.h"

namespace {

constexpr int kUsage = 2;

int run(int argc, char** argv) {
    CLI::App app("Machines with accelerators that are not there.", "mimic");
    mimic::cli::Action action;
    mimic::cli::add_commands(app, action);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        // --help and --version are "errors" with status 0.
        return app.exit(error) == 0 ? 0 : kUsage;
    }
    return action();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        // We throw nothing; this is a library's, such as out of memory.
        std::fputs("mimic: error: ", stderr);
        std::fputs(error.what(), stderr);
        std::fputs("\n", stderr);
        return 1;
    }
}
