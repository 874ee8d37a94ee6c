// SPDX-License-Identifier: Apache-2.0
// Gathers what tools/debs unpacked and tools/debs module built into an initramfs, unless the cache
// has one that was made of the same things. The initramfs is not compressed: unpacking under an
// emulated CPU costs more than it saves (guest/init/README.md has the figures).
#include "guest_image/guest_image.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <vector>

#include "guest_image/cache_file.h"
#include "guest_image/host_tool.h"
#include "guest_image/initramfs.h"
#include "guest_image/kernel_files.h"
#include "guest_image/prepared_image.h"
#include "topology/arch.h"

namespace mimic::guest_image {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRecipe = "guest-image-7";  // raise when this file lays things out
                                                       // differently
constexpr size_t kMaxSmallFile = 64u << 20;
constexpr int kKeepDays = 14;  // arbitrary

/// Programs that every image has, each built by the Makefile of guest/NAME. Drivers bring more.
constexpr const char* kTools[] = {"pci-peek", "mimic-streamd"};

/// Modules that are loaded at boot, besides our drivers. The one of fabrics, where Linux has it, is
/// loaded only if one is there.
constexpr const char* kWantedModules[] = {"virtio_pci", "virtio_console"};
constexpr const char* kFabricModule = "vmd";

/// Modules that are there but not loaded, if the kernel has them: fake-sriov-vgpu needs the first,
/// who opens its functions the next two, folders of the host the last two.
constexpr const char* kSpareModules[] = {"configfs", "vfio_pci", "vfio_iommu_type1", "9pnet_virtio",
                                         "9p"};

/// A driver of a model.
struct Driver {
    std::string name;    // of the module, without ".ko"
    std::string folder;  // its source
    std::string module;  // content of NAME.ko
};

/// Where the ingredients are, and what they are.
struct Ingredients {
    topology::Arch arch = topology::Arch::kX86_64;
    std::string kernel_dir;
    std::string guest_dir;
    std::string init_dir;                      // guest/init
    std::map<std::string, std::string> tools;  // guest/NAME of each program, by NAME
    std::vector<std::string> libraries;        // guest/NAME of what they use
    std::vector<Driver> drivers;
    std::string fake_sriov_dir;  // kernel/fake-sriov-vgpu
    std::string release;
    std::string series;
    std::vector<std::string> modules;  // of the caller's, besides kWantedModules
    std::string fake_sriov;            // content of fake-sriov-vgpu.ko
    std::string kernel_key;            // hash of the kernel package
    std::string initrd_key;            // hash of all that goes into the initramfs

    /// False: the kernel is the user's, and neither it nor its modules are of this image.
    bool has_kernel() const { return !series.empty(); }
    /// What the initramfs is called by.
    std::string title() const {
        return has_kernel() ? series : fmt::format("own-{}", topology::facts_of(arch).name);
    }
};

/// A folder that is removed with all that is in it.
class Scratch {
public:
    static Result<Scratch> create(const std::string& parent) {
        std::string path = parent + "/.tmp-build-XXXXXX";
        if (::mkdtemp(path.data()) == nullptr) return fail_errno("create a folder in {}", parent);
        return Scratch(std::move(path));
    }
    Scratch(Scratch&& other) noexcept : path_(std::exchange(other.path_, {})) {}
    Scratch& operator=(Scratch&&) = delete;
    ~Scratch() {
        std::error_code ignored;
        if (!path_.empty()) fs::remove_all(path_, ignored);
    }
    const std::string& path() const { return path_; }

private:
    explicit Scratch(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

Status make_folders(const std::string& path) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) {
        return tl::unexpected<Error>(
            Error::from_errno(error.value(), fmt::format("create {}", path)));
    }
    return {};
}

/// Names and contents of the regular files directly in `folder`, by name.
Result<std::map<std::string, std::string>> read_folder(const std::string& folder) {
    std::map<std::string, std::string> files;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        if (!it->is_regular_file()) continue;
        MIMIC_ASSIGN_OR_RETURN(files[it->path().filename().string()],
                               read_host_file(it->path().string(), kMaxSmallFile));
    }
    if (error) {
        return tl::unexpected<Error>(
            Error::from_errno(error.value(), fmt::format("read {}", folder)));
    }
    return files;
}

/// What identifies one of tools/debs' folders: where it is stored, and the packages and versions in
/// it.
Result<std::string> identity(const std::string& folder) {
    std::error_code error;
    const std::string real = fs::canonical(folder, error).string();
    if (error) {
        return tl::unexpected<Error>(Error::from_errno(error.value(), folder));
    }
    MIMIC_ASSIGN_OR_RETURN(const std::string packages,
                           read_host_file(folder + "/packages", kMaxSmallFile));
    return fs::path(real).filename().string() + "\n" + packages;
}

