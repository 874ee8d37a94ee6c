// SPDX-License-Identifier: Apache-2.0
// Thin: connect, ask, print.
#include "machine/guest_commands.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <set>

#include "base/command_report.h"
#include "base/private_files.h"
#include "base/terminal_text.h"
#include "guest_agent/guest_agent.h"
#include "guest_agent/guest_copy.h"
#include "guest_agent/guest_input.h"
#include "guest_image/cache_file.h"
#include "guest_image/guest_image.h"
#include "guest_image/initramfs.h"
#include "topology/topology.h"
#include "verify/probe_settings.h"
#include "verify/verify.h"

namespace mimic::machine {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

/// How long an agent may take to answer, or other commands may keep it; `mimic up` has waited for
/// the boot before. A busy host may stop an emulated guest for 20 s.
constexpr auto kConnect = seconds(60);
constexpr auto kProbe = seconds(120);  // 4096 functions under an emulated CPU
constexpr auto kAnyCommand = hours(24 * 365);

void complain(std::string_view message) {
    // Much of it is what a guest said.
    fmt::print(stderr, "mimic: {}\n", terminal_lines(message));
}

Result<std::unique_ptr<guest_agent::GuestAgent>> connect_to(const std::string& run_dir) {
    auto agent = guest_agent::GuestAgent::connect(run_dir + "/qga.sock", kConnect);
    const std::string key = run_dir + "/ssh_key";
    if (agent || ::access(key.c_str(), F_OK) != 0) return agent;
    // An image of the user's: it may still boot, or have no agent.
    return fail(agent.error().code(),
                "{}; is qemu-guest-agent in the image, is cloud-init done? See 'mimic logs {}', or "
                "use ssh with the key {} (port: mimic ps --json)",
                agent.error().message(), run_dir.substr(run_dir.rfind('/') + 1), key);
}

Result<guest_agent::GuestAgent::ExecResult> exec_in(const std::string& run_dir,
                                                    const std::vector<std::string>& argv,
                                                    bool pass_input) {
    MIMIC_ASSIGN_OR_RETURN(const auto agent, connect_to(run_dir));
    // Whoever sits at a terminal does not type for each command of a script.
    if (!pass_input || ::isatty(STDIN_FILENO) == 1) return agent->exec(argv, {}, kAnyCommand);
    guest_agent::DescriptorInput input(STDIN_FILENO);
    return guest_agent::exec_with_input(*agent, argv, input);
}

Result<guest_agent::CopiedFile> fetch(const std::string& run_dir, const std::string& path) {
    if (run_dir.empty()) return guest_agent::fetch_from_host(path);
    MIMIC_ASSIGN_OR_RETURN(const auto agent, connect_to(run_dir));
    return guest_agent::fetch_from_guest(*agent, path);
}

Status store(const std::string& run_dir, const guest_agent::CopiedFile& file,
             const std::string& path) {
    if (run_dir.empty()) return guest_agent::store_on_host(file, path);
    MIMIC_ASSIGN_OR_RETURN(const auto agent, connect_to(run_dir));
    return guest_agent::store_in_guest(*agent, file, path);
}

/// Runs the probe in the guest, as a shell's input: settings of the machine come before its text.
Result<std::string> run_probe(guest_agent::GuestAgent& agent, const topology::Machine& machine) {
    MIMIC_ASSIGN_OR_RETURN(const std::string path,
                           guest_image::find_support_file("guest/init/probe"));
    MIMIC_ASSIGN_OR_RETURN(const std::string script, guest_image::read_host_file(path, 1u << 20));
    MIMIC_ASSIGN_OR_RETURN(
        auto result,
        agent.exec({"/bin/sh", "-s"}, verify::probe_settings(machine) + script, kProbe));
    if (result.exit_status != 0 || result.signal != 0 || result.truncated) {
        return fail(std::errc::io_error, "the guest's probe failed: {}", result.err.substr(0, 500));
    }
    return std::move(result.out);
}

/// What an image of the user's needs so that all of `machine` can be checked.
std::string needs_of(const topology::Machine& machine) {
    std::set<std::string> needs;
    for (const topology::DeviceSpec& device : machine.devices) {
        const model::DriverFacts& facts = device.model->driver;
        if (!facts.name.empty())
            needs.insert(fmt::format("the driver {} and {}", facts.name, facts.tool));
    }
    return fmt::format("{}", fmt::join(needs, ", "));
}

/// True if some function has no driver in the guest, as in an image that lacks it.
bool lacks_driver(const verify::Verdict& verdict) {
    for (const auto& function : verdict.functions)
        for (const auto& difference : function.differences)
            if (difference.what == "PCI driver" && difference.got == "nothing") return true;
    return false;
}

/// What `mimic up` noted of a kernel of the user's (BootPlanner).
std::set<std::string> absent_drivers(const std::string& run_dir) {
    std::set<std::string> out;
    const auto text = read_small_file(run_dir + "/absent-drivers");
    for (size_t from = 0, to; text && (to = text->find('\n', from)) != std::string::npos;
         from = to + 1)
        out.insert(text->substr(from, to - from));
    return out;
}

Result<verify::Verdict> verify(const topology::Machine& machine, const std::string& run_dir) {
    const bool is_image = !machine.kernel.image.empty();
    Result<std::unique_ptr<guest_agent::GuestAgent>> agent = connect_to(run_dir);
    if (!agent && is_image) {
        return fail(agent.error().code(), "{}. Verify also needs {} in the image (docs/verify.md)",
                    agent.error().message(), needs_of(machine));
    }
    if (!agent) return tl::unexpected<Error>(std::move(agent).error());
    MIMIC_ASSIGN_OR_RETURN(const std::string text, run_probe(**agent, machine));
    MIMIC_ASSIGN_OR_RETURN(const verify::Probe probe, verify::parse_probe(text));
    verify::PlanOptions options;
    options.absent_drivers = absent_drivers(run_dir);
    return verify::compare_with_plan(machine, probe, options);
}

}  // namespace

