// SPDX-License-Identifier: Apache-2.0
#include "machine/run_command.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/command_report.h"
#include "base/interrupt.h"
#include "base/private_files.h"
#include "base/terminal_text.h"
#include "guest_agent/guest_agent.h"
#include "machine/guest_commands.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;
using guest_agent::GuestAgent;

constexpr int kTimedOut = 124;  // timeout(1)
constexpr auto kAgentAnswers = 60s;
constexpr auto kFirstLook = 5ms;
constexpr auto kLongestLook = 200ms;

/// What came of it.
struct Run {
    std::string machine;
    int status = kExecFailed;
    std::string problem;  // why `status` is not the command's
    double boot_seconds = 0;
    double seconds = 0;
    GuestAgent::ExecResult result;
};

double seconds_since(TimePoint start) {
    return std::chrono::duration<double>(SteadyClock().now() - start).count();
}

Result<std::string> choose_machine(const std::map<std::string, std::string>& run_dirs,
                                   const std::string& wish) {
    if (wish.empty() && run_dirs.size() == 1) return run_dirs.begin()->first;
    if (run_dirs.contains(wish)) return wish;
    std::string names;
    for (const auto& [name, dir] : run_dirs) names += (names.empty() ? "" : ", ") + name;
    return fail(
        std::errc::invalid_argument, "{} --in with one of {}",
        wish.empty() ? "the file has several machines: say" : wish + " is none of them:", names);
}

Result<GuestAgent::ExecResult> exec_until(GuestAgent& agent, const std::vector<std::string>& argv,
                                          Duration timeout) {
    const TimePoint start = SteadyClock().now();
    MIMIC_ASSIGN_OR_RETURN(const int64_t pid, agent.start(argv, ""));
    for (Duration pause = kFirstLook;; pause = std::min<Duration>(2 * pause, kLongestLook)) {
        MIMIC_ASSIGN_OR_RETURN(auto result, agent.poll(pid));
        if (result) return std::move(*result);
        if (interrupted() != 0) return fail(std::errc::interrupted, "interrupted");
        if (timeout > Duration::zero() && SteadyClock().now() - start >= timeout)
            return fail(std::errc::timed_out, "{} did not end within {:g} s", argv[0],
                        std::chrono::duration<double>(timeout).count());
        MIMIC_TRY(agent.pause(pause));
    }
}

int status_of(const Error& error) {
    if (error.code() == std::errc::no_such_file_or_directory) return kExecNotFound;
    if (error.code() == std::errc::permission_denied ||
        error.code() == std::errc::executable_format_error)
        return kExecNotExecutable;
    return error.code() == std::errc::timed_out ? kTimedOut : kExecFailed;
}

/// Runs the command; its own failure is no error here.
Status run_inside(const RunOptions& options, const std::map<std::string, std::string>& run_dirs,
                  Run& run) {
    MIMIC_ASSIGN_OR_RETURN(run.machine, choose_machine(run_dirs, options.in));
    const TimePoint start = SteadyClock().now();
    MIMIC_ASSIGN_OR_RETURN(
        const auto agent,
        GuestAgent::connect(run_dirs.at(run.machine) + "/qga.sock", kAgentAnswers));
    auto result = exec_until(*agent, options.argv, options.timeout);
    run.seconds = seconds_since(start);
    if (!result) {
        run.status = status_of(result.error());
        return tl::unexpected(std::move(result).error());
    }
    run.result = std::move(*result);
    run.status = run.result.signal != 0 ? 128 + run.result.signal : run.result.exit_status;
    if (options.record == "-") return {};
    MIMIC_TRY(write_all(STDOUT_FILENO, run.result.out));
    return write_all(STDERR_FILENO, run.result.err);
}

std::string record_of(const RunOptions& options, const Run& run) {
    Json parameters = Json::object();
    for (const auto& [key, value] : options.up.parameters) parameters[key] = value;
    const auto& result = run.result;
    const Json record{{"format", "mimic-run"},
                      {"version", 1},
                      {"file", options.up.file},
                      {"machine", run.machine},
                      {"parameters", parameters},
                      {"command", options.argv},
                      {"status", run.status},
                      {"problem", run.problem},
                      {"boot_seconds", run.boot_seconds},
                      {"seconds", run.seconds},
                      {"truncated", result.truncated || result.out.size() > kMaxRecordedOutput ||
                                        result.err.size() > kMaxRecordedOutput},
                      {"stdout", result.out.substr(0, kMaxRecordedOutput)},
                      {"stderr", result.err.substr(0, kMaxRecordedOutput)}};
    // A guest prints what it likes: bytes that are no UTF-8 become U+FFFD.
    return record.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

int run_run(const RunOptions& options) {
    Run run;
    const TimePoint start = SteadyClock().now();
    const Status done = up_while(options.up, [&](const auto& run_dirs) -> Status {
        run.boot_seconds = seconds_since(start);
        return run_inside(options, run_dirs, run);
    });
    if (interrupted() != 0) run.status = 128 + interrupted();
    if (!done) run.problem = terminal_lines(done.error().message());
    if (options.record.empty()) return run.status;
    const std::string record = record_of(options, run);
    bool told = false;
    if (options.record == "-") {
        told = print_document(record);
    } else if (const Status written = write_file_atomically(options.record, record); written) {
        told = true;
    } else {
        report_error(written.error().message());
    }
    if (told) return run.status;
    return run.status != 0 ? run.status : kExecFailed;
}

}  // namespace mimic::machine
