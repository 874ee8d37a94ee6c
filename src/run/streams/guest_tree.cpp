// SPDX-License-Identifier: Apache-2.0
// Folders as tar archives, which libarchive makes and unpacks here and the guest's tar there.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>

#include "base/private_files.h"
#include "base/terminal_text.h"
#include "streams/guest_command.h"
#include "streams/guest_files.h"
#include "streams/guest_words.h"

namespace mimic::streams {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlock = 64u << 10;
constexpr uint64_t kMaxHeader = 8u << 20;        // of an entry, with its name and map of holes
constexpr uint64_t kMaxFolderNames = 64u << 20;  // libarchive keeps those of all folders
constexpr uint64_t kMaxPadding = 1u << 20;       // behind an archive's end; tar's is 10 KiB

/// $1 the target, $2 the folder's name.
constexpr const char* kUnpack = R"(t=$1
[ ! -d "$t" ] || t=${t%/}/$2
[ -d "$t" ] || mkdir "$t" || exit
cd "$t" && exec tar -xpf -)";
constexpr const char* kPack = R"([ -d "$1" ] || { echo "$1 is no folder" >&2; exit 1; }
cd "$1" && exec tar -cf - .)";

struct FreeArchive {
    void operator()(struct archive* archive) const { archive_free(archive); }
};
struct FreeEntry {
    void operator()(struct archive_entry* entry) const { archive_entry_free(entry); }
};
using ArchivePtr = std::unique_ptr<struct archive, FreeArchive>;
using EntryPtr = std::unique_ptr<struct archive_entry, FreeEntry>;

Error archive_failed(struct archive* archive, std::string_view what) {
    const char* const text = archive_error_string(archive);
    return Error(std::errc::io_error,
                 fmt::format("{}: {}", what, terminal_text(text ? text : "no reason given")));
}

Status put_content(struct archive* archive, int fd, uint64_t size) {
    std::vector<char> buffer(kBlock);
    // As much as the header says: the file may grow or shrink meanwhile.
    while (size > 0) {
        const ssize_t count = ::read(fd, buffer.data(), std::min<uint64_t>(buffer.size(), size));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("read");
        if (count == 0) return {};  // libarchive fills it up with zeros
        if (archive_write_data(archive, buffer.data(), static_cast<size_t>(count)) < 0)
            return tl::unexpected(archive_failed(archive, "pack"));
        size -= static_cast<uint64_t>(count);
    }
    return {};
}

/// Adds what is at `path` as `name`. False: it is of no kind that is copied.
Result<bool> put_one(struct archive* archive, const std::string& path, const std::string& name) {
    UniqueFd fd;
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0) return fail_errno("{}", path);
    std::string target;
    if (S_ISREG(st.st_mode)) {
        fd.reset(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        if (!fd || ::fstat(fd.get(), &st) != 0) return fail_errno("open {}", path);
    } else if (S_ISLNK(st.st_mode)) {
        std::error_code error;
        target = fs::read_symlink(path, error).string();
        if (error) return fail(std::errc::io_error, "{}: {}", path, error.message());
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)) return false;
    const EntryPtr entry(archive_entry_new());
    if (!entry) return fail(std::errc::not_enough_memory, "no memory to pack");
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_filetype(entry.get(), st.st_mode & S_IFMT);
    archive_entry_set_perm(entry.get(), st.st_mode & 0777);
    archive_entry_set_mtime(entry.get(), st.st_mtime, 0);
    archive_entry_set_size(entry.get(), S_ISREG(st.st_mode) ? st.st_size : 0);
    if (S_ISLNK(st.st_mode)) archive_entry_set_symlink(entry.get(), target.c_str());
    if (archive_write_header(archive, entry.get()) != ARCHIVE_OK)
        return tl::unexpected(archive_failed(archive, path));
    if (S_ISREG(st.st_mode))
        MIMIC_TRY(put_content(archive, fd.get(), static_cast<uint64_t>(st.st_size)));
    return true;
}

/// Packs the folder `from` into `output`. Returns how much was left out.
Result<unsigned> pack(const std::string& from, int output) {
    const ArchivePtr archive(archive_write_new());
    // GNU's format keeps names as bytes, of any length.
    if (!archive || archive_write_set_format_gnutar(archive.get()) != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(archive.get(), static_cast<int>(kBlock)) != ARCHIVE_OK ||
        archive_write_open_fd(archive.get(), output) != ARCHIVE_OK)
        return fail(std::errc::not_enough_memory, "no memory to pack");
    unsigned left_out = 0;
    MIMIC_ASSIGN_OR_RETURN([[maybe_unused]] const bool put, put_one(archive.get(), from, "."));
    std::error_code error;
    for (fs::recursive_directory_iterator it(from, error), end; !error && it != end;
         it.increment(error)) {
        const std::string path = it->path().string();
        MIMIC_ASSIGN_OR_RETURN(
            const bool done,
            put_one(archive.get(), path, "./" + it->path().lexically_relative(from).string()));
        if (!done) ++left_out;
    }
    if (error) return tl::unexpected(Error::from_errno(error.value(), "read " + from));
    if (archive_write_close(archive.get()) != ARCHIVE_OK)
        return tl::unexpected(archive_failed(archive.get(), "pack"));
    return left_out;
}

