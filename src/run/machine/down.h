// SPDX-License-Identifier: Apache-2.0
// Commands that end machines or print their logs: down, logs. All return an exit status, print
// results to stdout and problems to stderr.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace mimic::machine {

struct DownOptions {
    bool ignore_missing = false;  // a name that no machine ever had is no error
    bool json = false;            // what came of each as one document: docs/reference/json.md
};

/// `mimic down`: stops `names` (empty: every machine) and returns when nothing of them is left. A
/// machine that has ended is no error, so the command may be repeated. A name that no machine ever
/// had is one, unless `ignore_missing`; an invalid name is always.
int run_down(std::vector<std::string> names, const DownOptions& options);

enum class Log { kConsole, kQemu, kDevices, kSupervisor };

struct LogsOptions {
    Log log = Log::kConsole;
    bool follow = false;  // go on until the machine ends or ^C
    bool raw = false;     // every byte; else as a TerminalFilter leaves them
    bool json = false;    // the document of docs/reference/json.md; neither of the others then
};

/// `mimic logs`: prints a log of a machine, which need not run any more, with what was moved to its
/// old file.
int run_logs(const std::string& name, const LogsOptions& options);

/// Run directory of a running machine. Errors: no_such_file_or_directory, with the nearest name, or
/// with what became of the machine;
/// invalid_argument.
Result<std::string> running_machine_dir(const std::string& name);

/// The only running machine, for commands whose NAME is optional. Fails if there is none, or more
/// than one.
Result<std::string> only_running_machine();

}  // namespace mimic::machine