/// Only what the build reads: compiler droppings in a source folder must not change the image's
/// name.
bool is_source(const std::string& name) {
    return name.ends_with(".c") || name.ends_with(".h") || name == "Makefile";
}

/// The compiler or a tool of binutils for guests of an architecture.
std::string cross_tool(topology::Arch arch, const std::string& name) {
    return arch == topology::Arch::kX86_64
               ? name
               : fmt::format("{}-linux-gnu-{}", topology::facts_of(arch).name, name);
}

/// Content of FOLDER/NAME.ko, built for the kernel, where `folder` is kernel/NAME.
Result<std::string> build_module(const Ingredients& in, const std::string& folder,
                                 const std::string& debs, const std::string& images) {
    MIMIC_ASSIGN_OR_RETURN(const Scratch scratch, Scratch::create(images));
    MIMIC_TRY(run_tool({debs, "module", in.series, folder, scratch.path()}, true));
    const std::string path = fmt::format("{}/{}.ko", scratch.path(),
                                         fs::path(folder).filename().string());
    // Debug information is four fifths of the file, and the guest copies all of it.
    MIMIC_TRY(run_tool({cross_tool(in.arch, "strip"), "--strip-debug", path}, false));
    return read_host_file(path, kMaxSmallFile);
}

/// What the models bring for a guest.
Status gather_models(model::Models models, Ingredients& in) {
    for (const model::DeviceModel* model : models) {
        for (const std::string_view name : model->driver.tools) {
            MIMIC_ASSIGN_OR_RETURN(in.tools[std::string(name)],
                                   find_support_file(fmt::format("guest/{}", name)));
        }
        for (const std::string_view name : model->driver.libraries) {
            MIMIC_ASSIGN_OR_RETURN(auto folder, find_support_file(fmt::format("guest/{}", name)));
            in.libraries.push_back(std::move(folder));
        }
        for (const std::string_view name : model->driver.kernel_modules)
            in.modules.push_back(fmt::format("{}?", name));
        if (model->driver.module_folder.empty()) continue;
        MIMIC_ASSIGN_OR_RETURN(auto folder,
                               find_support_file(std::string(model->driver.module_folder)));
        in.drivers.push_back({std::string(model->driver.module), std::move(folder), ""});
    }
    return {};
}

/// The packages and the modules of ours that are built for them.
Status gather_packages(const std::string& images, Ingredients& in, Progress& progress) {
    MIMIC_ASSIGN_OR_RETURN(const std::string debs, find_support_file("tools/debs"));
    progress.step("");  // tools/debs says itself what takes long
    if (in.has_kernel()) {
        MIMIC_ASSIGN_OR_RETURN(in.kernel_dir, run_tool({debs, "kernel", in.series}, true));
    }
    std::vector<std::string> guest{debs, "guest"};
    if (in.arch != topology::Arch::kX86_64) guest.emplace_back(topology::facts_of(in.arch).name);
    MIMIC_ASSIGN_OR_RETURN(in.guest_dir, run_tool(guest, true));
    if (!in.has_kernel()) return {};
    for (Driver& driver : in.drivers) {
        MIMIC_ASSIGN_OR_RETURN(driver.module, build_module(in, driver.folder, debs, images));
    }
    MIMIC_ASSIGN_OR_RETURN(in.fake_sriov, build_module(in, in.fake_sriov_dir, debs, images));
    return {};
}

