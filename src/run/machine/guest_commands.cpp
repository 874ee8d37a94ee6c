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
#include "guest_image/cache_file.h"
#include "guest_image/guest_image.h"
#include "guest_image/initramfs.h"
#include "machine/exec_command.h"
#include "topology/topology.h"
#include "verify/probe_settings.h"
#include "verify/verify.h"

namespace mimic::machine {
namespace {

using std::chrono::seconds;

constexpr auto kProbe = seconds(120);  // 4096 functions under an emulated CPU

void complain(std::string_view message) {
    // Much of it is what a guest said.
    fmt::print(stderr, "mimic: {}\n", terminal_lines(message));
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
    Result<std::unique_ptr<guest_agent::GuestAgent>> agent = connect_to_agent(run_dir);
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

verify::JunitMachine ask_verify(const topology::Model& model, const std::string& machine_name,
                                const std::string& run_dir) {
    const TimePoint start = SteadyClock().now();
    verify::JunitMachine report{.name = machine_name};
    const topology::Machine* const machine = model.find_machine(machine_name);
    if (machine == nullptr) {
        report.error = fmt::format("{} has no machine {}", model.file_name, machine_name);
        return report;
    }
    auto verdict = verify(*machine, run_dir);
    report.seconds = std::chrono::duration<double>(SteadyClock().now() - start).count();
    if (verdict)
        report.verdict = std::move(*verdict);
    else
        report.error = verdict.error().message();
    return report;
}

int run_verify(const topology::Model& model, const std::string& machine_name,
               const std::string& run_dir, bool json, verify::JunitMachine& report) {
    report = ask_verify(model, machine_name, run_dir);
    if (!report.error.empty()) {
        report_error(fmt::format("{}: {}", machine_name, report.error));
        return 2;
    }
    const verify::Verdict& verdict = report.verdict;
    if (json) {
        if (!print_document(verify::verdict_json(verdict))) return 2;
    } else if (const Status out = write_all(STDOUT_FILENO, verify::verdict_table(verdict)); !out) {
        report_error(out.error().message());
        return 2;
    }
    const topology::Machine& machine = *model.find_machine(machine_name);
    if (!machine.kernel.image.empty() && lacks_driver(verdict)) {
        complain(fmt::format("the image needs {}, loaded: see docs/verify.md", needs_of(machine)));
    }
    return verdict.agrees() ? 0 : 1;
}

}  // namespace mimic::machine