int run_exec(const std::string& run_dir, const std::vector<std::string>& argv, bool pass_input) {
    const Result<guest_agent::GuestAgent::ExecResult> result = exec_in(run_dir, argv, pass_input);
    if (!result) {
        complain(result.error().message());
        if (result.error().code() == std::errc::no_such_file_or_directory) return kExecNotFound;
        if (result.error().code() == std::errc::permission_denied ||
            result.error().code() == std::errc::executable_format_error) {
            return kExecNotExecutable;
        }
        return kExecFailed;
    }
    const Status out = write_all(STDOUT_FILENO, result->out);
    const Status err = write_all(STDERR_FILENO, result->err);
    if (result->truncated) complain("the guest agent cut the output after 16 MiB");
    if (!out || !err) {
        complain((out ? err : out).error().message());
        return kExecFailed;
    }
    return result->signal != 0 ? 128 + result->signal : result->exit_status;
}

int run_cp(const std::string& from_run_dir, const std::string& from, const std::string& to_run_dir,
           const std::string& to) {
    const Result<guest_agent::CopiedFile> file = fetch(from_run_dir, from);
    if (!file) {
        complain(file.error().message());
        return 1;
    }
    if (const Status stored = store(to_run_dir, *file, to); !stored) {
        complain(stored.error().message());
        return 1;
    }
    return 0;
}

int run_verify(const topology::Model& model, const std::string& machine_name,
               const std::string& run_dir, bool json, verify::JunitMachine& report) {
    const TimePoint start = SteadyClock().now();
    report.name = machine_name;
    const topology::Machine* const machine = model.find_machine(machine_name);
    if (machine == nullptr) {
        report.error = fmt::format("{} has no machine {}", model.file_name, machine_name);
        report_error(report.error);
        return 2;
    }
    const Result<verify::Verdict> verdict = verify(*machine, run_dir);
    report.seconds = std::chrono::duration<double>(SteadyClock().now() - start).count();
    if (!verdict) {
        report.error = verdict.error().message();
        report_error(fmt::format("{}: {}", machine_name, report.error));
        return 2;
    }
    if (json) {
        if (!print_document(verify::verdict_json(*verdict))) return 2;
    } else if (const Status out = write_all(STDOUT_FILENO, verify::verdict_table(*verdict)); !out) {
        report_error(out.error().message());
        return 2;
    }
    if (!machine->kernel.image.empty() && lacks_driver(*verdict)) {
        complain(fmt::format("the image needs {}, loaded: see docs/verify.md", needs_of(*machine)));
    }
    report.verdict = *verdict;
    return verdict->agrees() ? 0 : 1;
}

}  // namespace mimic::machine