/// `in` has its architecture, series and modules.
Status gather(model::Models models, const std::string& images, Ingredients& in,
              Progress& progress) {
    MIMIC_ASSIGN_OR_RETURN(in.init_dir, find_support_file("guest/init"));
    for (const char* name : kTools) {
        MIMIC_ASSIGN_OR_RETURN(in.tools[name], find_support_file(fmt::format("guest/{}", name)));
    }
    MIMIC_TRY(gather_models(models, in));
    MIMIC_ASSIGN_OR_RETURN(in.fake_sriov_dir, find_support_file("kernel/fake-sriov-vgpu"));
    MIMIC_TRY(gather_packages(images, in, progress));
    MIMIC_ASSIGN_OR_RETURN(
        const std::string setup,
        read_host_file(in.fake_sriov_dir + "/setup-fake-sriov.sh", kMaxSmallFile));
    std::string kernel_identity = in.title();
    if (in.has_kernel()) {
        MIMIC_ASSIGN_OR_RETURN(in.release,
                               read_host_file(in.kernel_dir + "/release", kMaxSmallFile));
        while (!in.release.empty() && in.release.back() == '\n') in.release.pop_back();
        MIMIC_ASSIGN_OR_RETURN(kernel_identity, identity(in.kernel_dir));
    }
    MIMIC_ASSIGN_OR_RETURN(const std::string guest_identity, identity(in.guest_dir));
    MIMIC_ASSIGN_OR_RETURN(const auto init, read_folder(in.init_dir));
    std::vector<std::string> source_folders = in.libraries;
    for (const Driver& driver : in.drivers) source_folders.push_back(driver.folder);
    for (const auto& [name, folder] : in.tools) source_folders.push_back(folder);
    std::string all = fmt::format("{}\n{}\n{}\n{}\n{}\n", kRecipe, kernel_identity, guest_identity,
                                  sha256_hex(in.fake_sriov), sha256_hex(setup));
    for (const Driver& driver : in.drivers)
        all += fmt::format("driver {} {}\n", driver.name, sha256_hex(driver.module));
    for (const std::string& name : in.modules) all += fmt::format("module {}\n", name);
    for (const auto& [name, text] : init)
        all += fmt::format("init {} {}\n", name, sha256_hex(text));
    for (const std::string& folder : source_folders) {
        MIMIC_ASSIGN_OR_RETURN(const auto sources, read_folder(folder));
        for (const auto& [name, text] : sources) {
            if (is_source(name)) all += fmt::format("source {} {}\n", name, sha256_hex(text));
        }
    }
    in.kernel_key = sha256_hex(fmt::format("{}\n{}", kRecipe, kernel_identity));
    in.initrd_key = sha256_hex(all);
    return {};
}

/// The modules that are loaded at boot, ours and the caller's, with those that they need.
Result<std::vector<std::string>> wanted_modules(const Ingredients& in, const ModuleIndex& index) {
    std::vector<std::string> wanted{std::begin(kWantedModules), std::end(kWantedModules)};
    if (topology::facts_of(in.arch).has_vmd) wanted.emplace_back(kFabricModule);
    for (const std::string& name : in.modules) {
        const bool optional = name.ends_with('?');
        wanted.push_back(optional ? name.substr(0, name.size() - 1) : name);
        if (optional && !resolve_modules(index, {wanted.back()})) wanted.pop_back();
    }
    return resolve_modules(index, wanted);
}

/// A line of modules.dep for each module of the image, so that modprobe finds all that a module
/// needs: for those of `paths` what depmod found, for ours what is known.
Result<std::string> dependencies(const ModuleIndex& index, const std::vector<std::string>& paths,
                                 const std::vector<Driver>& drivers) {
    std::vector<std::pair<std::string, std::string>> ours;
    for (const Driver& driver : drivers) ours.emplace_back(driver.name, "");
    ours.emplace_back("fake-sriov-vgpu", "configfs");
    const auto file = [](std::string_view name) {
        return fmt::format("/lib/mimic/modules/{}.ko", name);
    };
    std::string text;
    for (const std::string& path : paths) {
        MIMIC_ASSIGN_OR_RETURN(const auto order, resolve_modules(index, {module_name(path)}));
        text += file(module_name(path)) + ":";
        // depmod's order: what must be loaded first is last.
        for (auto need = order.rbegin(); need != order.rend(); ++need) {
            if (*need != path) text += " " + file(module_name(*need));
        }
        text += "\n";
    }
    for (const auto& [name, need] : ours) {
        text += file(name) + ":";
        if (!need.empty() && text.find("\n" + file(need) + ":") != std::string::npos) {
            text += " " + file(need);
        }
        text += "\n";
    }
    return text;
}

