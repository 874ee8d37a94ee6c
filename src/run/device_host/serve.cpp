// SPDX-License-Identifier: Apache-2.0
// `mimic serve`: the functions of one machine of a topology file, without the machine.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <thread>

#include "base/nearest.h"
#include "base/private_files.h"
#include "base/unix_socket.h"
#include "device_host/device_factory.h"
#include "device_host/device_host.h"
#include "device_host/fabric_factory.h"
#include "devices/all_models.h"
#include "host/server.h"
#include "host/stop_signals.h"
#include "memory/process_limits.h"
#include "topology/topology.h"

namespace mimic::device_host {
namespace {

// More loops than this gain nothing: a device's clients wait for its guest most of the time.
// Arbitrary.
constexpr unsigned kMaxDefaultThreads = 8;

Result<const topology::Machine*> choose_machine(const topology::Model& model,
                                                const std::string& wanted) {
    std::vector<std::string> names;
    for (const auto& machine : model.machines) names.push_back(machine.name);
    if (wanted.empty() && names.size() == 1) return &model.machines.front();
    if (wanted.empty())
        return fail(std::errc::invalid_argument,
                    "the file has machines {}: choose one with --machine", fmt::join(names, ", "));
    if (const auto* machine = model.find_machine(wanted)) return machine;
    return fail(std::errc::invalid_argument, "the file has no machine \"{}\"{}", wanted,
                did_you_mean(wanted, names));
}

// What has sockets of its own: devices that are endpoints, and fabrics with all that is on them.
std::vector<std::string> servable(const topology::Machine& machine) {
    std::vector<std::string> names;
    for (const auto& device : machine.devices)
        if (!device.on_fabric) names.push_back(device.name);
    for (const auto& fabric : machine.fabrics) names.push_back(fabric.name);
    return names;
}

Result<std::vector<host::Endpoint>> make_endpoints(const topology::Machine& machine,
                                                   const ServeOptions& options) {
    const std::vector<std::string> names = servable(machine);
    for (const auto& wanted : options.devices)
        if (std::find(names.begin(), names.end(), wanted) == names.end())
            return fail(std::errc::invalid_argument, "machine {} has no device \"{}\"{}",
                        machine.name, wanted, did_you_mean(wanted, names));
    const auto is_wanted = [&](const std::string& name) {
        return options.devices.empty() || std::find(options.devices.begin(), options.devices.end(),
                                                    name) != options.devices.end();
    };
    std::vector<host::Endpoint> endpoints;
    for (const auto& fabric : machine.fabrics) {
        if (!is_wanted(fabric.name)) continue;
        host::Endpoint endpoint;
        MIMIC_ASSIGN_OR_RETURN(auto vmd, make_fabric(machine, fabric));
        endpoint.fabric = &vmd->fabric();
        endpoint.place = {fabric.numa_node, fabric.bdf.str(), fabric.domain};
        endpoint.function = std::move(vmd);
        endpoint.socket_path = options.run_dir + "/" + fabric.name + ".sock";
        endpoints.push_back(std::move(endpoint));
    }
    for (const auto& device : machine.devices) {
        if (device.on_fabric || device.is_external() || !is_wanted(device.name)) continue;
        for (const auto& function : device.functions) {
            host::Endpoint endpoint;
            if (device.is_vhost_user()) {
                MIMIC_ASSIGN_OR_RETURN(endpoint.device, make_virtio(device));
            } else {
                MIMIC_ASSIGN_OR_RETURN(endpoint.function, make_function(device, function));
            }
            endpoint.place = {device.numa_node, function.bdf.str(), 0};
            endpoint.socket_path = options.run_dir + "/" + function.name + ".sock";
            endpoints.push_back(std::move(endpoint));
        }
    }
    return endpoints;
}

Status say_ready(int fd, size_t count) {
    const std::string line = fmt::format("ready {} function{}\n", count, count == 1 ? "" : "s");
    const int target = fd >= 0 ? fd : STDOUT_FILENO;
    if (::write(target, line.data(), line.size()) < 0) return fail_errno("cannot say ready");
    if (fd >= 0) ::close(fd);
    return {};
}

// A dump can be replayed as long as it says what machine it is from.
trace::TraceHeader dump_header(const topology::Machine& machine, const ServeOptions& options) {
    trace::TraceHeader header;
    header.mimic = MIMIC_VERSION;
    header.machine = machine.name;
    if (auto text = read_small_file(options.file)) header.topology = std::move(*text);
    for (const auto& device : machine.devices)
        for (const auto& function : device.functions) header.devices.push_back(function.name);
    return header;
}

// Makes the folder of the sockets, and those above it, for us alone; one that is there stays as it
// is.
Status make_run_dir(const std::string& path) {
    for (size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
        const std::string part = path.substr(0, at);
        if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST)
            return fail_errno("cannot make the folder {}", part);
        if (at == std::string::npos) return {};
    }
}

// Paths that devices' settings name, as seen from the file's folder. A file is not believed enough
// to start programs: its user must say so.
Status place_settings(topology::Model& model, const ServeOptions& options) {
    const size_t slash = options.file.rfind('/');
    const std::string folder = !options.folder.empty()      ? options.folder
                               : slash == std::string::npos ? "."
                                                            : options.file.substr(0, slash);
    for (topology::Machine& machine : model.machines) {
        for (topology::DeviceSpec& device : machine.devices) {
            for (topology::FunctionSpec& function : device.functions) {
                const std::string program = model::named_program(function.settings);
                if (!program.empty() && !options.allow_commands) {
                    return fail(std::errc::operation_not_permitted,
                                "{}: the file starts the program {}; if you trust it: "
                                "--allow-commands",
                                device.name, program);
                }
                model::place_paths(function.settings, folder);
            }
        }
    }
    return {};
}

Status serve(const ServeOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(auto model, topology::load(options.file, devices::all_models()));
    MIMIC_TRY(place_settings(model, options));
    MIMIC_ASSIGN_OR_RETURN(const auto* machine, choose_machine(model, options.machine));
    MIMIC_ASSIGN_OR_RETURN(auto endpoints, make_endpoints(*machine, options));
    MIMIC_TRY(make_run_dir(options.run_dir));
    const size_t count = endpoints.size();
    unsigned threads = options.threads;
    if (threads == 0)
        threads = static_cast<unsigned>(
            std::min<size_t>({std::max(1u, std::thread::hardware_concurrency()), kMaxDefaultThreads,
                              std::max<size_t>(1, count)}));
    raise_descriptor_limit();

    const host::StopSignals stop;
    MIMIC_ASSIGN_OR_RETURN(
        const auto server,
        host::Server::create(
            std::move(endpoints),
            {.threads = threads,
             .spin = std::chrono::microseconds(options.spin_us),
             .session = {.message_timeout = std::chrono::seconds(options.message_timeout_s)},
             .machine = machine->name,
             .control_socket = options.control,
             .crash_note = crash_note_path(options.run_dir, ::getpid()),
             .trace_bytes = options.trace_bytes,
             .dump_dir = options.dump_dir,
             .dump_header = dump_header(*machine, options)}));
    MIMIC_TRY(say_ready(options.ready_fd, count));
    stop.wait();
    return {};
}

}  // namespace

std::string crash_note_path(const std::string& run_dir, pid_t pid) {
    return fmt::format("{}/crashed-{}", run_dir, pid);
}

std::string control_socket_path(const std::string& run_dir, size_t index) {
    return fmt::format("{}/control-{}.sock", run_dir, index);
}

int run_serve(const ServeOptions& options) {
    const auto served = serve(options);
    if (served) return 0;
    std::fputs(fmt::format("mimic: error: {}\n", served.error().message()).c_str(), stderr);
    return 1;
}

}  // namespace mimic::device_host
