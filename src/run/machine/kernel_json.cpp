// SPDX-License-Identifier: Apache-2.0
#include "machine/kernel_json.h"

#include <sys/mman.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "base/command_report.h"
#include "base/interrupt.h"
#include "base/private_files.h"
#include "machine/process.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;

constexpr int kScriptFd = 3;  // in the shell

/// What a run of the script left.
struct ScriptEnd {
    int status = 0;
    std::string out;
    std::string err;
};

Result<UniqueFd> memory_file(const char* name) {
    UniqueFd fd(::memfd_create(name, MFD_CLOEXEC));
    if (!fd) return fail_errno("cannot make a file in memory");
    return fd;
}

std::string content_of(const UniqueFd& fd) {
    const auto text = read_small_file("/proc/self/fd/" + std::to_string(fd.get()));
    return text ? *text : "";
}

Result<ScriptEnd> run_script(const ScriptRun& run, const std::string& action) {
    MIMIC_ASSIGN_OR_RETURN(const auto out, memory_file("mimic-out"));
    MIMIC_ASSIGN_OR_RETURN(const auto err, memory_file("mimic-err"));
    SpawnOptions options;
    options.argv = {"/bin/sh", "/proc/self/fd/" + std::to_string(kScriptFd), action};
    options.stdout_fd = out.get();
    options.stderr_fd = err.get();
    options.pass_fds = {{run.script.get(), kScriptFd}};
    if (!run.module.empty()) options.environment.emplace_back("MIMIC_MODULE", run.module);
    if (!run.driver_module.empty())
        options.environment.emplace_back("MIMIC_DRIVER_MODULE", run.driver_module);
    MIMIC_ASSIGN_OR_RETURN(auto child, Process::spawn(options));
    bool told = false;
    for (;;) {
        if (const auto end = child.wait(100ms)) {
            const int signal = interrupted() != 0 ? interrupted() : end->signal;
            return ScriptEnd{signal != 0 ? 128 + signal : end->code, content_of(out),
                             content_of(err)};
        }
        // It rolls back what it did.
        if (interrupted() != 0 && !told) child.signal(interrupted());
        told = interrupted() != 0;
    }
}

nlohmann::ordered_json buses_in(const std::string& status) {
    auto buses = nlohmann::ordered_json::array();
    std::istringstream lines(status);
    for (std::string name, state; lines >> name >> state;)
        buses.push_back({{"bus", name}, {"state", state}});
    return buses;
}

/// What the script said without its own name, and without "error: ", which report_error() has.
std::string without_names(const std::string& said) {
    std::string out;
    std::istringstream lines(said);
    for (std::string line; std::getline(lines, line);) {
        for (const std::string_view name : {"mimic kernel: ", "error: "})
            if (line.starts_with(name)) line.erase(0, name.size());
        out += (out.empty() ? "" : "\n") + line;
    }
    return out;
}

}  // namespace

int run_script_for_json(const ScriptRun& run, const std::string& action) {
    auto end = run_script(run, action);
    int status = end ? end->status : 1;
    if (end && action != "status" && status == 0) {
        const std::string said = end->err;
        end = run_script(run, "status");
        if (end) end->err = said;
    } else if (end && action != "status") {
        report_error(end->err.empty() ? "the script failed" : without_names(end->err));
        return status;
    }
    if (!end) {
        report_error(end.error().message());
        return 1;
    }
    auto notes = nlohmann::ordered_json::array();
    std::istringstream lines(end->err);
    for (std::string line; std::getline(lines, line);) notes.push_back(line);
    const nlohmann::ordered_json document{
        {"format", "mimic-kernel"},    {"version", 1},
        {"machine", run.machine},      {"action", action},
        {"buses", buses_in(end->out)}, {"notes", std::move(notes)}};
    const bool printed = print_document(
        document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return printed ? status : 1;
}

}  // namespace mimic::machine
