// SPDX-License-Identifier: Apache-2.0
#include "cluster/node_disk.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "base/private_files.h"
#include "base/unique_fd.h"
#include "guest_image/cache_file.h"
#include "guest_image/guest_image.h"
#include "guest_image/host_tool.h"

namespace mimic::cluster {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDiskRecipe = "node-disk-1";  // raise when the layout changes
constexpr uint64_t kFreeSpace = uint64_t{6} << 30;  // for what nodes unpack; the file is sparse
constexpr int kKeepDays = 14;                       // arbitrary

/// guest/node: which file goes where.
constexpr std::pair<const char*, const char*> kNodeFiles[] = {
    {"node", "/etc/init.d/node"},
    {"to-api", "/k8s/to-api"},
    {"containerd.toml", "/k8s/containerd.toml"},
    {"kubelet.yaml", "/k8s/kubelet.yaml"},
    {"99-pods.conflist", "/etc/cni/net.d/99-pods.conflist"},
    {"pod-network", "/opt/cni/bin/pod-network"},
};

Result<std::string> file_digest(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0) return fail_errno("{}", path);
    if (info.st_size == 0) return guest_image::sha256_hex("");
    const auto size = static_cast<size_t>(info.st_size);
    void* const bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (bytes == MAP_FAILED) return fail_errno("{}", path);
    std::string digest = guest_image::sha256_hex({static_cast<const char*>(bytes), size});
    ::munmap(bytes, size);
    return digest;
}

tl::unexpected<Error> file_failed(const std::error_code& error, const std::string& what) {
    return tl::unexpected<Error>(Error::from_errno(error.value(), what));
}

/// Puts a file into the folder that becomes the disk: by a link where that goes, for they are
/// large.
Status stage(const NodeFile& file, const std::string& folder) {
    const fs::path to = folder + file.node;
    std::error_code error;
    fs::create_directories(to.parent_path(), error);
    if (error) return file_failed(error, to.parent_path().string());
    const fs::path from = fs::canonical(file.host, error);
    if (error) return file_failed(error, file.host);
    fs::create_hard_link(from, to, error);
    if (!error) return {};
    fs::copy_file(from, to, error);
    if (error) return file_failed(error, fmt::format("copy {} to {}", file.host, to.string()));
    return {};
}

Result<std::string> find_mkfs() {
    for (const char* path : {"/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4", "/usr/bin/mkfs.ext4"})
        if (::access(path, X_OK) == 0) return path;
    return fail(std::errc::no_such_file_or_directory,
                "mkfs.ext4 is needed for the disk of a node. Run: apt-get install e2fsprogs");
}

/// A folder that is removed with all that is in it.
struct Staging {
    std::string path;
    ~Staging() {
        if (!path.empty()) [[maybe_unused]]
            const Status removed = remove_tree(path);
    }
};

Status build_disk(const std::vector<NodeFile>& files, const std::string& images,
                  const std::string& path) {
    MIMIC_ASSIGN_OR_RETURN(const std::string mkfs, find_mkfs());
    Staging staging{images + "/.tmp-node-XXXXXX"};
    if (::mkdtemp(staging.path.data()) == nullptr)
        return fail_errno("create a folder in {}", images);
    const std::string root = staging.path + "/root";
    for (const NodeFile& file : files) MIMIC_TRY(stage(file, root));
    uint64_t size = kFreeSpace;
    for (const NodeFile& file : files) {
        std::error_code error;
        size += fs::file_size(file.host, error);
        if (error) return file_failed(error, file.host);
    }
    const std::string disk = staging.path + "/disk";
    MIMIC_TRY(guest_image::run_tool(
        {mkfs, "-q", "-F", "-m", "0", "-O", "^has_journal", "-E",
         "lazy_itable_init=1,root_owner=0:0", "-d", root, disk, fmt::format("{}k", size >> 10)},
        false));
    std::error_code error;
    fs::rename(disk, path, error);
    if (error) return file_failed(error, path);
    return {};
}

void write_entry(archive* out, const char* name, const std::string& text, unsigned mode) {
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                              archive_entry_free);
    archive_entry_set_pathname(entry.get(), name);
    archive_entry_set_size(entry.get(), static_cast<int64_t>(text.size()));
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), static_cast<mode_t>(mode));
    // A failure is seen when the archive is closed.
    archive_write_header(out, entry.get());
    archive_write_data(out, text.data(), text.size());
}

}  // namespace

Result<std::string> make_node_disk(const std::vector<NodeFile>& files,
                                   guest_image::Progress& progress) {
    MIMIC_ASSIGN_OR_RETURN(const std::string cache, guest_image::cache_root());
    MIMIC_ASSIGN_OR_RETURN(const std::string scripts, guest_image::find_support_file("guest/node"));
    std::vector<NodeFile> all = files;
    for (const auto& [from, to] : kNodeFiles)
        all.push_back({fmt::format("{}/{}", scripts, from), to});
    std::string content(kDiskRecipe);
    for (const NodeFile& file : all) {
        MIMIC_ASSIGN_OR_RETURN(const std::string digest, file_digest(file.host));
        content += fmt::format("\n{} {}", file.node, digest);
    }
    const std::string images = cache + "/images";
    MIMIC_TRY(make_dirs(images));
    const std::string path = fmt::format("{}/node-{}.ext4", images,
                                         guest_image::sha256_hex(content).substr(0, 16));
    MIMIC_ASSIGN_OR_RETURN(const auto lock,
                           guest_image::FileLock::take(images + "/node-disk.lock"));
    if (guest_image::mark_used(path)) return path;
    progress.step("making the disk of the nodes");
    guest_image::tidy_folder(images, "node-", kKeepDays);
    MIMIC_TRY(build_disk(all, images, path));
    return path;
}

std::string node_address(unsigned subnet) {
    return fmt::format("10.0.{}.15", subnet);
}

std::string host_address(unsigned subnet) {
    return fmt::format("10.0.{}.2", subnet);
}

Status write_node_files(const NodeIdentity& node, const std::string& path) {
    const std::string settings = fmt::format(
        "NODE_NAME={}\nNODE_ADDRESS={}\nAPI_HOST={}\nAPI_PORT={}\nSERVICE_ADDRESS={}\n", node.name,
        node_address(node.subnet), host_address(node.subnet), node.api_port, kServiceAddress);
    return publish_file(path, [&](int fd) -> Status {
        const std::unique_ptr<archive, decltype(&archive_write_free)> out(archive_write_new(),
                                                                          archive_write_free);
        if (archive_write_set_format_ustar(out.get()) != ARCHIVE_OK ||
            archive_write_open_fd(out.get(), fd) != ARCHIVE_OK)
            return fail(std::errc::io_error, "{}", archive_error_string(out.get()));
        write_entry(out.get(), "etc/mimic-node", settings, 0644);
        write_entry(out.get(), "etc/kubernetes/kubelet.conf", node.kubeconfig, 0600);
        write_entry(out.get(), "etc/kubernetes/ca.crt", node.authority, 0644);
        if (archive_write_close(out.get()) != ARCHIVE_OK)
            return fail(std::errc::io_error, "{}: {}", path, archive_error_string(out.get()));
        return {};
    });
}

}  // namespace mimic::cluster
