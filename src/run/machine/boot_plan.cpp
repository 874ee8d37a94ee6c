// SPDX-License-Identifier: Apache-2.0
#include "machine/boot_plan.h"
#include "outputs/outputs.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "base/private_files.h"
#include "device_host/device_host.h"
#include "guest_image/cloud_init.h"
#include "guest_image/initramfs.h"
#include "machine/log_keeper.h"
#include "machine/process.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;

constexpr size_t kMaxInitramfs = 1u << 30;   // arbitrary; ours have 20 MiB
constexpr size_t kMaxFirmware = 16u << 20;   // arbitrary; OVMF's variables have 540 kB
constexpr uint64_t kMinLogSpace = 1u << 20;  // a boot prints about 30 KiB

sockaddr_in loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/// Why a machine that boots like this cannot be saved, or nothing. Devices are their own affair.
std::string snapshot_problem(const topology::Machine& machine, const BootOptions& options) {
    if (!machine.kernel.image.empty())
        return "a machine that boots an image has a disk, which a snapshot would not hold";
    if (!options.root_disk.empty() || options.network.subnet != 0)
        return "a machine with a disk or a network, as those of a cluster, cannot be saved";
    if (machine.time == topology::GuestTime::kLockStep)
        return "a machine in lock-step begins each run at its boot: a snapshot would be another "
               "run";
    return "";
}

}  // namespace

std::string utc_now() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text.data();
}

Result<uint16_t> free_port() {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
        return fail_errno("no free TCP port");
    return ntohs(address.sin_port);
}

BootPlanner::BootPlanner(const topology::Machine& machine, const BootOptions& options,
                         const std::string& run_dir)
    : machine_(machine),
      options_(options),
      run_dir_(run_dir),
      context_(outputs::default_context(machine, run_dir)) {}

Result<LaunchPlan> BootPlanner::make() {
    auto made = make_all();
    if (!made)
        for (const auto& file : plan_.temporary_files) ::unlink(file.c_str());
    return made;
}

Result<LaunchPlan> BootPlanner::make_all() {
    MIMIC_TRY(check_socket_paths());
    MIMIC_TRY(make_log_folder());
    MIMIC_TRY(write_copies());
    context_.qemu = options_.qemu.program;
    context_.accel = options_.accel;
    context_.extra_qemu_args = options_.qemu_args;
    if (!options_.incoming.empty())
        context_.extra_qemu_args.insert(context_.extra_qemu_args.end(), {"-incoming", "defer"});
    if (options_.gdb != Gdb::kNo) context_.gdb_socket = gdb_socket_path(run_dir_);
    context_.gdb_waits = options_.gdb == Gdb::kWait;
    context_.console_log = plan_.state_dir + "/console.log";
    context_.append_console = true;  // the supervisor's LogKeeper empties it
    context_.pid_file.clear();       // the supervisor knows its child
    if (machine_.kernel.image.empty()) {
        MIMIC_TRY(prepare_kernel());
        context_.root_disk = options_.root_disk;
        context_.root_files = options_.root_files;
        context_.network = options_.network;
    } else {
        MIMIC_TRY(prepare_disk());
    }
    context_.shared_folders = options_.shared_folders;
    MIMIC_ASSIGN_OR_RETURN(const auto arguments, outputs::qemu_args(machine_, context_));
    plan_.qemu = {context_.qemu};
    const auto& extra = options_.qemu_args;
    // Whoever needs a QEMU that starts programs says so: --qemu-arg -sandbox --qemu-arg off.
    if (options_.qemu.sandbox && std::find(extra.begin(), extra.end(), "-sandbox") == extra.end())
        plan_.qemu.insert(plan_.qemu.end(), {"-sandbox", kQemuSandbox});
    plan_.qemu.insert(plan_.qemu.end(), arguments.begin(), arguments.end());
    plan_.qmp_socket = context_.qmp_socket;
    if (machine_.time != topology::GuestTime::kLockStep)
        plan_.stream_socket = context_.stream_socket;
    plan_.device_hosts = device_hosts();
    plan_.choices = options_.choices;
    plan_.no_snapshot = snapshot_problem(machine_, options_);

    plan_.state.name = machine_.name;
    plan_.state.file = options_.file;
    plan_.state.accel = options_.accel == topology::Accel::kKvm ? "kvm" : "tcg";
    plan_.state.kernel = machine_.kernel.name();
    plan_.state.started = utc_now();
    for (const auto& device : machine_.devices)
        plan_.state.functions += static_cast<unsigned>(device.functions.size());
    return plan_;
}