Status copy_content(struct archive* from, struct archive* to) {
    for (;;) {
        const void* block = nullptr;
        size_t size = 0;
        la_int64_t offset = 0;
        const int got = archive_read_data_block(from, &block, &size, &offset);
        if (got == ARCHIVE_EOF) return {};
        if (got != ARCHIVE_OK) return tl::unexpected(archive_failed(from, "the guest's archive"));
        if (archive_write_data_block(to, block, size, offset) < 0)
            return tl::unexpected(archive_failed(to, "write"));
    }
}

/// Makes an entry of the guest's harmless. False: it is of no kind that is copied.
bool tame(struct archive_entry* entry) {
    const auto kind = archive_entry_filetype(entry);
    const bool is_link = archive_entry_hardlink(entry) != nullptr;
    if (kind != AE_IFREG && kind != AE_IFDIR && kind != AE_IFLNK && !is_link) return false;
    const unsigned all = kind == AE_IFDIR ? 0700 : 0;
    archive_entry_set_perm(entry, (archive_entry_perm(entry) & 0777) | all);
    return archive_entry_pathname(entry) != nullptr;
}

/// Where a guest's archive comes from. What libarchive keeps of a header has no limit of its own.
struct Source {
    int fd;
    std::vector<char> buffer = std::vector<char>(kBlock);
    bool in_header = false;
    uint64_t header_bytes = 0;

    static la_ssize_t read(struct archive* archive, void* self, const void** block) {
        Source& source = *static_cast<Source*>(self);
        ssize_t count = 0;
        do count = ::read(source.fd, source.buffer.data(), source.buffer.size());
        while (count < 0 && errno == EINTR);
        if (count < 0) {
            archive_set_error(archive, errno, "read: %s", std::strerror(errno));
            return ARCHIVE_FATAL;
        }
        if (source.in_header) source.header_bytes += static_cast<uint64_t>(count);
        if (source.header_bytes > kMaxHeader) {
            // libarchive's own printf prints %llu as it is.
            archive_set_error(archive, EINVAL, "an entry has a header of more than %d MiB",
                              static_cast<int>(kMaxHeader >> 20));
            return ARCHIVE_FATAL;
        }
        *block = source.buffer.data();
        return count;
    }

    int next_header(struct archive* archive, struct archive_entry** entry) {
        in_header = true;
        header_bytes = 0;
        const int got = archive_read_next_header(archive, entry);
        in_header = false;
        return got;
    }

    /// What tar writes behind the end: whoever sends it must not meet a closed pipe.
    Status drain() {
        for (uint64_t drained = 0; drained <= kMaxPadding;) {
            const ssize_t count = ::read(fd, buffer.data(), buffer.size());
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) return fail_errno("read");
            if (count == 0) return {};
            drained += static_cast<uint64_t>(count);
        }
        return fail(std::errc::protocol_error,
                    "the guest sends more than {} MiB behind the end of its archive",
                    kMaxPadding >> 20);
    }
};

/// Unpacks `input` below the working folder of this thread. Returns how much was left out.
Result<unsigned> unpack(int input) {
    Source source{.fd = input};
    uint64_t folder_names = 0;
    const ArchivePtr archive(archive_read_new());
    const ArchivePtr disk(archive_write_disk_new());
    if (!archive || !disk) return fail(std::errc::not_enough_memory, "no memory to unpack");
    archive_read_support_format_tar(archive.get());
    archive_write_disk_set_options(
        disk.get(), ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                        ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS);
    if (archive_read_open(archive.get(), &source, nullptr, Source::read, nullptr) != ARCHIVE_OK)
        return tl::unexpected(archive_failed(archive.get(), "the guest's archive"));
    unsigned left_out = 0;
    for (;;) {
        struct archive_entry* entry = nullptr;  // the archive's
        const int got = source.next_header(archive.get(), &entry);
        if (got == ARCHIVE_EOF) break;
        if (got != ARCHIVE_OK && got != ARCHIVE_WARN)
            return tl::unexpected(archive_failed(archive.get(), "the guest's archive"));
        if (!tame(entry)) {
            ++left_out;
            archive_read_data_skip(archive.get());  // here, where it is no part of a header
            continue;
        }
        if (archive_entry_filetype(entry) == AE_IFDIR)
            folder_names += std::strlen(archive_entry_pathname(entry)) + sizeof(struct stat);
        if (folder_names > kMaxFolderNames)
            return fail(std::errc::value_too_large, "the guest's folder has too many folders");
        if (archive_write_header(disk.get(), entry) != ARCHIVE_OK) {
            const std::string name = terminal_text(archive_entry_pathname(entry));
            return tl::unexpected(
                Error(std::errc::permission_denied,
                      archive_failed(disk.get(), "refused " + name + " of the guest").message()));
        }
        MIMIC_TRY(copy_content(archive.get(), disk.get()));
        if (archive_write_finish_entry(disk.get()) < ARCHIVE_WARN)
            return tl::unexpected(archive_failed(disk.get(), "write"));
    }
    if (archive_write_close(disk.get()) < ARCHIVE_WARN)
        return tl::unexpected(archive_failed(disk.get(), "write"));
    MIMIC_TRY(source.drain());
    return left_out;
}