Status add_modules(const Ingredients& in, Initramfs& root) {
    if (!in.has_kernel()) {
        root.add_file("lib/mimic/modules/order", "");
        return {};
    }
    const std::string folder = in.kernel_dir + "/modules/";
    ModuleIndex index;
    MIMIC_ASSIGN_OR_RETURN(index.dep, read_host_file(folder + "modules.dep", kMaxSmallFile));
    MIMIC_ASSIGN_OR_RETURN(index.builtin,
                           read_host_file(folder + "modules.builtin", kMaxSmallFile));
    MIMIC_ASSIGN_OR_RETURN(const auto paths, wanted_modules(in, index));
    std::vector<std::string> wanted_spare;
    for (const char* name : kSpareModules)
        if (resolve_modules(index, {name})) wanted_spare.emplace_back(name);
    MIMIC_ASSIGN_OR_RETURN(const auto spare, resolve_modules(index, wanted_spare));
    std::string list;
    std::string spare_list;
    const auto add = [&](const std::string& path, std::string& names) -> Status {
        MIMIC_ASSIGN_OR_RETURN(const std::string packed,
                               read_host_file(folder + path, kMaxSmallFile));
        const bool plain = path.ends_with(".ko");
        std::string content = packed;
        if (!plain) {
            MIMIC_ASSIGN_OR_RETURN(content, decompress(packed, kMaxSmallFile));
        }
        const std::string name = module_name(path) + ".ko";
        names += name + "\n";
        if (!root.contains("lib/mimic/modules/" + name)) {
            root.add_file("lib/mimic/modules/" + name, std::move(content));
        }
        return {};
    };
    for (const std::string& path : paths) MIMIC_TRY(add(path, list));
    for (const std::string& path : spare) MIMIC_TRY(add(path, spare_list));
    for (const Driver& driver : in.drivers) {
        root.add_file(fmt::format("lib/mimic/modules/{}.ko", driver.name), driver.module);
        list += driver.name + ".ko\n";
    }
    root.add_file("lib/mimic/modules/order", list);
    // Beside each other, as setup-fake-sriov.sh looks for the module.
    root.add_file("lib/mimic/modules/fake-sriov-vgpu.ko", in.fake_sriov);
    root.add_file("lib/mimic/modules/spare", spare_list);
    std::vector<std::string> all = paths;
    for (const std::string& path : spare) {
        if (std::find(all.begin(), all.end(), path) == all.end()) all.push_back(path);
    }
    MIMIC_ASSIGN_OR_RETURN(std::string dep, dependencies(index, all, in.drivers));
    root.add_file("lib/modules/" + in.release + "/modules.dep", std::move(dep));
    return root.add_host_file("lib/mimic/modules/setup-fake-sriov.sh",
                              in.fake_sriov_dir + "/setup-fake-sriov.sh");
}

Status add_programs(const Ingredients& in, Initramfs& root, const std::string& scratch) {
    MIMIC_TRY(root.add_host_tree("", in.guest_dir + "/root"));
    const bool foreign = in.arch != topology::Arch::kX86_64;
    // The guest's busybox is static and may run here as well; installing links at boot would cost
    // time in each guest.
    MIMIC_ASSIGN_OR_RETURN(std::string applets,
                           foreign
                               ? read_host_file(in.guest_dir + "/applets", kMaxSmallFile)
                               : run_tool({in.guest_dir + "/root/bin/busybox", "--list"}, false));
    applets += "\n";
    for (size_t from = 0, to; (to = applets.find('\n', from)) != std::string::npos; from = to + 1) {
        const std::string name = applets.substr(from, to - from);
        if (name.empty() || name.find('/') != std::string::npos) continue;
        if (!root.contains("bin/" + name)) root.add_link("bin/" + name, "busybox");
    }
    for (const char* name : {"init", "poweroff", "reboot", "halt", "insmod", "rmmod", "modprobe"}) {
        root.add_link(fmt::format("sbin/{}", name), "../bin/busybox");
    }
    for (const auto& [name, folder] : in.tools) {
        const std::string program = scratch + "/" + name;
        std::vector<std::string> make{"make", "-s", "-C", folder, "OUT=" + scratch};
        if (foreign) {
            make.push_back("CC=" + cross_tool(in.arch, "gcc-12"));
            make.push_back("AR=" + cross_tool(in.arch, "ar"));
        }
        MIMIC_TRY(run_tool(make, false));
        MIMIC_TRY(run_tool({cross_tool(in.arch, "strip"), program}, false));
        MIMIC_TRY(root.add_host_file("usr/bin/" + name, program));
    }
    return {};
}

/// guest/init: which file goes where.
Status add_init(const Ingredients& in, Initramfs& root) {
    constexpr std::pair<const char*, const char*> kPlaces[] = {
        {"init", "init"},
        {"inittab", "etc/inittab"},
        {"agent", "lib/mimic/agent"},
        {"streams", "lib/mimic/streams"},
        {"console", "lib/mimic/console"},
        {"ready", "lib/mimic/ready"},
        {"services", "lib/mimic/services"},
        {"probe", "lib/mimic/probe"},
        {"shutdown", "sbin/shutdown"},
    };
    for (const auto& [from, to] : kPlaces) {
        MIMIC_TRY(root.add_host_file(to, in.init_dir + "/" + from));
    }
    root.add_file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    root.add_file("etc/group", "root:x:0:\n");
    root.add_file("etc/mimic-release", in.release + "\n");
    // modprobe and modinfo look for it
    root.add_folder(in.has_kernel() ? "lib/modules/" + in.release : "lib/modules");
    for (const char* name : {"dev", "proc", "sys", "run", "root", "mnt"}) root.add_folder(name);
    root.add_folder("tmp", 01777);
    // The kernel opens it before anything is mounted: Linux, Documentation/admin-guide/devices.txt.
    root.add_char_device("dev/console", 5, 1, 0600);
    return {};
}

