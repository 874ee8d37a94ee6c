// SPDX-License-Identifier: Apache-2.0
#include "machine/copy_command.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/private_files.h"
#include "base/terminal_text.h"
#include "guest_agent/guest_copy.h"
#include "machine/exec_command.h"
#include "streams/guest_files.h"
#include "streams/relay.h"

namespace mimic::machine {
namespace {

namespace fs = std::filesystem;
using guest_agent::CopiedFile;
using streams::Guest;

/// Above this the agent's way is worth a word.
constexpr size_t kSlowBytes = 1u << 20;

Guest guest_of(const CopyPlace& place) {
    return {streams::relay_socket_path(place.run_dir), stream_patience(place.run_dir)};
}

std::string last_part(const std::string& path) {
    return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

/// A file of the host, opened to be read.
struct HostFile {
    UniqueFd fd;
    std::string name;  // empty: standard input
    unsigned mode = 0644;
};

Result<HostFile> open_on_host(const std::string& path) {
    HostFile file;
    if (path == guest_agent::kStandardStream) {
        file.fd.reset(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
        if (!file.fd) return fail_errno("standard input");
        return file;
    }
    file.fd.reset(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));  // a FIFO waits
    struct stat st {};
    if (!file.fd || ::fstat(file.fd.get(), &st) != 0) return fail_errno("{}", path);
    if (S_ISDIR(st.st_mode))
        return fail(std::errc::is_a_directory, "{} is a folder; cp -r copies folders", path);
    if (!S_ISREG(st.st_mode))
        return fail(std::errc::invalid_argument, "{} is no regular file; cp - takes what is piped",
                    path);
    file.name = last_part(path);
    file.mode = st.st_mode & 0777;
    return file;
}

Status to_guest(const CopyPlace& from, const CopyPlace& to) {
    MIMIC_ASSIGN_OR_RETURN(const HostFile file, open_on_host(from.path));
    return streams::put_file(guest_of(to), file.fd.get(), file.name, file.mode, to.path);
}

/// A regular file appears whole or not at all.
Status to_host(const CopyPlace& from, const CopyPlace& to) {
    const Guest guest = guest_of(from);
    const auto fetch = [&](int fd) -> Status {
        MIMIC_TRY(streams::get_file(guest, from.path, fd));
        return {};
    };
    if (to.path == guest_agent::kStandardStream) return fetch(STDOUT_FILENO);
    std::error_code ignored;
    const fs::file_status status = fs::status(to.path, ignored);
    if (to.path.ends_with('/') && !fs::is_directory(status))
        return fail(std::errc::not_a_directory, "{} is no folder", to.path);
    const std::string target = fs::is_directory(status) ? to.path + "/" + last_part(from.path)
                                                        : to.path;
    const fs::file_status existing = fs::status(target, ignored);
    if (fs::exists(existing) && !fs::is_regular_file(existing)) {
        // A device or a FIFO: /dev/stdout, say.
        const UniqueFd fd(::open(target.c_str(), O_WRONLY | O_CLOEXEC));
        if (!fd) return fail_errno("open {}", target);
        return fetch(fd.get());
    }
    return publish_file(target, [&](int fd) -> Status {
        MIMIC_ASSIGN_OR_RETURN(const unsigned mode, streams::get_file(guest, from.path, fd));
        if (::fchmod(fd, mode) != 0) return fail_errno("chmod");
        return {};
    });
}

/// By way of a file here that has no name.
Status between_guests(const CopyPlace& from, const CopyPlace& to) {
    std::error_code ignored;
    const std::string folder = fs::temp_directory_path(ignored).string();
    const UniqueFd fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!fd) return fail_errno("a temporary file in {}", folder);
    MIMIC_ASSIGN_OR_RETURN(const unsigned mode,
                           streams::get_file(guest_of(from), from.path, fd.get()));
    if (::lseek(fd.get(), 0, SEEK_SET) != 0) return fail_errno("lseek");
    return streams::put_file(guest_of(to), fd.get(), last_part(from.path), mode, to.path);
}

Status copy_file(const CopyPlace& from, const CopyPlace& to) {
    if (from.run_dir.empty()) return to_guest(from, to);
    return to.run_dir.empty() ? to_host(from, to) : between_guests(from, to);
}

Result<CopiedFile> fetch_by_agent(const CopyPlace& from) {
    if (from.run_dir.empty()) return guest_agent::fetch_from_host(from.path);
    MIMIC_ASSIGN_OR_RETURN(const auto agent, connect_to_agent(from.run_dir));
    return guest_agent::fetch_from_guest(*agent, from.path);
}

Status copy_by_agent(const CopyPlace& from, const CopyPlace& to, const Error& why) {
    MIMIC_ASSIGN_OR_RETURN(const CopiedFile file, fetch_by_agent(from));
    if (file.data.size() > kSlowBytes)
        fmt::print(stderr, "mimic: by the guest agent, at less than 1 MB/s: {}\n",
                   terminal_lines(why.message()));
    if (to.run_dir.empty()) return guest_agent::store_on_host(file, to.path);
    MIMIC_ASSIGN_OR_RETURN(const auto agent, connect_to_agent(to.run_dir));
    return guest_agent::store_in_guest(*agent, file, to.path);
}

/// Returns how many files were left out.
Result<unsigned> copy_folder(const CopyPlace& from, const CopyPlace& to) {
    const std::string path = from.path;
    if (from.run_dir.empty()) return streams::put_tree(guest_of(to), path, to.path);
    if (to.run_dir.empty()) {
        if (to.path == guest_agent::kStandardStream)
            return fail(std::errc::invalid_argument,
                        "a folder is no stream; mimic exec NODE -- tar -c makes one");
        return streams::get_tree(guest_of(from), path, to.path);
    }
    return fail(std::errc::not_supported,
                "a folder goes from guest to guest by the host: two copies");
}

Result<bool> is_folder(const CopyPlace& from) {
    std::error_code ignored;
    if (from.run_dir.empty()) return fs::is_directory(from.path, ignored);
    return streams::is_folder(guest_of(from), from.path);
}

Result<unsigned> copy(const CopyPlace& from, const CopyPlace& to, bool recursive) {
    if (recursive) {
        MIMIC_ASSIGN_OR_RETURN(const bool folder, is_folder(from));
        if (folder) return copy_folder(from, to);
    }
    const Status done = copy_file(from, to);
    if (done) return 0u;
    if (done.error().code() != std::errc::not_supported) return tl::unexpected(done.error());
    MIMIC_TRY(copy_by_agent(from, to, done.error()));
    return 0u;
}

}  // namespace

int run_cp(const CopyPlace& from, const CopyPlace& to, bool recursive) {
    const Result<unsigned> left_out = copy(from, to, recursive);
    if (!left_out) {
        // Much of it is what a guest said.
        fmt::print(stderr, "mimic: {}\n", terminal_lines(left_out.error().message()));
        return 1;
    }
    if (*left_out == 0) return 0;
    fmt::print(stderr, "mimic: left out: {} that are no files, folders or links\n", *left_out);
    return 1;
}

}  // namespace mimic::machine