Status BootPlanner::check_socket_paths() const {
    std::string longest = context_.console_socket;
    for (const auto& [name, path] : context_.device_sockets)
        if (path.size() > longest.size()) longest = path;
    const std::string control = device_host::control_socket_path(run_dir_, machine_.devices.size());
    if (control.size() > longest.size()) longest = control;
    if (longest.size() <= kMaxSocketPath) return {};
    return fail(std::errc::filename_too_long,
                "socket paths would be too long: {} has {} bytes, at most {} fit. Set "
                "XDG_RUNTIME_DIR to a shorter folder",
                longest, longest.size(), kMaxSocketPath);
}

Status BootPlanner::make_log_folder() {
    MIMIC_ASSIGN_OR_RETURN(const auto root, state_root_path());
    plan_.state_dir = root + "/" + machine_.name;
    MIMIC_TRY(make_dirs(plan_.state_dir));
    MIMIC_TRY(check_owner(plan_.state_dir, "set XDG_STATE_HOME to a folder of your own"));
    struct statvfs disk {};
    // A log that cannot be written says nothing of the crash that it is there for.
    if (::statvfs(plan_.state_dir.c_str(), &disk) == 0 &&
        uint64_t{disk.f_bavail} * disk.f_frsize < kMinLogSpace)
        return fail(std::errc::no_space_on_device, "No space left for logs in {} (less than 1 MiB)",
                    plan_.state_dir);
    for (const auto& log : log_paths(plan_.state_dir)) {
        ::unlink(log.c_str());
        ::unlink(old_log(log).c_str());
    }
    for (const char* name : {"/exit-reason", "/ended.json"})
        ::unlink((plan_.state_dir + name).c_str());
    return {};
}

Status BootPlanner::write_copies() const {
    MIMIC_TRY(write_file_atomically(run_dir_ + "/topology.yaml", options_.topology_text));
    topology::Model model;
    model.file_name = options_.file;
    model.machines.push_back(machine_);
    return write_file_atomically(run_dir_ + "/plan.json", outputs::tree_json(model));
}

/// What of the kernel and initramfs is the user's is put beside the logs, for as long as the
/// machine lives.
Status BootPlanner::prepare_kernel() {
    context_.kernel = options_.image.kernel;
    context_.initrd = options_.image.initrd;
    context_.modules_folder = options_.own.modules_folder;
    if (!options_.own.kernel.empty()) {
        context_.kernel = plan_.state_dir + "/vmlinux";
        plan_.temporary_files.push_back(context_.kernel);
        MIMIC_TRY(publish_file(context_.kernel,
                               [&](int fd) { return write_all(fd, options_.own.kernel); }));
    }
    if (options_.own.archive.empty()) return {};
    MIMIC_ASSIGN_OR_RETURN(const std::string first,
                           guest_image::read_host_file(options_.image.initrd, kMaxInitramfs));
    context_.initrd = plan_.state_dir + "/initrd";
    plan_.temporary_files.push_back(context_.initrd);
    MIMIC_TRY(publish_file(context_.initrd, [&](int fd) {
        const Status begun = write_all(fd, first);
        return begun ? write_all(fd, options_.own.archive) : begun;
    }));
    std::string absent;
    for (const std::string& driver : options_.own.absent_drivers) absent += driver + "\n";
    return write_file_atomically(run_dir_ + "/absent-drivers", absent);
}

