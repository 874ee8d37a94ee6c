// SPDX-License-Identifier: Apache-2.0
#include "machine/prepare_plan.h"
#include "devices/all_models.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <map>

#include "base/private_files.h"
#include "base/unique_fd.h"
#include "guest_image/cloud_init.h"
#include "guest_image/guest_image.h"
#include "guest_image/own_kernel.h"
#include "machine/boot_plan.h"
#include "machine/disk_image.h"
#include "machine/firmware_locate.h"
#include "machine/host_folders.h"
#include "machine/process.h"
#include "outputs/shell_text.h"
#include "topology/arch.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;

constexpr size_t kCopyAtOnce = 1u << 20;
constexpr mode_t kReadableForAll = 0644;  // libvirt of the system reads them as another user
constexpr mode_t kExecutable = 0755;

/// Makes a file of a mode, whole or not at all.
Status write_file(const std::string& path, mode_t mode, const std::function<Status(int fd)>& fill) {
    Status written = publish_file(path, [&](int fd) -> Status {
        if (::fchmod(fd, mode) != 0) return fail_errno("chmod {}", path);
        return fill(fd);
    });
    if (written) return {};
    return tl::unexpected(std::move(written).error().with_context("cannot write " + path));
}

/// A copy, with `behind` after it: the cache is tidied, and libvirt changes the owner of what it
/// boots.
Status copy_file(const std::string& from, const std::string& to, std::string_view behind = {}) {
    const UniqueFd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
    if (!in) return fail_errno("{}", from);
    return write_file(to, kReadableForAll, [&](int out) -> Status {
        std::string buffer(kCopyAtOnce, '\0');
        for (;;) {
            const ssize_t count = ::read(in.get(), buffer.data(), buffer.size());
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) return fail_errno("read {}", from);
            if (count == 0) return write_all(out, behind);
            MIMIC_TRY(write_all(out, std::string_view(buffer.data(), static_cast<size_t>(count))));
        }
    });
}

/// Makes folders one after the other for the machines of a file.
class Preparer {
public:
    Preparer(const UpSource& source, const UpOptions& options, std::string folder,
             guest_image::Progress& progress)
        : source_(source), options_(options), folder_(std::move(folder)), progress_(progress) {}

    Result<PreparedMachine> prepare(const topology::Machine& machine);

private:
    Status prepare_kernel(const topology::Machine& machine, PreparedMachine& out);
    Status prepare_firmware(const topology::Machine& machine, PreparedMachine& out);
    Status prepare_disk(const topology::Machine& machine, PreparedMachine& out);
    void plan_serving(const topology::Machine& machine, PreparedMachine& out) const;
    Status write_outputs(const topology::Machine& machine, PreparedMachine& out);
    Result<Qemu> qemu_of(topology::Arch arch);

    const UpSource& source_;
    const UpOptions& options_;
    const std::string folder_;  // absolute
    guest_image::Progress& progress_;
    std::map<topology::Arch, Qemu> qemus_;
};

Result<Qemu> Preparer::qemu_of(topology::Arch arch) {
    const auto known = qemus_.find(arch);
    if (known != qemus_.end()) return known->second;
    MIMIC_ASSIGN_OR_RETURN(Qemu qemu, locate_qemu(progress_, arch));
    qemus_[arch] = qemu;
    return qemu;
}

/// Never into a file of the user's: a kernel of their own is copied as any other.
Status Preparer::prepare_kernel(const topology::Machine& machine, PreparedMachine& out) {
    MIMIC_ASSIGN_OR_RETURN(const auto image,
                           guest_image::build_guest_image(machine.kernel, machine.arch,
                                                          devices::all_models(), progress_));
    MIMIC_ASSIGN_OR_RETURN(const guest_image::OwnPaths own,
                           own_paths(source_, machine, options_.allow_shares));
    guest_image::OwnParts parts;
    if (!own.empty()) {
        progress_.step("reading kernel, modules and hooks of your own");
        MIMIC_ASSIGN_OR_RETURN(parts, guest_image::gather_own_parts(machine, image, own));
    }
    progress_.step("copying what " + machine.name + " boots");
    out.context.kernel = out.folder + "/vmlinuz";
    out.context.initrd = out.folder + "/initrd";
    out.context.modules_folder = parts.modules_folder;
    if (parts.kernel.empty()) {
        MIMIC_TRY(copy_file(machine.kernel.is_own() ? own.kernel.path : image.kernel,
                            out.context.kernel));
    } else {
        MIMIC_TRY(write_file(out.context.kernel, kReadableForAll,
                             [&](int fd) { return write_all(fd, parts.kernel); }));
    }
    MIMIC_TRY(copy_file(image.initrd, out.context.initrd, parts.archive));
    out.boots = {out.context.kernel, out.context.initrd};
    return {};
}

/// Program and variables of UEFI, where the image wants them.
Status Preparer::prepare_firmware(const topology::Machine& machine, PreparedMachine& out) {
    if (machine.kernel.firmware != topology::Firmware::kUefi) return {};
    MIMIC_ASSIGN_OR_RETURN(const Firmware firmware, locate_firmware(progress_));
    out.context.firmware_code = firmware.code;
    out.context.firmware_variables = out.folder + "/uefi-variables.fd";
    if (::access(out.context.firmware_variables.c_str(), F_OK) == 0) return {};  // a guest's own
    MIMIC_TRY(copy_file(firmware.variables, out.context.firmware_variables));
    out.boots.push_back(out.context.firmware_variables);
    return {};
}

