// SPDX-License-Identifier: Apache-2.0
#include "base/private_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/unique_fd.h"

namespace mimic {
namespace {

constexpr size_t kMaxSmallFile = 16u << 20;
constexpr size_t kTailBytes = 64u << 10;  // enough for any number of lines that a person reads

Status write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(fd, text.data(), text.size());
        if (count < 0) {
            if (errno == EINTR) continue;
            return fail_errno("write");
        }
        text.remove_prefix(static_cast<size_t>(count));
    }
    return {};
}

std::string printable(std::string_view line) {
    std::string clean;
    for (size_t i = 0; i < line.size(); ++i) {
        const auto c = static_cast<unsigned char>(line[i]);
        if (c == 0x1b && i + 1 < line.size() && line[i + 1] == '[') {
            // A control sequence: parameters, then one byte 0x40..0x7e (ECMA-48, 5.4).
            for (i += 2; i < line.size() && (line[i] < 0x40 || line[i] > 0x7e);) ++i;
        } else if (c == '\t' || (c >= 0x20 && c != 0x7f)) {
            clean.push_back(static_cast<char>(c));
        }
    }
    return clean;
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

Status write_file_atomically(const std::string& path, std::string_view text) {
    const std::string temporary = fmt::format("{}.{}.tmp", path, ::getpid());
    const UniqueFd fd(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return fail_errno("cannot write {}", path);
    Status done = write_all(fd.get(), text);
    if (done && ::rename(temporary.c_str(), path.c_str()) != 0) done = fail_errno("rename");
    if (!done) {
        ::unlink(temporary.c_str());
        return tl::unexpected(std::move(done).error().with_context("cannot write " + path));
    }
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
    std::string_view rest = text;
    while (!rest.empty()) {
        const size_t end = std::min(rest.find('\n'), rest.size());
        found.push_back(printable(rest.substr(0, end)));
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
