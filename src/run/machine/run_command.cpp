// SPDX-License-Identifier: Apache-2.0
#include "machine/run_command.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/command_report.h"
#include "base/interrupt.h"
#include "base/private_files.h"
#include "base/terminal_text.h"
#include "base/text_table.h"
#include "devices/all_models.h"
#include "guest_agent/guest_agent.h"
#include "machine/exec_command.h"
#include "machine/guest_commands.h"
#include "streams/guest_command.h"
#include "streams/relay.h"
#include "topology/topology.h"
#include "verify/junit.h"

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

Result<std::string> choose_machine(const topology::Model& model, const std::string& wish) {
    if (wish.empty() && model.machines.size() == 1) return model.machines.front().name;
    if (model.find_machine(wish) != nullptr) return wish;
    std::string names;
    for (const auto& machine : model.machines) names += (names.empty() ? "" : ", ") + machine.name;
    return fail(
        std::errc::invalid_argument, "{} --in with one of {}",
        wish.empty() ? "the file has several machines: say" : wish + " is none of them:", names);
}

/// Whether the command may go on.
Status check_time(const std::string& command, TimePoint start, Duration timeout) {
    if (interrupted() != 0) return fail(std::errc::interrupted, "interrupted");
    if (timeout > Duration::zero() && SteadyClock().now() - start >= timeout)
        return fail(std::errc::timed_out, "{} did not end within {:g} s", command,
                    std::chrono::duration<double>(timeout).count());
    return {};
}

Result<GuestAgent::ExecResult> exec_until(GuestAgent& agent, const std::vector<std::string>& argv,
                                          Duration timeout) {
    const TimePoint start = SteadyClock().now();
    MIMIC_ASSIGN_OR_RETURN(const int64_t pid, agent.start(argv, ""));
    for (Duration pause = kFirstLook;; pause = std::min<Duration>(2 * pause, kLongestLook)) {
        MIMIC_ASSIGN_OR_RETURN(auto result, agent.poll(pid));
        if (result) return std::move(*result);
        MIMIC_TRY(check_time(argv[0], start, timeout));
        MIMIC_TRY(agent.pause(pause));
    }
}

int status_of(const Error& error) {
    return error.code() == std::errc::timed_out ? kTimedOut : exec_failure(error);
}

/// Keeps what a record holds, and one byte more, which says that it is not all.
void keep(std::string& kept, std::string_view more) {
    kept += more.substr(0, kMaxRecordedOutput + 1 - std::min(kept.size(), kMaxRecordedOutput + 1));
}

/// By the stream port: output as it comes, with our input and our terminal.
Result<GuestAgent::ExecResult> run_by_streams(const RunOptions& options,
                                              const std::string& run_dir) {
    const TimePoint start = SteadyClock().now();
    GuestAgent::ExecResult result;
    streams::CommandSpec spec = command_spec(options.exec);
    spec.output = [&](int stream, std::string_view data) -> Status {
        keep(stream == 2 ? result.err : result.out, data);
        if (options.prints_record()) return {};
        return write_patiently(stream == 2 ? STDERR_FILENO : STDOUT_FILENO, data, [&] {
            return check_time(options.exec.argv[0], start, options.timeout);
        });
    };
    spec.cancelled = [] { return interrupted() != 0; };
    MIMIC_ASSIGN_OR_RETURN(const auto command,
                           streams::GuestCommand::start(streams::relay_socket_path(run_dir),
                                                        std::move(spec), stream_patience(run_dir)));
    MIMIC_ASSIGN_OR_RETURN(const auto raw, raw_terminal(options.exec));
    for (;;) {
        MIMIC_ASSIGN_OR_RETURN(const auto end, command->step(kLongestLook));
        if (end) {
            result.exit_status = end->status;
            result.signal = end->signal;
            return result;
        }
        if (options.exec.terminal) command->resize(window_of_terminal());
        MIMIC_TRY(check_time(options.exec.argv[0], start, options.timeout));
    }
}

