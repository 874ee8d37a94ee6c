// SPDX-License-Identifier: Apache-2.0
// `mimic logs`: files, not the API, since they outlive the machine that wrote them.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/command_report.h"
#include "base/interrupt.h"
#include "base/private_files.h"
#include "base/terminal_text.h"
#include "machine/down.h"
#include "machine/ended.h"
#include "machine/log_keeper.h"
#include "machine/log_printer.h"
#include "machine/run_dir.h"
#include "machine/up_source.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;

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

const char* word_of(Log log) {
    switch (log) {
        case Log::kConsole:
            return "console";
        case Log::kQemu:
            return "qemu";
        case Log::kDevices:
            return "devices";
        case Log::kSupervisor:
            return "supervisor";
    }
    return "";
}

// The lines of a log as people are shown them.
void add_log_lines(const std::string& path, nlohmann::ordered_json& lines) {
    const auto text = read_small_file(path);
    if (!text) return;
    std::istringstream shown(terminal_lines(*text));
    for (std::string line; std::getline(shown, line);) lines.push_back(line);
}

int print_logs_json(const std::string& name, Log log, const std::string& path, bool alive) {
    auto lines = nlohmann::ordered_json::array();
    add_log_lines(old_log(path), lines);
    add_log_lines(path, lines);
    const nlohmann::ordered_json document{{"format", "mimic-logs"},
                                          {"version", 1},
                                          {"machine", name},
                                          {"log", word_of(log)},
                                          {"path", path},
                                          {"runs", alive},
                                          {"reason", alive ? "" : end_of(name)},
                                          {"lines", std::move(lines)}};
    const bool printed = print_document(
        document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return printed ? 0 : 1;
}

}  // namespace

int run_logs(const std::string& name, const LogsOptions& options) {
    const auto root = RunRoot::open();
    const auto state_root = state_root_path();
    if (!root || !state_root || !is_machine_name(name)) {
        report_error(!root         ? root.error().message()
                     : !state_root ? state_root.error().message()
                                   : fmt::format("\"{}\" is no machine name", name));
        return 1;
    }
    const std::string folder = *state_root + "/" + name;
    const std::string path = folder + "/" + file_of(options.log);
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        report_error(fmt::format("machine {} has no {}{}", name, file_of(options.log),
                                 did_you_mean(name, root->names())));
        return 1;
    }
    if (options.json) return print_logs_json(name, options.log, path, root->is_alive(name));
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
        const std::string reason = end_of(name);
        if (!reason.empty()) fmt::print(stderr, "mimic: machine {} ended: {}\n", name, reason);
    }
    return 0;
}

}  // namespace mimic::machine