Status BootPlanner::prepare_disk() {
    context_.disk = plan_.state_dir + "/disk.qcow2";
    plan_.temporary_files.push_back(context_.disk);
    context_.disk_base = options_.disk_image.path;
    MIMIC_TRY(make_overlay(options_.qemu, options_.disk_image, context_.disk));
    if (!options_.firmware.code.empty()) {
        context_.firmware_code = options_.firmware.code;
        context_.firmware_variables = plan_.state_dir + "/uefi-variables.fd";
        plan_.temporary_files.push_back(context_.firmware_variables);
        MIMIC_ASSIGN_OR_RETURN(
            const std::string variables,
            guest_image::read_host_file(options_.firmware.variables, kMaxFirmware));
        MIMIC_TRY(publish_file(context_.firmware_variables,
                               [&](int fd) { return write_all(fd, variables); }));
    }
    MIMIC_ASSIGN_OR_RETURN(context_.seed_iso,
                           guest_image::make_cloud_init_seed(machine_, run_dir_));
    MIMIC_ASSIGN_OR_RETURN(context_.ssh_port, free_port());
    plan_.state.ssh_port = context_.ssh_port;
    plan_.shut_down_guest = true;
    return {};
}

std::vector<DeviceHostPlan> BootPlanner::device_hosts() const {
    std::vector<std::string> base{self_path(), "serve",       run_dir_ + "/topology.yaml",
                                  "--machine", machine_.name, "--run-dir",
                                  run_dir_};
    if (!options_.folder.empty()) base.insert(base.end(), {"--folder", options_.folder});
    if (options_.allow_commands) base.emplace_back("--allow-commands");
    std::vector<DeviceHostPlan> hosts;
    std::vector<std::string> shared;
    size_t sharing = 0;
    size_t all = 0;
    const auto add = [&](const std::string& name, topology::Isolation isolation) {
        ++all;
        if (isolation == topology::Isolation::kShared) {
            ++sharing;
            shared.insert(shared.end(), {"--device", name});
            return;
        }
        hosts.push_back({base});
        hosts.back().argv.insert(hosts.back().argv.end(), {"--device", name});
    };
    for (const auto& device : machine_.devices)
        if (!device.on_fabric && !device.is_external()) add(device.name, device.isolation);
    for (const auto& fabric : machine_.fabrics) add(fabric.name, fabric.isolation);
    if (!shared.empty()) {
        hosts.push_back({base});
        // All of them is the default, and a short command line.
        if (sharing != all)
            hosts.back().argv.insert(hosts.back().argv.end(), shared.begin(), shared.end());
    }
    for (size_t i = 0; i < hosts.size(); ++i)
        hosts[i].argv.insert(hosts[i].argv.end(),
                             {"--control", device_host::control_socket_path(run_dir_, i),
                              "--dump-dir", plan_.state_dir});
    for (const auto& device : machine_.devices) add_server(device, hosts);
    return hosts;
}

/// The server of the user's that an external device names by a command.
void BootPlanner::add_server(const topology::DeviceSpec& device,
                             std::vector<DeviceHostPlan>& hosts) const {
    constexpr std::string_view kSocketWord = "{socket}";
    if (!device.is_external() || device.functions.front().external->command.empty()) return;
    const std::string& socket = context_.device_sockets.at(device.name);
    DeviceHostPlan host{
        .argv = device.functions.front().external->command, .name = device.name, .socket = socket};
    for (std::string& word : host.argv) {
        for (size_t at = word.find(kSocketWord); at != std::string::npos;
             at = word.find(kSocketWord, at + socket.size()))
            word.replace(at, kSocketWord.size(), socket);
    }
    hosts.push_back(std::move(host));
}

std::string ssh_command(const std::string& run_dir, uint16_t port) {
    // Every machine has a new host key at a port that others had before.
    return fmt::format(
        "ssh -i {}/ssh_key -p {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
        "root@127.0.0.1",
        run_dir, port);
}

bool answers_ssh(uint16_t port) {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(port);
    if (!fd ||
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return false;
    // QEMU's user network accepts before the guest does: only the banner proves anything.
    pollfd readable{.fd = fd.get(), .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, 1000) <= 0) return false;
    std::array<char, 4> banner{};
    return ::recv(fd.get(), banner.data(), banner.size(), MSG_WAITALL) == 4 &&
           std::string_view(banner.data(), 4) == "SSH-";
}

}  // namespace mimic::machine
