// SPDX-License-Identifier: Apache-2.0
#include "machine/host_folders.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

namespace mimic::machine {
namespace {

namespace fs = std::filesystem;

/// File systems that show the host's kernel: what a guest reads or writes there it does to the
/// host.
constexpr std::array kKernelFileSystems = {long{PROC_SUPER_MAGIC},    long{SYSFS_MAGIC},
                                           long{DEBUGFS_MAGIC},       long{TRACEFS_MAGIC},
                                           long{DEVPTS_SUPER_MAGIC},  long{CGROUP_SUPER_MAGIC},
                                           long{CGROUP2_SUPER_MAGIC}, long{SECURITYFS_MAGIC},
                                           long{EFIVARFS_MAGIC},      long{BPF_FS_MAGIC}};

/// "FILE:3:11: ./src", or what the command line said.
std::string name_of(const UpSource& source, const topology::HostPath& path) {
    if (path.where.line == 0) return path.path;
    return fmt::format("{}:{}:{}: {}", source.path, path.where.line, path.where.column, path.path);
}

bool is_below(const std::string& path, const std::string& folder) {
    return path == folder || folder == "/" ||
           (path.starts_with(folder) && path[folder.size()] == '/');
}

bool shows_kernel(const std::string& path) {
    struct statfs info {};
    if (is_below(path, "/dev") || is_below(path, "/proc") || is_below(path, "/sys")) return true;
    return ::statfs(path.c_str(), &info) == 0 &&
           std::find(kKernelFileSystems.begin(), kKernelFileSystems.end(), long{info.f_type}) !=
               kKernelFileSystems.end();
}

Status check_rights(const std::string& path, const std::string& name, bool readonly) {
    if (::access(path.c_str(), R_OK | X_OK) != 0)
        return fail_errno(
            "{}: cannot share {}, which you may not read; expected a folder that you "
            "may list and enter",
            name, path);
    if (!readonly && ::access(path.c_str(), W_OK) != 0)
        return fail_errno(
            "{}: the guest may write to {}, and you may not; expected 'readonly: true' "
            "(HOST:GUEST:ro), or a folder of yours",
            name, path);
    return {};
}

Result<std::string> check_share(const UpSource& source, const topology::Share& share,
                                bool allow_outside) {
    const std::string name = name_of(source, share.host);
    std::error_code error;
    const std::string path = fs::canonical(source.resolve(share.host.path), error).string();
    if (error)
        return tl::unexpected<Error>(
            Error::from_errno(error.value(), fmt::format("{}: expected a folder to share", name)));
    if (!fs::is_directory(path, error))
        return fail(std::errc::not_a_directory, "{}: {} is no folder; expected one to share", name,
                    path);
    if (path == "/" || shows_kernel(path))
        return fail(std::errc::operation_not_permitted, "{}: {} is {}; expected a folder of files",
                    name, path,
                    path == "/" ? "all of the host" : "what the host's kernel shows of itself");
    const std::string folder = fs::canonical(source.folder, error).string();
    if (share.host.where.line != 0 && !allow_outside && !is_below(path, folder))
        return fail(std::errc::operation_not_permitted,
                    "{}: {} is not below {}, the file's folder, and a file does not choose what "
                    "else of the host a guest sees; if you trust it: --allow-shares, or --share {}:"
                    "{}{}",
                    name, path, folder, path, share.guest, share.readonly ? ":ro" : "");
    MIMIC_TRY(check_rights(path, name, share.readonly));
    return path;
}

}  // namespace

Result<std::vector<std::string>> check_shares(const UpSource& source,
                                              const topology::Machine& machine,
                                              bool allow_outside) {
    std::vector<std::string> out;
    for (const topology::Share& share : machine.shares) {
        MIMIC_ASSIGN_OR_RETURN(std::string path, check_share(source, share, allow_outside));
        out.push_back(std::move(path));
    }
    return out;
}

Result<guest_image::OwnPaths> own_paths(const UpSource& source, const topology::Machine& machine,
                                        bool allow_outside) {
    const auto named = [&](const topology::HostPath& path) {
        return guest_image::NamedPath{source.resolve(path.path), name_of(source, path)};
    };
    guest_image::OwnPaths out;
    if (machine.kernel.is_own()) out.kernel = named(machine.kernel.file);
    for (const auto& path : machine.kernel.modules) out.modules.push_back(named(path));
    for (const auto& path : machine.kernel.initrd) {
        out.initrd.push_back(named(path));
        // A kernel and modules are what they are; any script of the host could be a hook.
        if (allow_outside || path.where.line == 0) continue;
        std::error_code error;
        const std::string file = fs::canonical(out.initrd.back().path, error).string();
        if (error) continue;  // who reads it says so
        const std::string folder = fs::canonical(source.folder, error).string();
        if (!is_below(file, folder))
            return fail(std::errc::operation_not_permitted,
                        "{}: {} is not below {}, the file's folder, and a file does not choose "
                        "what else of the host a guest sees; if you trust it: --allow-shares",
                        out.initrd.back().name, file, folder);
    }
    return out;
}

Result<topology::Share> parse_share(const std::string& text) {
    topology::Share share;
    std::string_view rest = text;
    if (rest.ends_with(":ro") || rest.ends_with(":rw")) {
        share.readonly = rest.ends_with(":ro");
        rest.remove_suffix(3);
    }
    const size_t colon = rest.rfind(':');
    if (colon == std::string_view::npos || colon == 0)
        return fail(std::errc::invalid_argument,
                    "'{}'; expected HOST:GUEST or HOST:GUEST:ro, such as .:/src:ro", text);
    share.guest = rest.substr(colon + 1);
    if (const auto problem = topology::guest_folder_problem(share.guest))
        return fail(std::errc::invalid_argument, "{}", *problem);
    std::error_code error;
    share.host.path = fs::absolute(rest.substr(0, colon), error).string();
    return share;
}

}  // namespace mimic::machine
