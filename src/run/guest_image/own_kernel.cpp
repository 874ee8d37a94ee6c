// SPDX-License-Identifier: Apache-2.0
#include "guest_image/own_kernel.h"

#include <sys/stat.h>

#include <algorithm>

#include "guest_image/initramfs.h"
#include "guest_image/kernel_files.h"
#include "guest_image/kernel_image.h"
#include "guest_image/module_folders.h"

namespace mimic::guest_image {
namespace {

constexpr size_t kMaxHook = 256u << 20;     // arbitrary
constexpr uint64_t kMaxModules = 1u << 30;  // of a machine, unpacked; arbitrary
constexpr size_t kAlignment = 512;          // of an archive behind another; the kernel wants 4

/// What init of every guest needs, unless it is built in.
constexpr const char* kChannels[] = {"virtio_pci", "virtio_console"};
constexpr const char* kShareModules[] = {"9pnet_virtio", "9p"};
constexpr const char* kFabrics = "vmd";

template <typename T>
Result<T> named(Result<T> result, const std::string& name) {
    if (result) return result;
    return tl::unexpected(std::move(result).error().with_context(name));
}

Result<std::string> read_named(const NamedPath& from, size_t max_bytes) {
    struct stat st {};
    if (::stat(from.path.c_str(), &st) == 0 && !S_ISREG(st.st_mode))
        return fail(std::errc::invalid_argument, "{} is a {}; expected a file", from.name,
                    S_ISDIR(st.st_mode) ? "folder" : "device or pipe");
    return named(read_host_file(from.path, max_bytes), from.name);
}

/// The kernel that boots: of the user's own file, or of the guest image.
Status gather_kernel(const topology::Machine& machine, const GuestImage& image,
                     const NamedPath& from, OwnParts& parts) {
    if (from.path.empty()) {
        parts.release = image.release;
        if (!parts.release.empty()) return {};
        MIMIC_ASSIGN_OR_RETURN(const std::string prepared,
                               read_host_file(image.kernel, kMaxKernelFile));
        MIMIC_ASSIGN_OR_RETURN(const KernelFacts facts,
                               named(inspect_kernel(prepared, machine.arch), image.kernel));
        parts.release = facts.release;
        return {};
    }
    MIMIC_ASSIGN_OR_RETURN(const std::string file, read_named(from, kMaxKernelFile));
    MIMIC_ASSIGN_OR_RETURN(KernelFacts facts, named(inspect_kernel(file, machine.arch), from.name));
    parts.release = facts.release;
    parts.kernel = std::move(facts.unpacked);
    if (facts.kind != KernelKind::kBzImage) return {};
    // Entered as an ELF file it starts seconds earlier under an emulated CPU. One without a PVH
    // entry, or packed by a way that is not known here, unpacks itself.
    if (auto elf = extract_elf_kernel(parts.kernel.empty() ? file : parts.kernel))
        parts.kernel = std::move(*elf);
    return {};
}

/// Names of the modules that the machine wants, of those that are there.
std::vector<std::string> wanted_modules(const topology::Machine& machine, bool own_kernel,
                                        const ModuleFolders& folders, OwnParts& parts) {
    std::vector<std::string> wanted;
    const auto want = [&](std::string_view name) {
        const bool there = folders.has(std::string(name));
        if (there) wanted.emplace_back(name);
        return there || folders.is_builtin(std::string(name));
    };
    if (own_kernel) {  // the guest image has them for its own
        for (const char* name : kChannels) want(name);
        if (!machine.fabrics.empty()) want(kFabrics);
        if (!machine.shares.empty() || !folders.tree().empty())
            for (const char* name : kShareModules) want(name);
        for (const topology::DeviceSpec& device : machine.devices) {
            const model::DriverFacts& driver = device.model->driver;
            for (const std::string_view name : driver.kernel_modules) want(name);
            if (driver.module.empty() || want(driver.module)) continue;
            parts.absent_drivers.emplace(driver.name);
            parts.absent_classes.emplace(driver.sysfs_class);
        }
    }
    for (const std::string& name : folders.loose())
        if (std::find(wanted.begin(), wanted.end(), name) == wanted.end()) wanted.push_back(name);
    return wanted;
}

Status add_modules(const topology::Machine& machine, const GuestImage& image, const OwnPaths& paths,
                   OwnParts& parts, Initramfs& root) {
    const bool own_kernel = !paths.kernel.path.empty();
    ModuleFolders folders(
        {.arch = machine.arch,
         .release = parts.release,
         .kernel = own_kernel ? paths.kernel.name : "the kernel " + machine.kernel.release});
    for (const NamedPath& folder : paths.modules) MIMIC_TRY(folders.add(folder.path, folder.name));
    parts.modules_folder = folders.tree();
    if (!own_kernel && !image.modules_folder.empty())
        MIMIC_TRY(folders.add(image.modules_folder, "modules of " + machine.kernel.release));
    MIMIC_ASSIGN_OR_RETURN(const auto order,
                           folders.order(wanted_modules(machine, own_kernel, folders, parts)));
    uint64_t unpacked = 0;
    std::string own;
    std::string needs;  // of the guest image's kernel: nothing there needs one of the user's
    for (const std::string& path : order) {
        MIMIC_ASSIGN_OR_RETURN(std::string content, ModuleFolders::content(path));
        unpacked += content.size();
        if (unpacked > kMaxModules)
            return fail(std::errc::invalid_argument,
                        "the modules of {} have more than {} MiB together; expected the few that "
                        "it loads at boot (strip --strip-debug)",
                        machine.name, kMaxModules >> 20);
        const std::string name = module_name(path) + ".ko";
        const bool is_own = own_kernel || image.modules_folder.empty() ||
                            !path.starts_with(image.modules_folder + "/");
        root.add_file(fmt::format("lib/mimic/{}/{}", is_own ? "own" : "needs", name),
                      std::move(content));
        (is_own ? own : needs) += name + "\n";
    }
    root.add_file("lib/mimic/needs/order", needs);
    root.add_file("lib/mimic/own/order", own);
    return {};
}

Status add_hook(const NamedPath& from, size_t number, Initramfs& root, std::string& archives) {
    MIMIC_ASSIGN_OR_RETURN(std::string file, read_named(from, kMaxHook));
    if (file.starts_with("#!")) {
        const size_t slash = from.path.rfind('/');
        root.add_file(fmt::format("lib/mimic/hooks/{:02}-{}", number, from.path.substr(slash + 1)),
                      std::move(file), 0755);
        return {};
    }
    const auto plain = decompress(file, kMaxHook);
    if (!plain || (!plain->starts_with("070701") && !plain->starts_with("070702")))
        return fail(std::errc::invalid_argument,
                    "{} is neither a cpio archive (find . | cpio -o -H newc), plain or packed, nor "
                    "a script that begins with #!",
                    from.name);
    archives += file;
    archives.resize((archives.size() + kAlignment - 1) / kAlignment * kAlignment);
    return {};
}

}  // namespace

Result<OwnParts> gather_own_parts(const topology::Machine& machine, const GuestImage& image,
                                  const OwnPaths& paths) {
    OwnParts parts;
    MIMIC_TRY(gather_kernel(machine, image, paths.kernel, parts));
    Initramfs root;
    MIMIC_TRY(add_modules(machine, image, paths, parts, root));
    std::string archives;
    for (size_t i = 0; i < paths.initrd.size(); ++i)
        MIMIC_TRY(add_hook(paths.initrd[i], i, root, archives));
    if (!paths.kernel.path.empty()) {
        root.add_file("lib/mimic/modules/order", "");  // what is there is for another kernel
        root.add_file("etc/mimic-release", parts.release + "\n");
    }
    MIMIC_ASSIGN_OR_RETURN(parts.archive, root.bytes());
    parts.archive.resize((parts.archive.size() + kAlignment - 1) / kAlignment * kAlignment);
    parts.archive += archives;
    return parts;
}

}  // namespace mimic::guest_image
