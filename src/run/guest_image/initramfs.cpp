// SPDX-License-Identifier: Apache-2.0
// The archive is written by libarchive; std::map keeps the paths sorted, and a folder's path is a
// prefix of its files' and so comes first, as the kernel needs.
#include "guest_image/initramfs.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>

#include <archive.h>
#include <archive_entry.h>

#include "base/unique_fd.h"

namespace mimic::guest_image {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFileBytes = 256u << 20;  // arbitrary; the largest file of a guest is 5 MiB

struct FreeArchive {
    void operator()(struct archive* archive) const { archive_free(archive); }
};
struct FreeEntry {
    void operator()(struct archive_entry* entry) const { archive_entry_free(entry); }
};
using ArchivePtr = std::unique_ptr<struct archive, FreeArchive>;
using EntryPtr = std::unique_ptr<struct archive_entry, FreeEntry>;

std::string_view reason_of(struct archive* archive) {
    const char* const text = archive_error_string(archive);
    return text != nullptr ? text : "no reason given";
}

tl::unexpected<Error> archive_failed(struct archive* archive, std::string_view what) {
    const int code = archive_errno(archive);
    if (code > 0) return tl::unexpected<Error>(Error::from_errno(code, what));
    return fail(std::errc::io_error, "{}: {}", what, reason_of(archive));
}

}  // namespace

void Initramfs::put(const std::string& path, Entry entry) {
    for (size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
        entries_.try_emplace(path.substr(0, slash), Entry{.kind = Kind::kFolder, .mode = 0755});
    }
    entries_.insert_or_assign(path, std::move(entry));
}

void Initramfs::add_folder(const std::string& path, unsigned mode) {
    put(path, Entry{.kind = Kind::kFolder, .mode = mode});
}

void Initramfs::add_file(const std::string& path, std::string data, unsigned mode) {
    put(path, Entry{.kind = Kind::kFile, .mode = mode, .data = std::move(data)});
}

void Initramfs::add_link(const std::string& path, const std::string& target) {
    put(path, Entry{.kind = Kind::kLink, .mode = 0777, .data = target});
}

void Initramfs::add_char_device(const std::string& path, unsigned major, unsigned minor,
                                unsigned mode) {
    put(path,
        Entry{.kind = Kind::kCharDevice, .mode = mode, .data = {}, .major = major, .minor = minor});
}

Status Initramfs::add_host_file(const std::string& path, const std::string& host_path) {
    struct stat st;
    if (::stat(host_path.c_str(), &st) != 0) return fail_errno("{}", host_path);
    MIMIC_ASSIGN_OR_RETURN(std::string data, read_host_file(host_path, kMaxFileBytes));
    add_file(path, std::move(data), (st.st_mode & S_IXUSR) != 0 ? 0755 : 0644);
    return {};
}

Status Initramfs::add_host_tree(const std::string& path, const std::string& host_folder) {
    std::error_code error;
    fs::recursive_directory_iterator it(host_folder, error);
    for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
        const fs::path& from = it->path();
        const std::string relative = from.lexically_relative(host_folder).string();
        const std::string to = path.empty() ? relative : path + "/" + relative;
        const fs::file_status status = it->symlink_status(error);
        if (error) break;
        if (fs::is_symlink(status)) {
            const fs::path target = fs::read_symlink(from, error);
            if (error) break;
            add_link(to, target.string());
        } else if (fs::is_directory(status)) {
            add_folder(to, static_cast<unsigned>(status.permissions()) & 07777);
        } else if (fs::is_regular_file(status)) {
            MIMIC_TRY(add_host_file(to, from.string()));
        } else {
            return fail(std::errc::invalid_argument, "{} is no file, folder or link",
                        from.string());
        }
    }
    if (error) {
        return tl::unexpected<Error>(
            Error::from_errno(error.value(), fmt::format("read folder {}", host_folder)));
    }
    return {};
}

