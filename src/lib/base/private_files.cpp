// SPDX-License-Identifier: Apache-2.0
#include "base/private_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <random>

#include "base/terminal_text.h"
#include "base/unique_fd.h"

namespace mimic {
namespace {

constexpr size_t kMaxSmallFile = 16u << 20;
constexpr size_t kTailBytes = 64u << 10;  // enough for any number of lines that a person reads

constexpr mode_t kPrivate = 0600;
constexpr mode_t kPublic = 0666;  // less the umask

// As publish_file(), with errors that do not name the file.
Status publish(const std::string& path, mode_t mode, const std::function<Status(int fd)>& fill) {
    const std::filesystem::path target(path);
    const std::string temporary = target.parent_path() /
                                  fmt::format("{}{:08x}-{}", kTemporaryPrefix,
                                              std::random_device()(), target.filename().string());
    // O_EXCL: in a folder that others can write to, a file that is there already is theirs.
    const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (!fd) return fail_errno("no new file beside it");
    Status done = fill(fd.get());
    // Some file systems tell only now that the disk is full.
    if (done && ::fsync(fd.get()) != 0) done = fail_errno("write");
    if (done && ::rename(temporary.c_str(), path.c_str()) != 0) done = fail_errno("rename");
    if (!done) ::unlink(temporary.c_str());
    return done;
}

}  // namespace

Status make_private_dir(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("mkdir {}", path);
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
        if (errno == ELOOP || errno == ENOTDIR)
            return fail(std::errc::permission_denied,
                        "{} is not a folder of its own (a link or a file); remove it", path);
        return fail_errno("{}", path);
    }
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return fail_errno("stat {}", path);
    if (info.st_uid != ::geteuid())
        return fail(std::errc::permission_denied,
                    "{} belongs to user {}, not to {}; remove it or set XDG_RUNTIME_DIR", path,
                    info.st_uid, ::geteuid());
    if ((info.st_mode & 077) != 0)
        return fail(std::errc::permission_denied,
                    "{} is open to others (mode {:o}); run: chmod 700 {}", path,
                    info.st_mode & 07777, path);
    return {};
}

Status check_owner(const std::string& path, std::string_view what_to_do) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return fail_errno("{}", path);
    if (info.st_uid != ::geteuid() && info.st_uid != 0)
        return fail(std::errc::permission_denied, "{} belongs to user {}, not to {}; {}", path,
                    info.st_uid, ::geteuid(), what_to_do);
    if ((info.st_mode & S_IWOTH) != 0 && (info.st_mode & S_ISVTX) == 0)
        return fail(std::errc::permission_denied,
                    "everybody may replace what is in {} (mode {:o}); {}", path,
                    info.st_mode & 07777, what_to_do);
    return {};
}

Status write_all(int fd, std::string_view data) {
    while (!data.empty()) {
        const ssize_t count = ::write(fd, data.data(), data.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("write");
        data.remove_prefix(static_cast<size_t>(count));
    }
    return {};
}

Status publish_file(const std::string& path, const std::function<Status(int fd)>& fill) {
    Status done = publish(path, kPrivate, fill);
    if (!done) return tl::unexpected(std::move(done).error().with_context(path));
    return {};
}

Status write_file_atomically(const std::string& path, std::string_view text) {
    Status done = publish(path, kPrivate, [text](int fd) { return write_all(fd, text); });
    if (!done) return tl::unexpected(std::move(done).error().with_context("cannot write " + path));
    return {};
}

Status write_public_file(const std::string& path, std::string_view text) {
    struct stat info {};
    const auto write = [&]() -> Status {
        if (::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode))
            return publish(path, kPublic, [text](int fd) { return write_all(fd, text); });
        // Root could replace /dev/null.
        const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC));
        if (!fd) return fail_errno("open");
        return write_all(fd.get(), text);
    };
    Status done = write();
    if (!done) return tl::unexpected(std::move(done).error().with_context("cannot write " + path));
    return {};
}

Result<std::string> read_small_file(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail_errno("{}", path);
    std::string text;
    std::array<char, 65536> buffer{};
    for (;;) {
        const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("read {}", path);
        if (count == 0) return text;
        text.append(buffer.data(), static_cast<size_t>(count));
        if (text.size() > kMaxSmallFile)
            return fail(std::errc::file_too_large, "{} is larger than 16 MiB", path);
    }
}

std::vector<std::string> last_lines(const std::string& path, size_t lines) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return {};
    const off_t size = ::lseek(fd.get(), 0, SEEK_END);
    const off_t start = std::max<off_t>(0, size - static_cast<off_t>(kTailBytes));
    std::string text(kTailBytes, '\0');
    const ssize_t count = ::pread(fd.get(), text.data(), text.size(), start);
    text.resize(count > 0 ? static_cast<size_t>(count) : 0);

    std::vector<std::string> found;
    text = terminal_lines(text);
    std::string_view rest = text;
    while (!rest.empty()) {
        const size_t end = std::min(rest.find('\n'), rest.size());
        found.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    // Drop what a cut or a quiet guest leaves.
    while (!found.empty() && found.back().empty()) found.pop_back();
    if (found.size() > lines)
        found.erase(found.begin(), found.end() - static_cast<ptrdiff_t>(lines));
    return found;
}

Status remove_tree(const std::string& path) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return tl::unexpected(Error::from_errno(error.value(), "cannot remove " + path));
    return {};
}

Status make_dirs(const std::string& path) {
    std::error_code error;
    const std::filesystem::path whole(path);
    std::filesystem::create_directories(whole.parent_path(), error);
    if (error) return tl::unexpected(Error::from_errno(error.value(), "cannot make " + path));
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
        return fail_errno("cannot make {}", path);
    return {};
}

}  // namespace mimic