Status Preparer::prepare_disk(const topology::Machine& machine, PreparedMachine& out) {
    MIMIC_ASSIGN_OR_RETURN(const Qemu qemu, qemu_of(machine.arch));
    MIMIC_ASSIGN_OR_RETURN(const DiskImage image,
                           check_disk_image(source_.resolve(machine.kernel.image)));
    out.context.disk_base = image.path;
    if (::access(out.context.disk.c_str(), F_OK) == 0) {
        out.notes.push_back(
            fmt::format("{} is kept: a guest may have written to it. Remove it for a fresh one",
                        out.context.disk));
    } else {
        MIMIC_TRY(make_overlay(qemu, image, out.context.disk));
    }
    MIMIC_ASSIGN_OR_RETURN(out.context.seed_iso,
                           guest_image::make_cloud_init_seed(machine, out.folder));
    out.boots = {out.context.disk, out.context.seed_iso};
    return prepare_firmware(machine, out);
}

/// What serves the devices that are ours, and a word about those that are not.
void Preparer::plan_serving(const topology::Machine& machine, PreparedMachine& out) const {
    bool has_own = !machine.fabrics.empty();
    bool starts_programs = false;
    for (const topology::DeviceSpec& device : machine.devices) {
        const model::FunctionSpec& function = device.functions.front();
        starts_programs |= !model::named_program(function.settings).empty();
        if (!device.is_external()) {
            has_own = true;
            continue;
        }
        out.notes.push_back(fmt::format("{}: start its server yourself, at {}", device.name,
                                        out.context.device_sockets.at(device.name)));
    }
    if (!has_own) return;
    out.serve = {self_path(), "serve",        out.topology, "--machine", machine.name,
                 "--folder",  source_.folder, "--run-dir",  out.folder};
    if (starts_programs) out.serve.emplace_back("--allow-commands");
    for (const std::string& word : out.serve)
        out.context.serve_command += (out.context.serve_command.empty() ? "" : " ") +
                                     outputs::shell_quoted(word);
}

/// A command as a comment, whatever names of folders are in it.
std::string commented(const std::string& command) {
    std::string out = "#   ";
    for (const char c : command) {
        out += c;
        if (c == '\n') out += "#   ";
    }
    return out;
}

Status Preparer::write_outputs(const topology::Machine& machine, PreparedMachine& out) {
    MIMIC_ASSIGN_OR_RETURN(const Qemu qemu, qemu_of(machine.arch));
    out.context.qemu = qemu.program;
    MIMIC_ASSIGN_OR_RETURN(const auto domain, outputs::libvirt_xml(machine, out.context));
    MIMIC_ASSIGN_OR_RETURN(const auto command, outputs::qemu_command(machine, out.context));
    MIMIC_TRY(write_file(out.topology, kReadableForAll,
                         [&](int fd) { return write_all(fd, source_.text); }));
    MIMIC_TRY(
        write_file(out.domain, kReadableForAll, [&](int fd) { return write_all(fd, domain); }));
    std::string script = "#!/bin/sh\n# Machine " + machine.name + ".";
    if (!out.serve.empty())
        script += " Its devices are served by:\n" + commented(out.context.serve_command);
    script += "\n" + command.substr(0, command.rfind('\n')) + " \"$@\"\n";
    return write_file(out.script, kExecutable, [&](int fd) { return write_all(fd, script); });
}

Result<PreparedMachine> Preparer::prepare(const topology::Machine& machine) {
    PreparedMachine out;
    out.name = machine.name;
    out.folder = folder_ + "/" + machine.name;
    out.topology = out.folder + "/topology.yaml";
    out.domain = out.folder + "/domain.xml";
    out.script = out.folder + "/qemu.sh";
    out.context = outputs::default_context(machine, out.folder);
    // Whether KVM really runs guests here is for `mimic up` to try; TCG does everywhere.
    if (out.context.accel == topology::Accel::kAuto) out.context.accel = topology::Accel::kTcg;
    MIMIC_ASSIGN_OR_RETURN(out.context.shared_folders,
                           check_shares(source_, machine, options_.allow_shares));
    // Before anything is downloaded for it.
    MIMIC_TRY(outputs::qemu_args(machine, out.context));
    MIMIC_TRY(make_dirs(out.folder));
    MIMIC_TRY(check_owner(out.folder, "prepare into a folder of your own"));
    plan_serving(machine, out);
    MIMIC_TRY(machine.kernel.image.empty() ? prepare_kernel(machine, out)
                                           : prepare_disk(machine, out));
    MIMIC_TRY(write_outputs(machine, out));
    return out;
}

}  // namespace

Result<std::vector<PreparedMachine>> prepare_machines(const UpSource& source,
                                                      const UpOptions& options,
                                                      const std::string& folder,
                                                      guest_image::Progress& progress) {
    std::error_code error;
    const auto path = std::filesystem::absolute(folder, error);
    if (error) return tl::unexpected(Error::from_errno(error.value(), folder));
    std::string absolute = path.lexically_normal().string();
    while (absolute.size() > 1 && absolute.ends_with('/')) absolute.pop_back();
    Preparer preparer(source, options, absolute, progress);
    std::vector<PreparedMachine> out;
    for (const topology::Machine& machine : source.model.machines) {
        auto prepared = preparer.prepare(machine);
        if (!prepared)
            return tl::unexpected(
                std::move(prepared).error().with_context("machine " + machine.name));
        out.push_back(std::move(*prepared));
    }
    progress.step("");
    return out;
}

}  // namespace mimic::machine
