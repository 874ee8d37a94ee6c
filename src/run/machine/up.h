// SPDX-License-Identifier: Apache-2.0
// `mimic up`: from a topology file to running machines, all of them or none.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "machine/boot_display.h"
#include "machine/gdb.h"
#include "topology/model.h"
#include "topology/parameters.h"

namespace mimic::machine {

struct BootOptions;
struct UpSource;

struct UpOptions {
    std::string file;                            // "-": standard input; a folder: a snapshot
    topology::Parameters parameters;             // of the file, by --set
    std::string machine;                         // only this one; empty: all of the file
    std::optional<unsigned> machine_number;      // only that one, from 0: a pod knows its number
    Duration timeout = std::chrono::minutes(5);  // for one guest to boot
    std::string kernel;  // overrides the file's kernel: a release, or a path with a '/'; empty:
                         // does not
    std::vector<std::string> modules{};  // folders of kernel modules besides the file's
    std::vector<std::string> shares{};   // HOST:GUEST[:ro], besides the file's
    bool allow_shares = false;           // of folders elsewhere that the file names
    std::string accel;                   // "tcg" or "kvm" override the file; empty: does not
    std::vector<std::string> qemu_args;  // appended to QEMU's command line, unchecked
    bool allow_commands = false;         // start servers that the file names (`command:`)
    Gdb gdb = Gdb::kNo;                  // of all its machines
    bool foreground = false;             // stay until ^C, then take the machines down
    bool until_eof = false;              // the end of standard input is as SIGTERM
    bool json = false;                   // which machines are up as one document
    ProgressKind progress = ProgressKind::kAuto;  // how far boots are, on standard error
    bool logs = false;                            // while we are here: what the guests print
    int log_fd = 1;                               // where to
    uint64_t min_memory = 0;  // machines with less get so much, shared as the file shares it

    // Of callers that make more of a machine than its file says:
    std::vector<std::string> guest_modules{};  // as of guest_image::build_guest_image()
    /// Changes what a machine boots with, before anything of it starts.
    std::function<Status(const topology::Machine&, BootOptions&)> adjust{};
    /// Refuses the machines that are to boot, before anything else is done for them.
    std::function<Status(const topology::Model&)> check{};
};

/// Boots the machines and returns the exit status: 0 all are up, 1 failure (nothing is left
/// running), 128 + signal if a signal came (nothing is left running). One line a machine, or the
/// document of docs/reference/json.md, goes to stdout, everything else to stderr. Main thread only:
/// it catches signals.
int run_up(const UpOptions& options);

/// The same for a file that was read already; signals are caught already, too.
int run_up(const UpOptions& options, UpSource source);

/// What is done while machines run; gets their run folders by name.
using WhileUp = std::function<Status(const std::map<std::string, std::string>& run_dirs)>;

/// Boots the machines, does `work`, and takes them down, whatever came of it; without `work` it
/// does what run_up() does. With it, everything said goes to stderr, which errors have been told to
/// already. Errors: interrupted, by a signal; those of booting and of `work`. Main thread only.
Status up_while(const UpOptions& options, const WhileUp& work);

}  // namespace mimic::machine