Status Initramfs::write(int fd) const {
    const ArchivePtr archive(archive_write_new());
    const EntryPtr entry(archive_entry_new());
    if (!archive || !entry) return fail(std::errc::not_enough_memory, "no memory for an archive");
    archive_write_set_format_cpio_newc(archive.get());
    archive_write_add_filter_none(archive.get());
    if (archive_write_open_fd(archive.get(), fd) != ARCHIVE_OK) {
        return archive_failed(archive.get(), "open the archive");
    }
    for (const auto& [path, from] : entries_) {
        archive_entry_clear(entry.get());
        archive_entry_set_pathname(entry.get(), path.c_str());
        archive_entry_set_perm(entry.get(), from.mode);
        archive_entry_set_mtime(entry.get(), 0, 0);
        archive_entry_set_nlink(entry.get(), 1);
        archive_entry_set_size(entry.get(), 0);
        switch (from.kind) {
            case Kind::kFolder:
                archive_entry_set_filetype(entry.get(), AE_IFDIR);
                break;
            case Kind::kFile:
                archive_entry_set_filetype(entry.get(), AE_IFREG);
                archive_entry_set_size(entry.get(), static_cast<la_int64_t>(from.data.size()));
                break;
            case Kind::kLink:
                archive_entry_set_filetype(entry.get(), AE_IFLNK);
                archive_entry_set_symlink(entry.get(), from.data.c_str());
                break;
            case Kind::kCharDevice:
                archive_entry_set_filetype(entry.get(), AE_IFCHR);
                archive_entry_set_rdevmajor(entry.get(), from.major);
                archive_entry_set_rdevminor(entry.get(), from.minor);
                break;
        }
        if (archive_write_header(archive.get(), entry.get()) != ARCHIVE_OK) {
            return archive_failed(archive.get(), path);
        }
        if (from.kind != Kind::kFile || from.data.empty()) continue;
        const la_ssize_t written = archive_write_data(archive.get(), from.data.data(),
                                                      from.data.size());
        if (written != static_cast<la_ssize_t>(from.data.size())) {
            return archive_failed(archive.get(), path);
        }
    }
    if (archive_write_close(archive.get()) != ARCHIVE_OK) {
        return archive_failed(archive.get(), "finish the archive");
    }
    return {};
}

Result<std::string> Initramfs::bytes() const {
    const UniqueFd fd(::memfd_create("mimic-initramfs", MFD_CLOEXEC));
    if (!fd) return fail_errno("memory for an archive");
    MIMIC_TRY(write(fd.get()));
    return read_host_file(fmt::format("/proc/self/fd/{}", fd.get()), SIZE_MAX);
}

Result<std::string> read_host_file(const std::string& path, size_t max_bytes) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail_errno("open {}", path);
    struct stat st;
    if (::fstat(fd.get(), &st) != 0) return fail_errno("{}", path);
    std::string data;
    if (st.st_size > 0) data.reserve(std::min(static_cast<size_t>(st.st_size), max_bytes));
    std::string buffer(65536, '\0');
    for (;;) {
        const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("read {}", path);
        if (count == 0) return data;
        if (data.size() + static_cast<size_t>(count) > max_bytes) {
            return fail(std::errc::file_too_large, "{} is larger than {} MiB", path,
                        max_bytes >> 20);
        }
        data.append(buffer.data(), static_cast<size_t>(count));
    }
}

Result<std::string> decompress(std::string_view data, size_t max_bytes) {
    const ArchivePtr archive(archive_read_new());
    if (!archive) return fail(std::errc::not_enough_memory, "no memory to decompress");
    archive_read_support_filter_gzip(archive.get());
    archive_read_support_filter_xz(archive.get());
    archive_read_support_filter_zstd(archive.get());
    archive_read_support_filter_lz4(archive.get());
    archive_read_support_format_raw(archive.get());
    struct archive_entry* entry = nullptr;  // owned by the archive
    if (archive_read_open_memory(archive.get(), data.data(), data.size()) != ARCHIVE_OK ||
        archive_read_next_header(archive.get(), &entry) != ARCHIVE_OK) {
        return fail(std::errc::illegal_byte_sequence, "decompress: {}", reason_of(archive.get()));
    }
    std::string out;
    std::string buffer(1u << 20, '\0');
    for (;;) {
        const la_ssize_t count = archive_read_data(archive.get(), buffer.data(), buffer.size());
        if (count < 0) {
            return fail(std::errc::illegal_byte_sequence, "decompress: {}",
                        reason_of(archive.get()));
        }
        if (count == 0) return out;
        if (out.size() + static_cast<size_t>(count) > max_bytes) {
            return fail(std::errc::file_too_large, "decompressed data exceed {} MiB",
                        max_bytes >> 20);
        }
        out.append(buffer.data(), static_cast<size_t>(count));
    }
}

}  // namespace mimic::guest_image
