// SPDX-License-Identifier: Apache-2.0
#include "cli/clone_command.h"
#include "devices/all_models.h"

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/command_report.h"
#include "base/private_files.h"
#include "device_host/device_factory.h"
#include "device_host/fabric_factory.h"
#include "dump/clone.h"
#include "topology/topology.h"

namespace mimic::cli {
namespace {

struct CloneArguments {
    std::string dump;
    std::string tree;
    std::string out;
    std::string attach = "auto";
    std::string machine = "clone";
    std::vector<std::string> only;
};

int complain(const Error& error) {
    std::fputs(fmt::format("mimic: error: {}\n", error.message()).c_str(), stderr);
    return 1;
}

int complain(const std::vector<dump::Problem>& problems, const std::string& file) {
    std::fputs(dump::problem_text(problems, file).c_str(), stderr);
    return 1;
}

Result<std::string> read_text(const std::string& path) {
    const bool is_stdin = path == "-";
    std::FILE* const file = is_stdin ? stdin : std::fopen(path.c_str(), "rbe");
    if (file == nullptr) return fail_errno("cannot open {}", path);
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> closer(
        file, is_stdin ? [](std::FILE*) { return 0; } : &std::fclose);
    std::string text;
    std::string part(1 << 16, '\0');
    while (text.size() <= dump::kMaxDumpBytes) {  // one more, and the parser says that it is long
        errno = 0;
        const size_t size = std::fread(part.data(), 1, part.size(), file);
        if (size == 0 && std::ferror(file) != 0) return fail_errno("cannot read {}", path);
        if (size == 0) break;
        text.append(part, 0, size);
    }
    return text;
}

/// Makes what `mimic up` would make, so that no file is written that it would refuse.
Status try_devices(const std::string& yaml) {
    const auto model = topology::parse(yaml, "the clone", devices::all_models());
    if (!model) return fail(std::errc::invalid_argument, "{}", model.error().str());
    for (const auto& machine : model->machines) {
        for (const auto& fabric : machine.fabrics) {
            MIMIC_TRY(device_host::make_fabric(machine, fabric));
        }
        for (const auto& device : machine.devices) {
            if (device.on_fabric) continue;
            for (const auto& function : device.functions) {
                MIMIC_TRY(device_host::make_function(device, function));
            }
        }
    }
    return {};
}

/// "endpoint" is the old word for "root-port".
dump::Attach attach_of(const std::string& word) {
    if (word == "fabric") return dump::Attach::kFabric;
    return word == "auto" ? dump::Attach::kAuto : dump::Attach::kRootPort;
}

int write_out(const std::string& path, const std::string& text) {
    if (path.empty() || path == "-") {
        const bool ok = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
                        std::fflush(stdout) == 0;
        if (!ok) report_lost_output();
        return ok ? 0 : 1;
    }
    const auto written = write_public_file(path, text);
    return written ? 0 : complain(written.error());
}

int run_clone(const CloneArguments& arguments) {
    const std::string name = arguments.dump == "-" ? "<stdin>" : arguments.dump;
    auto text = read_text(arguments.dump);
    if (!text) return complain(text.error());
    if (!arguments.tree.empty()) {
        const auto tree = read_text(arguments.tree);
        if (!tree) return complain(tree.error());
        *text += "\n\n" + *tree;
    }
    const auto dump = dump::parse_dump(*text);
    if (!dump) return complain(dump.error(), name);

    dump::CloneOptions options;
    options.machine = arguments.machine;
    options.models = devices::all_models();
    options.attach = attach_of(arguments.attach);
    for (const std::string& one : arguments.only) {
        const auto address = dump::parse_address(one);
        if (!address) {
            std::fputs(
                fmt::format("mimic: --only {}: expected an address such as 01:00.0\n", one).c_str(),
                stderr);
            return 2;
        }
        options.only.push_back(*address);
    }
    const auto cloned = dump::make_clone(*dump, options);
    if (!cloned) return complain(cloned.error(), name);
    if (const Status made = try_devices(cloned->yaml); !made) return complain(made.error());
    for (const std::string& loss : cloned->losses) {
        std::fputs(fmt::format("mimic: not cloned: {}\n", loss).c_str(), stderr);
    }
    std::fputs(
        fmt::format("mimic: {} function{} and {} port{} cloned\n", cloned->functions,
                    cloned->functions == 1 ? "" : "s", cloned->ports, cloned->ports == 1 ? "" : "s")
            .c_str(),
        stderr);
    return write_out(arguments.out, cloned->yaml);
}

}  // namespace

void add_clone_command(CLI::App& app, Action& action) {
    auto arguments = std::make_shared<CloneArguments>();
    auto* clone = app.add_subcommand(
        "clone", "Make a topology file with clones of real devices from lspci's output");
    clone
        ->add_option("FILE", arguments->dump,
                     "Output of lspci -vvvnnxxxx, run as root on the machine with the devices; "
                     "that of lspci -t may stand behind it; - for standard input")
        ->required();
    clone->add_option("--tree", arguments->tree, "Output of lspci -t, if in a file of its own");
    clone->add_option("-o,--output", arguments->out, "Topology file in place of standard output");
    clone->add_option("--machine", arguments->machine, "Name of the machine in the file (clone)");
    clone
        ->add_option("--only", arguments->only,
                     "Only the device at this address (01:00.0), with all its functions; may be "
                     "repeated")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    clone
        ->add_option("--attach", arguments->attach,
                     "root-port: below a root port of QEMU's; fabric: in a PCI domain of Mimic's, "
                     "with SR-IOV; auto (default): fabric if there are bridges or SR-IOV")
        ->check(CLI::IsMember({"auto", "root-port", "endpoint", "fabric"}));
    clone->footer(
        "What cannot be cloned is listed on standard error and at the head of the file.\n"
        "Then: mimic up FILE. All about it: docs/clone.md");
    clone->callback(
        [arguments, &action] { action = [arguments] { return run_clone(*arguments); }; });
}

}  // namespace mimic::cli