/// The last part of a path; of "/a/b/" it is b.
std::string name_of(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path.substr(path.rfind('/') + 1);
}

/// Where the copy goes: made, and no link, which a guest may have put there before.
Result<UniqueFd> target_folder(const std::string& from, const std::string& to) {
    std::string target = to;
    std::error_code ignored;
    if (fs::is_directory(to, ignored)) {
        const std::string name = name_of(from);
        if (name.empty() || name == "." || name == "..")
            return fail(std::errc::invalid_argument,
                        "{} has no name for the copy in {}; name a folder that is not there", from,
                        to);
        target = to + "/" + name;
    }
    if (::mkdir(target.c_str(), 0777) != 0 && errno != EEXIST) return fail_errno("{}", target);
    UniqueFd fd(::open(target.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return fail_errno("{}", target);
    return fd;
}

struct Pipe {
    UniqueFd read;
    UniqueFd write;
    static Result<Pipe> create() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
        (void)::fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);  // fewer switches; any size will do
        return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
    }
};

/// What came of both sides of a copy.
Result<unsigned> joined(Result<unsigned> ours, Result<CommandEnd> end, const std::string& said) {
    if (!end) return tl::unexpected<Error>(std::move(end).error());
    if (end->shell_status() != 0)
        return fail(std::errc::io_error, "in the guest: {}",
                    said.empty() ? fmt::format("tar ended with status {}", end->shell_status())
                                 : shown(said));
    return ours;
}

}  // namespace

Result<unsigned> put_tree(const Guest& guest, const std::string& from, const std::string& path) {
    MIMIC_ASSIGN_OR_RETURN(Pipe pipe, Pipe::create());
    ::signal(SIGPIPE, SIG_IGN);  // the guest's tar may end first
    std::string said;
    CommandSpec spec{.argv = {"/bin/sh", "-c", kUnpack, "sh", plain(path), name_of(from)},
                     .input = pipe.read.get()};
    spec.output = [&said](int, std::string_view data) -> Status {
        keep(said, data);
        return {};
    };
    MIMIC_ASSIGN_OR_RETURN(auto command,
                           GuestCommand::start(guest.socket, std::move(spec), guest.patience));
    Result<unsigned> packed = 0u;
    std::thread packer([&, output = std::move(pipe.write)]() mutable {
        packed = pack(from, output.get());
        output.reset();
    });
    Result<CommandEnd> end = run_to_end(*command);
    command.reset();
    pipe.read.reset();
    packer.join();
    // What we could not read; an error of writing follows from the guest's.
    if (!packed && packed.error().code() != std::errc::io_error) return packed;
    return joined(std::move(packed), std::move(end), said);
}

Result<unsigned> get_tree(const Guest& guest, const std::string& path, const std::string& to) {
    MIMIC_ASSIGN_OR_RETURN(Pipe pipe, Pipe::create());
    ::signal(SIGPIPE, SIG_IGN);
    MIMIC_ASSIGN_OR_RETURN(const bool folder, is_folder(guest, path));
    if (!folder) return fail(std::errc::not_a_directory, "{} in the guest is no folder", path);
    MIMIC_ASSIGN_OR_RETURN(const UniqueFd target, target_folder(path, to));
    std::string said;
    CommandSpec spec{.argv = {"/bin/sh", "-c", kPack, "sh", plain(path)}};
    spec.output = [&](int stream, std::string_view data) -> Status {
        if (stream == 1) return write_all(pipe.write.get(), data);
        keep(said, data);
        return {};
    };
    Result<unsigned> unpacked = 0u;
    std::thread unpacker([&, input = std::move(pipe.read)]() mutable {
        // A working folder of this thread's own.
        if (::unshare(CLONE_FS) != 0 || ::fchdir(target.get()) != 0)
            unpacked = fail_errno("enter the target");
        else
            unpacked = unpack(input.get());
        input.reset();  // whoever still writes notices
    });
    Result<CommandEnd> end = run_command(guest.socket, std::move(spec), guest.patience);
    pipe.write.reset();
    unpacker.join();
    if (!unpacked) return unpacked;  // then the guest's tar was ended by us
    return joined(std::move(unpacked), std::move(end), said);
}

}  // namespace mimic::streams
