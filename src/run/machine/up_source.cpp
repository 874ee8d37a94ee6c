// SPDX-License-Identifier: Apache-2.0
#include "machine/up_source.h"
#include "devices/all_models.h"

#include <algorithm>
#include <filesystem>

#include "base/private_files.h"
#include "base/terminal_text.h"
#include "machine/host_folders.h"
#include "topology/arch.h"
#include "topology/topology.h"

namespace mimic::machine {
namespace {

Status override_kernel(topology::Model& model, const std::string& kernel) {
    for (auto& machine : model.machines) {
        if (!machine.kernel.image.empty())
            return fail(std::errc::invalid_argument,
                        "mimic: error: machine {} boots an image; --kernel does not apply",
                        machine.name);
        machine.kernel.file = {};
        if (kernel.find('/') != std::string::npos) {
            std::error_code error;
            machine.kernel.release.clear();
            machine.kernel.file.path = std::filesystem::absolute(kernel, error).string();
            continue;
        }
        if (const auto problem = topology::kernel_problem(machine.arch, kernel))
            return fail(std::errc::invalid_argument, "mimic: error: machine {}: {}", machine.name,
                        *problem);
        machine.kernel.release = kernel;
    }
    return {};
}

/// What the command line adds to the file's machines.
Status add_host_folders(topology::Model& model, const UpOptions& options) {
    for (topology::Machine& machine : model.machines) {
        for (const std::string& folder : options.modules) {
            std::error_code error;
            if (!machine.kernel.image.empty())
                return fail(std::errc::invalid_argument,
                            "mimic: error: machine {} boots an image; --modules does not apply",
                            machine.name);
            machine.kernel.modules.push_back(
                {std::filesystem::absolute(folder, error).string(), {}});
        }
        for (const std::string& text : options.shares) {
            auto share = parse_share(text);
            if (!share)
                return tl::unexpected(
                    std::move(share).error().with_context("mimic: error: --share"));
            std::erase_if(machine.shares,
                          [&](const topology::Share& old) { return old.guest == share->guest; });
            machine.shares.push_back(std::move(*share));
        }
        if (machine.shares.size() > topology::kMaxShares ||
            (!machine.shares.empty() && machine.time == topology::GuestTime::kLockStep))
            return fail(
                std::errc::invalid_argument,
                "mimic: error: machine {} with {} shares; expected at most {}, and none with "
                "time: lock-step",
                machine.name, machine.shares.size(), topology::kMaxShares);
    }
    return {};
}

constexpr uint64_t kMemoryStep = 1u << 20;  // QEMU's -m is told mebibytes

/// A machine with less memory than `least` gets so much, each NUMA node the share that it has.
void raise_memory(topology::Machine& machine, uint64_t least) {
    if (machine.memory == 0 || machine.memory >= least) return;
    const auto factor = static_cast<double>(least) / static_cast<double>(machine.memory);
    machine.memory = 0;
    for (topology::NumaNode& node : machine.nodes) {
        const auto wanted = static_cast<uint64_t>(static_cast<double>(node.memory) * factor);
        node.memory = (wanted + kMemoryStep - 1) / kMemoryStep * kMemoryStep;
        machine.memory += node.memory;
    }
}

Status keep_machine_number(topology::Model& model, unsigned number) {
    if (number >= model.machines.size())
        return fail(std::errc::invalid_argument,
                    "mimic: error: the file has {} machine{}, none with number {}",
                    model.machines.size(), model.machines.size() == 1 ? "" : "s", number);
    topology::Machine kept = std::move(model.machines[number]);
    model.machines.clear();
    model.machines.push_back(std::move(kept));
    return {};
}

Status refuse(const std::string& device, const std::string& program) {
    return fail(std::errc::operation_not_permitted,
                "mimic: error: {}: the file starts the program {}; if you trust it: "
                "mimic up --allow-commands",
                device, program);
}

/// Paths of external servers as seen from the file's folder. A file is not believed enough to start
/// programs: its user must say so.
Status place_servers(UpSource& source, const UpOptions& options) {
    const auto below = [&](std::string& path) {
        if (!path.starts_with('/') && path.find('/') != std::string::npos)
            path = source.folder + "/" + path;
    };
    for (topology::Machine& machine : source.model.machines) {
        for (topology::DeviceSpec& device : machine.devices) {
            const std::string program = model::named_program(device.functions.front().settings);
            if (!program.empty() && !options.allow_commands) return refuse(device.name, program);
            if (!device.is_external()) continue;
            model::ExternalSpec& external = *device.functions.front().external;
            if (!external.socket.empty() && !external.socket.starts_with('/'))
                external.socket = source.folder + "/" + external.socket;
            if (external.command.empty()) continue;
            if (!options.allow_commands) return refuse(device.name, external.command.front());
            below(external.command.front());
        }
    }
    return {};
}

/// What a later restore is told, from whichever folder it is asked for.
BootChoices choices_of(const UpOptions& options, const std::string& folder) {
    const auto absolute = [](const std::string& path) {
        std::error_code ignored;
        return std::filesystem::absolute(path, ignored).string();
    };
    BootChoices choices{.kernel = options.kernel,
                        .modules = options.modules,
                        .shares = options.shares,
                        .allow_shares = options.allow_shares,
                        .folder = folder,
                        .qemu_args = options.qemu_args,
                        .allow_commands = options.allow_commands};
    if (choices.kernel.find('/') != std::string::npos) choices.kernel = absolute(choices.kernel);
    for (std::string& path : choices.modules) path = absolute(path);
    for (std::string& share : choices.shares)
        if (!share.starts_with('/')) share = absolute(share);
    return choices;
}

/// What the boot was allowed is said again: a folder is not believed that its user once said so.
Status check_snapshot_trust(const UpOptions& options, const SnapshotManifest& manifest) {
    if (options.allow_commands) return {};
    if (manifest.choices.allow_commands)
        return fail(std::errc::operation_not_permitted,
                    "the file of {} starts programs; if you trust it: --allow-commands",
                    options.file);
    if (!manifest.choices.qemu_args.empty())
        return fail(std::errc::operation_not_permitted,
                    "{} gives its QEMU arguments of its own ({}); if you trust it: "
                    "--allow-commands",
                    options.file, terminal_text(manifest.choices.qemu_args.front()));
    return {};
}

/// Nor that its shares were looked at, whose folders are those of the machine then.
Status check_snapshot_shares(const UpOptions& options, const topology::Model& model) {
    for (const topology::Machine& machine : model.machines)
        if (!machine.shares.empty() && !options.allow_shares)
            return fail(std::errc::operation_not_permitted,
                        "the machine of {} has folders of this host, {} among them; if you trust "
                        "it: --allow-shares",
                        options.file, terminal_text(machine.shares.front().host.path));
    return {};
}

/// A snapshot is one machine as it was: what changes a machine does not apply.
Status check_snapshot_options(const UpOptions& options, const SnapshotManifest& manifest) {
    const auto refuse = [&](std::string_view option) {
        return fail(std::errc::invalid_argument,
                    "{} is a snapshot of a machine as it was; {} does not apply", options.file,
                    option);
    };
    if (!options.parameters.empty()) return refuse("--set");
    if (!options.kernel.empty()) return refuse("--kernel");
    if (!options.modules.empty()) return refuse("--modules");
    if (!options.shares.empty()) return refuse("--share");
    if (!options.qemu_args.empty()) return refuse("--qemu-arg");
    if (options.machine_number) return refuse("--machine-number");
    if (!options.accel.empty() && options.accel != manifest.accel) return refuse("another --accel");
    if (!options.machine.empty() && options.machine != manifest.machine)
        return fail(std::errc::invalid_argument, "{} is a snapshot of machine {}, not of {}",
                    options.file, manifest.machine, options.machine);
    return check_snapshot_trust(options, manifest);
}

Result<UpSource> load_snapshot_source(const UpOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(auto manifest, read_snapshot(options.file));
    MIMIC_TRY(check_snapshot_options(options, manifest));
    UpSource source;
    std::error_code error;
    source.path = std::filesystem::absolute(snapshot_topology_path(options.file), error).string();
    source.folder = manifest.choices.folder;
    source.choices = manifest.choices;
    MIMIC_ASSIGN_OR_RETURN(source.text, read_small_file(source.path));
    auto model = topology::parse(source.text, source.path, devices::all_models());
    if (!model) return fail(std::errc::invalid_argument, "{}", model.error().str());
    source.model = std::move(*model);
    MIMIC_TRY(topology::keep_machine(source.model, manifest.machine));
    UpOptions told;
    told.modules = source.choices.modules;
    told.shares = source.choices.shares;
    if (!source.choices.kernel.empty())
        MIMIC_TRY(override_kernel(source.model, source.choices.kernel));
    MIMIC_TRY(add_host_folders(source.model, told));
    MIMIC_TRY(check_snapshot_shares(options, source.model));
    source.choices.allow_shares = options.allow_shares;
    MIMIC_TRY(place_servers(source, options));
    source.snapshot = std::move(manifest);
    return source;
}

}  // namespace

std::string UpSource::resolve(const std::string& name) const {
    return name.starts_with('/') ? name : folder + "/" + name;
}

Result<UpSource> load_up_source(const UpOptions& options) {
    UpSource source;
    if (options.file != "-" && is_snapshot_folder(options.file)) {
        auto snapshot = load_snapshot_source(options);
        if (!snapshot)
            return tl::unexpected(std::move(snapshot).error().with_context("mimic: error"));
        return snapshot;
    }
    std::error_code error;
    const auto here = std::filesystem::current_path(error).string();
    const bool is_stdin = options.file == "-";
    source.path = is_stdin                        ? "<stdin>"
                  : options.file.starts_with('/') ? options.file
                                                  : here + "/" + options.file;
    source.folder = is_stdin ? here : source.path.substr(0, source.path.rfind('/'));
    auto text = read_small_file(is_stdin ? "/dev/stdin" : options.file);
    if (!text) return tl::unexpected(std::move(text).error().with_context("mimic: error"));
    auto replaced = topology::replace_parameters(*text, options.parameters);
    if (!replaced)
        return tl::unexpected(
            std::move(replaced).error().with_context("mimic: error: " + source.path));
    // What ran, for whoever reads the copy in the machine's folder.
    source.text = std::move(*replaced);
    auto model = topology::parse(source.text, is_stdin ? source.path : options.file,
                                 devices::all_models());
    if (!model) return fail(std::errc::invalid_argument, "{}", model.error().str());
    source.model = std::move(*model);
    for (const std::string& note : source.model.notes)
        fmt::print(stderr, "mimic: note: {}\n", note);
    if (!options.machine.empty()) {
        if (Status kept = topology::keep_machine(source.model, options.machine); !kept)
            return tl::unexpected(std::move(kept).error().with_context("mimic: error"));
    }
    if (options.machine_number)
        MIMIC_TRY(keep_machine_number(source.model, *options.machine_number));
    if (!options.kernel.empty()) MIMIC_TRY(override_kernel(source.model, options.kernel));
    MIMIC_TRY(add_host_folders(source.model, options));
    for (topology::Machine& machine : source.model.machines)
        raise_memory(machine, options.min_memory);
    MIMIC_TRY(place_servers(source, options));
    source.choices = choices_of(options, source.folder);
    return source;
}

}  // namespace mimic::machine