/// By the guest's agent, which tells what was printed once the command has ended.
Result<GuestAgent::ExecResult> run_by_agent(const RunOptions& options, const std::string& run_dir) {
    MIMIC_ASSIGN_OR_RETURN(const auto agent,
                           GuestAgent::connect(run_dir + "/qga.sock", kAgentAnswers));
    auto result = exec_until(*agent, agent_argv(options.exec), options.timeout);
    if (!result) return tl::unexpected(agent_error(std::move(result).error()));
    if (options.prints_record()) return result;
    MIMIC_TRY(write_all(STDOUT_FILENO, result->out));
    MIMIC_TRY(write_all(STDERR_FILENO, result->err));
    return result;
}

Result<GuestAgent::ExecResult> run_by_any(const RunOptions& options, const std::string& run_dir) {
    auto result = run_by_streams(options, run_dir);
    if (result || result.error().code() != std::errc::not_supported) return result;
    if (options.exec.terminal || options.exec.input == Input::kAlways)
        return tl::unexpected(
            std::move(result).error().with_context("-i and -t need the guest's stream port"));
    return run_by_agent(options, run_dir);
}

/// Compares all machines with their files. What differs is printed to standard error, where it does
/// not get between what the command prints.
Status verify_all(const RunOptions& options, const std::map<std::string, std::string>& run_dirs) {
    const std::time_t started = std::time(nullptr);
    std::vector<verify::JunitMachine> reports;
    std::string problem;
    for (const auto& [name, dir] : run_dirs) {
        MIMIC_ASSIGN_OR_RETURN(const auto model,
                               topology::load(dir + "/topology.yaml", devices::all_models()));
        reports.push_back(ask_verify(model, name, dir));
        const verify::JunitMachine& report = reports.back();
        if (report.error.empty() && report.verdict.agrees()) continue;
        if (report.error.empty())
            std::fputs(terminal_lines(verify::verdict_table(report.verdict)).c_str(), stderr);
        problem += fmt::format("{}machine {}: {}", problem.empty() ? "" : "; ", name,
                               report.error.empty()
                                   ? fmt::format("{} of {} differ", report.verdict.differing,
                                                 counted(report.verdict.checks, "check"))
                                   : report.error);
    }
    if (!options.junit.empty())
        MIMIC_TRY(write_public_file(options.junit, verify::junit_xml(reports, started)));
    if (problem.empty()) return {};
    return fail(std::errc::io_error, "verify: {}; the command was not run", problem);
}

/// Runs the command; its own failure is no error here.
Status run_inside(const RunOptions& options, const std::map<std::string, std::string>& run_dirs,
                  Run& run) {
    if (options.verify) MIMIC_TRY(verify_all(options, run_dirs));
    const TimePoint start = SteadyClock().now();
    auto result = run_by_any(options, run_dirs.at(run.machine));
    run.seconds = seconds_since(start);
    if (!result) {
        run.status = status_of(result.error());
        return tl::unexpected(std::move(result).error());
    }
    run.result = std::move(*result);
    run.status = run.result.signal != 0 ? 128 + run.result.signal : run.result.exit_status;
    return {};
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
                      {"command", options.exec.argv},
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
    UpOptions up = options.up;
    up.check = [&](const topology::Model& model) -> Status {
        MIMIC_TRY(check_terminal(options.exec));
        MIMIC_ASSIGN_OR_RETURN(run.machine, choose_machine(model, options.in));
        return {};
    };
    const Status done = up_while(up, [&](const auto& run_dirs) -> Status {
        run.boot_seconds = seconds_since(start);
        return run_inside(options, run_dirs, run);
    });
    if (interrupted() != 0) run.status = 128 + interrupted();
    if (!done) run.problem = terminal_lines(done.error().message());
    if (options.record.empty() && !options.json) return run.status;
    const std::string record = record_of(options, run);
    bool told = true;
    if (!options.record.empty() && options.record != "-") {
        if (const Status written = write_public_file(options.record, record); !written) {
            report_error(written.error().message());
            told = false;
        }
    }
    if (options.prints_record()) told &= print_document(record);
    if (told) return run.status;
    return run.status != 0 ? run.status : kExecFailed;
}

}  // namespace mimic::machine
