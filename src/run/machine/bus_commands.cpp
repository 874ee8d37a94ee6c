// SPDX-License-Identifier: Apache-2.0
#include "machine/bus_commands.h"
#include "devices/all_models.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "base/command_report.h"
#include "base/interrupt.h"
#include "base/nearest.h"
#include "base/private_files.h"
#include "base/unique_fd.h"
#include "guest_image/guest_image.h"
#include "guest_image/host_tool.h"
#include "guest_image/initramfs.h"
#include "kernel_bus/file_tree.h"
#include "machine/bus_images.h"
#include "machine/kernel_json.h"
#include "machine/kernel_verify.h"
#include "topology/topology.h"
#include "verify/junit.h"
#include "verify/probe_settings.h"

namespace mimic::machine {
namespace {

Result<const topology::Machine*> choose(const topology::Model& model, const std::string& name) {
    if (name.empty() && model.machines.size() == 1) return &model.machines.front();
    if (const topology::Machine* const found = model.find_machine(name)) return found;
    std::vector<std::string> names;
    for (const auto& machine : model.machines) names.push_back(machine.name);
    if (name.empty()) {
        return fail(std::errc::invalid_argument, "{} has {} machines, say which: --machine {}",
                    model.file_name, names.size(), names.empty() ? "NAME" : names.front());
    }
    return fail(std::errc::invalid_argument, "{} has no machine {}{}", model.file_name, name,
                did_you_mean(name, names));
}

Status write_machine(const topology::Model& model, const TreeOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const topology::Machine* const machine, choose(model, options.machine));
    MIMIC_ASSIGN_OR_RETURN(const auto layout, kernel_bus::make_layout(*machine, options.vfs));
    MIMIC_ASSIGN_OR_RETURN(const auto images, make_images(layout));
    MIMIC_ASSIGN_OR_RETURN(const auto tree, kernel_bus::machine_tree(layout, images));
    return kernel_bus::write_tree(
        tree, options.dir,
        options.force ? kernel_bus::Existing::kReplace : kernel_bus::Existing::kRefuse);
}

constexpr size_t kMaxProbe = 32u << 20;

int say_failure(const Error& error, int status = 1) {
    report_error(error.message());
    return status;
}

/// The model that a command is about, and the plan of its machine, which borrows from it.
struct Planned {
    topology::Model model;
    kernel_bus::KernelPlan plan;
};

/// Errors are printed; nullptr then.
std::unique_ptr<Planned> plan_kernel(const KernelOptions& options) {
    auto loaded = topology::load(options.file, devices::all_models());
    if (!loaded) {
        report_text(topology::load_report(loaded.error()));
        return nullptr;
    }
    auto planned = std::make_unique<Planned>(Planned{std::move(*loaded), {}});
    const auto machine = choose(planned->model, options.machine);
    auto plan = machine ? kernel_bus::make_kernel_plan(**machine, options.plan)
                        : tl::unexpected<Error>(machine.error());
    if (!plan) {
        say_failure(plan.error());
        return nullptr;
    }
    planned->plan = std::move(*plan);
    return planned;
}

/// BAR0 of every function: PFs as they are without VFs, and all VFs.
Result<kernel_bus::Registers> registers_of(const topology::Machine& machine) {
    kernel_bus::Registers registers;
    for (const unsigned vfs : {kAllVfs, 0u}) {
        MIMIC_ASSIGN_OR_RETURN(const auto layout, kernel_bus::make_layout(machine, vfs));
        MIMIC_ASSIGN_OR_RETURN(auto images, make_images(layout));
        for (const kernel_bus::Node& node : layout.nodes) {
            if (node.function == nullptr) continue;
            registers[node.name] = std::move(images.at(node.bdf).registers);
        }
    }
    return registers;
}

Result<std::string> script_of(const Planned& planned) {
    MIMIC_ASSIGN_OR_RETURN(const auto registers, registers_of(*planned.plan.machine));
    return kernel_bus::kernel_script(planned.plan, registers);
}

/// A file without a name, which the program that we become inherits.
Result<int> open_script(const std::string& script) {
    // NOLINTNEXTLINE(android-cloexec-memfd-create): the shell reads it.
    UniqueFd fd(::memfd_create("mimic-kernel", 0));
    if (!fd) return fail_errno("cannot make a file in memory");
    for (size_t done = 0; done < script.size();) {
        const ssize_t count = ::write(fd.get(), script.data() + done, script.size() - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("cannot write the script");
        done += static_cast<size_t>(count);
    }
    return fd.release();
}

Error become_script(const KernelOptions& options, const std::string& script,
                    const std::string& action) {
    const auto fd = open_script(script);
    if (!fd) return fd.error();
    // NOLINTBEGIN(concurrency-mt-unsafe): we have one thread, and become another program.
    if (!options.module.empty()) ::setenv("MIMIC_MODULE", options.module.c_str(), 1);
    if (!options.driver_module.empty()) {
        ::setenv("MIMIC_DRIVER_MODULE", options.driver_module.c_str(), 1);
    }
    // NOLINTEND(concurrency-mt-unsafe)
    const std::string path = fmt::format("/proc/self/fd/{}", *fd);
    ::execl("/bin/sh", "sh", path.c_str(), action.c_str(), static_cast<char*>(nullptr));
    return Error::from_errno(errno, "/bin/sh");
}

Result<std::string> read_probe(const std::string& path) {
    UniqueFd fd(path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                            : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail_errno("{}", path);
    std::string text;
    std::string buffer(65536, '\0');
    for (;;) {
        const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("{}", path);
        if (count == 0) return text;
        text.append(buffer.data(), static_cast<size_t>(count));
        if (text.size() > kMaxProbe) return fail(std::errc::file_too_large, "{}: too long", path);
    }
}

Result<std::string> probe_text(const KernelOptions& options, const topology::Machine& machine) {
    if (!options.probe.empty()) return read_probe(options.probe);
    MIMIC_ASSIGN_OR_RETURN(const std::string path,
                           guest_image::find_support_file("guest/init/probe"));
    MIMIC_ASSIGN_OR_RETURN(const std::string script, guest_image::read_host_file(path, 1u << 20));
    MIMIC_ASSIGN_OR_RETURN(
        const std::string text,
        guest_image::run_tool({"/bin/sh", "-c", verify::probe_settings(machine) + script}, false));
    return text + "\n";
}

}  // namespace

int run_tree(const TreeOptions& options) {
    const auto model = topology::load(options.file, devices::all_models());
    if (!model) {
        fmt::print(stderr, "{}\n", topology::load_report(model.error()));
        return 1;
    }
    const Status written = write_machine(*model, options);
    return written ? 0 : say_failure(written.error());
}

int run_kernel_plan(const KernelOptions& options) {
    const auto planned = plan_kernel(options);
    if (!planned) return 1;
    const auto script = script_of(*planned);
    if (!script) return say_failure(script.error());
    const bool ok = std::fwrite(script->data(), 1, script->size(), stdout) == script->size() &&
                    std::fflush(stdout) == 0;
    if (!ok) report_lost_output();
    return ok ? 0 : 1;
}

int run_kernel_script(const KernelOptions& options, const std::string& action) {
    const auto planned = plan_kernel(options);
    if (!planned) return 1;
    const auto script = script_of(*planned);
    if (!script) return say_failure(script.error());
    return say_failure(become_script(options, *script, action));
}

int run_kernel_json(const KernelOptions& options, const std::string& action) {
    catch_interrupts();
    const auto planned = plan_kernel(options);
    if (!planned) return 1;
    const auto script = script_of(*planned);
    if (!script) return say_failure(script.error());
    const auto fd = open_script(*script);
    if (!fd) return say_failure(fd.error());
    return run_script_for_json({.machine = planned->plan.machine->name,
                                .script = UniqueFd(*fd),
                                .module = options.module,
                                .driver_module = options.driver_module},
                               action);
}

int run_kernel_verify(const KernelOptions& options) {
    const std::time_t started = std::time(nullptr);
    const auto planned = plan_kernel(options);
    if (!planned) return 2;
    const auto text = probe_text(options, kernel_bus::kernel_machine(planned->plan, {}));
    if (!text) return say_failure(text.error(), 2);
    const auto probe = verify::parse_probe(*text);
    if (!probe) return say_failure(probe.error(), 2);
    const KernelVerdict verdict = compare_with_kernel(planned->plan, *probe);
    const std::string out = options.json ? kernel_verdict_json(verdict)
                                         : kernel_verdict_table(verdict);
    if (!print_document(out)) return 2;
    if (!options.junit.empty()) {
        const Status written = write_public_file(
            options.junit,
            verify::junit_xml({{.name = planned->plan.machine->name, .verdict = verdict.verdict}},
                              started));
        if (!written) return say_failure(written.error(), 2);
    }
    return verdict.verdict.agrees() ? 0 : 1;
}

}  // namespace mimic::machine
