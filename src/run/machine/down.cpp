// SPDX-License-Identifier: Apache-2.0
#include "machine/down.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/command_report.h"
#include "base/interrupt.h"
#include "base/private_files.h"
#include "base/terminal_text.h"
#include "guest_image/progress.h"
#include "machine/ended.h"
#include "machine/machine_state.h"
#include "machine/run_dir.h"
#include "machine/up_source.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

// A guest with a disk may take 30 s to shut down; QEMU and device hosts add their grace periods.
constexpr auto kStopTimeout = 90s;
constexpr auto kKillTimeout = 5s;

bool wait_until_gone(const RunRoot& root, const std::string& name, Duration timeout) {
    const TimePoint deadline = SteadyClock().now() + timeout;
    while (root.is_alive(name)) {
        if (SteadyClock().now() >= deadline) return false;
        ::usleep(10'000);
    }
    return true;
}

// The supervisor of a machine that is alive. Empty while `mimic up` still prepares it.
ProcessId supervisor_of(const RunRoot& root, const std::string& name) {
    const auto state = read_machine_state(root.machine_dir(name));
    return state ? state->supervisor : ProcessId{};
}

Status stop(const RunRoot& root, const std::string& name) {
    if (root.is_alive(name)) {
        const ProcessId supervisor = supervisor_of(root, name);
        if (supervisor.is_running()) {
            ::kill(supervisor.pid, SIGTERM);
        } else if (!wait_until_gone(root, name, 1s)) {
            return fail(std::errc::device_or_resource_busy,
                        "machine {} is being started by a mimic up; interrupt that one", name);
        }
        if (!wait_until_gone(root, name, kStopTimeout)) {
            // Its children die with it (PR_SET_PDEATHSIG).
            if (supervisor.is_running()) ::kill(supervisor.pid, SIGKILL);
            if (!wait_until_gone(root, name, kKillTimeout))
                return fail(std::errc::timed_out, "machine {} does not end", name);
        }
    }
    return root.clean_leftovers(name);
}

/// What came of one.
struct Stopped {
    std::string name;
    std::string result;  // "down", "was-down", "unknown", "failed"
    std::string message{};
};

// Of a machine that has no folder.
Stopped not_here(const std::string& name, const std::vector<std::string>& known) {
    if (const std::string reason = end_of(name); !reason.empty())
        return {name, "was-down",
                fmt::format("machine {} does not run; it ended: {}", name, reason)};
    return {name, "unknown",
            fmt::format("there is no machine {}{}{}", name, did_you_mean(name, known),
                        known.empty() ? "; none runs" : "")};
}

Stopped stop_named(const RunRoot& root, const std::string& name,
                   const std::vector<std::string>& known, guest_image::Progress& progress) {
    if (!is_machine_name(name))
        return {name, "failed", fmt::format("\"{}\" is no machine name", name)};
    if (std::find(known.begin(), known.end(), name) == known.end()) return not_here(name, known);
    progress.step("stopping " + name);
    if (auto stopped = stop(root, name); !stopped)
        return {name, "failed", stopped.error().message()};
    return {name, "down"};
}

bool print_stopped(const std::vector<Stopped>& all) {
    Json list = Json::array();
    for (const Stopped& one : all)
        list.push_back({{"name", one.name}, {"result", one.result}, {"message", one.message}});
    return print_document(
        Json{{"format", "mimic-down"}, {"version", 1}, {"machines", std::move(list)}}.dump(
            2, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

int run_down(std::vector<std::string> names, const DownOptions& options) {
    const auto root = RunRoot::open();
    if (!root) {
        report_error(root.error().message());
        return 1;
    }
    const auto known = root->names();
    if (names.empty()) names = known;
    guest_image::StderrProgress progress;
    int status = 0;
    // All get their signal before any is waited for.
    for (const auto& name : names) {
        if (!is_machine_name(name)) continue;
        if (root->is_alive(name)) {
            const auto supervisor = supervisor_of(*root, name);
            if (supervisor.is_running()) ::kill(supervisor.pid, SIGTERM);
        }
    }
    std::vector<Stopped> all;
    for (const auto& name : names) {
        all.push_back(stop_named(*root, name, known, progress));
        const Stopped& one = all.back();
        if (one.result == "failed" || (one.result == "unknown" && !options.ignore_missing)) {
            report_error(one.message);
            status = 1;
        } else if (one.result != "down") {
            fmt::print(stderr, "mimic: {}\n", terminal_lines(one.message));
        } else if (!options.json) {
            std::puts((name + ": down").c_str());
        }
    }
    if (options.json && !print_stopped(all)) return 1;
    return status;
}

Result<std::string> running_machine_dir(const std::string& name) {
    if (!is_machine_name(name))
        return fail(std::errc::invalid_argument, "\"{}\" is no machine name", name);
    MIMIC_ASSIGN_OR_RETURN(const auto root, RunRoot::open());
    if (root.is_alive(name)) return root.machine_dir(name);
    std::vector<std::string> running;
    for (const auto& other : root.names()) {
        if (root.is_alive(other)) running.push_back(other);
        if (other == name)
            return fail(std::errc::no_such_file_or_directory,
                        "machine {0} does not run: its supervisor was killed; clean up with: mimic "
                        "down {0}",
                        name);
    }
    if (const std::string reason = end_of(name); !reason.empty())
        return fail(std::errc::no_such_file_or_directory, "machine {} does not run; it ended: {}",
                    name, reason);
    return fail(std::errc::no_such_file_or_directory, "machine {} does not run{}", name,
                running.empty() ? "; no machine does" : did_you_mean(name, running));
}

Result<std::string> only_running_machine() {
    MIMIC_ASSIGN_OR_RETURN(const auto root, RunRoot::open());
    std::vector<std::string> running;
    for (const auto& name : root.names())
        if (root.is_alive(name)) running.push_back(name);
    if (running.size() == 1) return running.front();
    if (running.empty())
        return fail(std::errc::no_such_file_or_directory,
                    "no machine runs. Start one: mimic up FILE");
    return fail(std::errc::invalid_argument, "several machines run: name one of {}",
                fmt::join(running, ", "));
}

}  // namespace mimic::machine
