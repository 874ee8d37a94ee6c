// SPDX-License-Identifier: Apache-2.0
#include "base/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <utility>

namespace mimic {
namespace {

// Connections that wait while the loop is busy. Arbitrary; a device serves one client anyway.
constexpr int kBacklog = 16;

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty()) return fail(std::errc::invalid_argument, "empty socket path");
    if (path.size() >= sizeof address.sun_path)
        return fail(std::errc::filename_too_long, "socket path of {} bytes, at most {} fit: {}",
                    path.size(), sizeof address.sun_path - 1, path);
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

Result<UniqueFd> connect(const std::string& path, int flags) {
    MIMIC_ASSIGN_OR_RETURN(const auto address, address_of(path));
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    if (!fd) return fail_errno("socket");
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fail_errno("connect {}", path);
    return fd;
}

// Removes the file at `path` if it is a socket that nobody serves.
Status remove_stale(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
        if (errno == ENOENT) return {};
        return fail_errno("{}", path);
    }
    if (!S_ISSOCK(info.st_mode))
        return fail(std::errc::address_in_use,
                    "{} exists and is no socket; remove it or choose another path", path);
    // Non-blocking: a server that does not accept, with its queue full, would keep us here.
    const auto probe = connect(path, SOCK_NONBLOCK);
    if (probe || probe.error().code() != std::errc::connection_refused)
        return fail(std::errc::address_in_use, "{} is in use by another process", path);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("unlink {}", path);
    return {};
}

}  // namespace

Result<UniqueFd> unix_connect(const std::string& path) {
    return connect(path, 0);
}

Result<UniqueFd> unix_connect_now(const std::string& path) {
    return connect(path, SOCK_NONBLOCK);
}

Result<UnixListener> UnixListener::listen(const std::string& path, mode_t mode) {
    MIMIC_ASSIGN_OR_RETURN(const auto address, address_of(path));
    MIMIC_TRY(remove_stale(path));
    UnixListener listener;
    listener.fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener.fd_) return fail_errno("socket");
    // Before bind(), which gives the file the socket's mode: there is no moment at which others may
    // connect.
    if (::fchmod(listener.fd_.get(), mode) != 0) return fail_errno("fchmod of a socket");
    if (::bind(listener.fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
        0)
        return fail_errno("bind {}", path);
    listener.path_ = path;
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0) {
        listener.device_ = info.st_dev;
        listener.inode_ = info.st_ino;
    }
    if (::listen(listener.fd_.get(), kBacklog) != 0) return fail_errno("listen {}", path);
    return listener;
}

UnixListener::UnixListener(UnixListener&& other) noexcept
    : fd_(std::move(other.fd_)),
      path_(std::exchange(other.path_, {})),
      device_(other.device_),
      inode_(other.inode_) {}

UnixListener& UnixListener::operator=(UnixListener&& other) noexcept {
    if (this != &other) {
        remove();
        fd_ = std::move(other.fd_);
        path_ = std::exchange(other.path_, {});
        device_ = other.device_;
        inode_ = other.inode_;
    }
    return *this;
}

UnixListener::~UnixListener() {
    remove();
}

void UnixListener::remove() {
    if (path_.empty()) return;
    struct stat info {};
    // Another process may have replaced the file meanwhile; that one is not ours to remove.
    if (::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_)
        ::unlink(path_.c_str());
    path_.clear();
}

Result<UniqueFd> UnixListener::accept() {
    for (;;) {
        UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (fd) return fd;
        switch (errno) {
            case EINTR:
            case ECONNABORTED:
                continue;
            case EAGAIN:
                return UniqueFd();
            default:
                return fail_errno("accept on {}", path_);
        }
    }
}

}  // namespace mimic
