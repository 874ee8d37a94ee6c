// SPDX-License-Identifier: Apache-2.0
// `mimic logs`: files, not the API, since they outlive the machine that wrote them.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "base/interrupt.h"
#include "base/private_files.h"
#include "machine/down.h"
#include "machine/log_keeper.h"
#include "machine/log_printer.h"
#include "machine/run_dir.h"
#include "machine/up_source.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;

void print_error(const std::string& text) {
    std::fputs(fmt::format("mimic: error: {}\n", text).c_str(), stderr);
}

const char* file_of(Log log) {
    switch (log) {
        case Log::kConsole:
            return "console.log";
        case Log::kQemu:
            return "qemu.log";
        case Log::kDevices:
            return "device-host.log";
        case Log::kSupervisor:
            return "supervisor.log";
    }
    return "";
}

}  // namespace

int run_logs(const std::string& name, const LogsOptions& options) {
    const auto root = RunRoot::open();
    const auto state_root = state_root_path();
    if (!root || !state_root || !is_machine_name(name)) {
        print_error(!root         ? root.error().message()
                    : !state_root ? state_root.error().message()
                                  : fmt::format("\"{}\" is no machine name", name));
        return 1;
    }
    const std::string folder = *state_root + "/" + name;
    const std::string path = folder + "/" + file_of(options.log);
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        print_error(fmt::format("machine {} has no {}{}", name, file_of(options.log),
                                did_you_mean(name, root->names())));
        return 1;
    }
    LogPrinter printer({.out = STDOUT_FILENO, .raw = options.raw, .prefix = ""});
    const UniqueFd older(::open(old_log(path).c_str(), O_RDONLY | O_CLOEXEC));
    if (older && !printer.print_new(older.get())) return 0;
    if (options.follow) catch_interrupts();
    bool alive = root->is_alive(name);
    while (printer.print_new(fd.get()) && options.follow && alive && interrupted() == 0) {
        alive = root->is_alive(name);
        sleep_unless_interrupted(100ms);
    }
    printer.finish();
    if (!alive) {
        const auto reason = last_lines(folder + "/exit-reason", 1000);
        if (!reason.empty())
            std::fputs(fmt::format("mimic: machine {} ended: {}\n", name, reason.front()).c_str(),
                       stderr);
    }
    return 0;
}

}  // namespace mimic::machine