Status build_initrd(const Ingredients& in, const std::string& images, const std::string& path) {
    MIMIC_ASSIGN_OR_RETURN(const Scratch scratch, Scratch::create(images));
    Initramfs root;
    MIMIC_TRY(add_programs(in, root, scratch.path()));
    MIMIC_TRY(add_modules(in, root));
    MIMIC_TRY(add_init(in, root));
    return publish_file(path, [&](int fd) { return root.write(fd); });
}

/// The kernel as an ELF file, or as it is if it cannot be entered as one.
Result<std::string> provide_kernel(const Ingredients& in, const std::string& images) {
    const std::string bzimage = in.kernel_dir + "/vmlinuz";
    const std::string path = fmt::format("{}/vmlinux-{}-{}", images, in.series,
                                         in.kernel_key.substr(0, 16));
    if (mark_used(path)) return path;
    MIMIC_ASSIGN_OR_RETURN(const std::string packed, read_host_file(bzimage, kMaxSmallFile));
    Result<std::string> elf = extract_elf_kernel(packed);
    if (!elf && elf.error().code() == std::errc::not_supported) return bzimage;
    if (!elf) return tl::unexpected<Error>(std::move(elf).error().with_context(bzimage));
    MIMIC_TRY(publish_file(path, [&](int fd) { return write_all(fd, *elf); }));
    return path;
}

}  // namespace

Result<GuestImage> build_guest_image(const topology::Kernel& kernel, topology::Arch arch,
                                     model::Models models, Progress& progress,
                                     const std::vector<std::string>& modules) {
    if (!kernel.image.empty()) {
        return fail(std::errc::invalid_argument,
                    "a machine that boots an image needs no guest image");
    }
    Ingredients in;
    in.arch = arch;
    if (!kernel.is_own()) in.series = topology::kernel_series(arch, kernel.release);
    in.modules = modules;
    if (modules.empty()) {  // prepared images load what all do
        const std::string any(topology::facts_of(arch).kernels.front());
        MIMIC_ASSIGN_OR_RETURN(
            auto prepared,
            prepared_image(in.has_kernel() ? in.series : topology::kernel_series(arch, any)));
        if (prepared && kernel.is_own()) prepared->kernel.clear();
        if (prepared) return *prepared;
    }
    MIMIC_ASSIGN_OR_RETURN(const std::string cache, cache_root());
    const std::string images = cache + "/images";
    MIMIC_TRY(make_folders(images));
    // Held to the end: others would only do the same work at the same time. With a warm cache that
    // is 0.1 s.
    progress.step("waiting for another mimic that makes a guest image");
    MIMIC_ASSIGN_OR_RETURN(const FileLock lock, FileLock::take(images + "/lock"));
    MIMIC_TRY(gather(models, images, in, progress));
    GuestImage image;
    image.initrd = fmt::format("{}/initrd-{}-{}", images, in.title(), in.initrd_key.substr(0, 16));
    if (in.has_kernel()) {
        image.kernel = arch == topology::Arch::kX86_64
                           ? fmt::format("{}/vmlinux-{}-{}", images, in.series,
                                         in.kernel_key.substr(0, 16))
                           : in.kernel_dir + "/vmlinuz";
        image.modules_folder = in.kernel_dir + "/modules";
        image.release = in.release;
    }
    const bool has_initrd = mark_used(image.initrd);
    if (has_initrd && (!in.has_kernel() || mark_used(image.kernel))) return image;

    progress.step(fmt::format("making the guest image for kernel {}", in.title()));
    tidy_folder(images, fmt::format("initrd-{}-", in.title()), kKeepDays);
    tidy_folder(images, fmt::format("vmlinux-{}-", in.title()), kKeepDays);
    if (in.has_kernel() && arch == topology::Arch::kX86_64) {
        MIMIC_ASSIGN_OR_RETURN(image.kernel, provide_kernel(in, images));
    }
    if (!has_initrd) {
        MIMIC_TRY(build_initrd(in, images, image.initrd));
    }
    return image;
}

}  // namespace mimic::guest_image
