// SPDX-License-Identifier: Apache-2.0
#include "dra/discovery/sysfs_reader.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <climits>

namespace mimic::dra {
namespace {

// Renames that may get in the way of one open. Arbitrary: each takes longer than our next try.
constexpr int kMaxRaces = 10'000;

Result<std::string> link_of(int fd) {
    std::array<char, PATH_MAX> text{};
    const std::string link = fmt::format("/proc/self/fd/{}", fd);
    const ssize_t length = ::readlink(link.c_str(), text.data(), text.size());
    if (length < 0) return fail_errno("readlink {}", link);
    return std::string(text.data(), static_cast<size_t>(length));
}

}  // namespace

Result<SysfsRoot> SysfsRoot::open(const std::string& root) {
    SysfsRoot out;
    const std::string path = root.empty() ? "/" : root;
    out.root_.reset(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!out.root_) return fail_errno("open {}", path);
    MIMIC_ASSIGN_OR_RETURN(out.real_root_, link_of(out.root_.get()));
    if (out.real_root_ == "/") out.real_root_.clear();
    return out;
}

Result<UniqueFd> SysfsRoot::open_dir(const std::string& path) const {
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    UniqueFd dir;
    // A rename anywhere on the machine while a ".." is followed makes the kernel give up (EAGAIN,
    // openat2(2)): a device must not seem to be gone for that.
    for (int attempt = 0; attempt < kMaxRaces && !dir; ++attempt) {
        // The C library has no wrapper for it.
        dir = UniqueFd(
            static_cast<int>(::syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof(how))));
        if (!dir && errno != EAGAIN && errno != EINTR) break;
    }
    if (!dir) return fail_errno("open {}/{}", real_root_, path);
    return dir;
}

Result<std::string> SysfsRoot::real_path(const UniqueFd& dir) const {
    MIMIC_ASSIGN_OR_RETURN(const std::string path, link_of(dir.get()));
    if (!path.starts_with(real_root_ + "/")) {
        return fail(std::errc::cross_device_link, "{} is not below {}", path, real_root_);
    }
    return path.substr(real_root_.size() + 1);
}

Result<std::string> read_attribute(const UniqueFd& dir, const std::string& name) {
    const UniqueFd file(::openat(dir.get(), name.c_str(),
                                 O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file) return fail_errno("open {}", name);
    struct stat info {};
    if (::fstat(file.get(), &info) != 0) return fail_errno("stat {}", name);
    if (!S_ISREG(info.st_mode)) return fail(std::errc::invalid_argument, "{} is no file", name);
    std::array<char, kMaxAttributeBytes + 1> buffer{};
    size_t size = 0;
    while (size < buffer.size()) {
        const ssize_t got = ::read(file.get(), buffer.data() + size, buffer.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno("read {}", name);
        if (got == 0) break;
        size += static_cast<size_t>(got);
    }
    if (size == buffer.size()) {
        return fail(std::errc::file_too_large, "{} has more than {} bytes", name,
                    kMaxAttributeBytes);
    }
    if (size != 0 && buffer[size - 1] == '\n') --size;
    return std::string(buffer.data(), size);
}

}  // namespace mimic::dra
