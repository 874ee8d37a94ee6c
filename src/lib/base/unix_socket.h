// SPDX-License-Identifier: Apache-2.0
// UNIX stream sockets by path: listening safely, connecting, cleaning up.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mimic {

/// A listening socket and the file that names it; removes the file when destroyed, if it is still
/// the same one.
class UnixListener {
public:
    /// Listens at `path`, whose file gets `mode` (who may connect). A socket file that nobody
    /// serves any more is replaced. Errors: ENAMETOOLONG (over 107 bytes), EADDRINUSE (somebody
    /// serves it, or the file is no socket), EACCES, ENOENT and others of bind(2).
    static Result<UnixListener> listen(const std::string& path, mode_t mode = 0600);

    UnixListener(UnixListener&& other) noexcept;
    UnixListener& operator=(UnixListener&& other) noexcept;
    UnixListener(const UnixListener&) = delete;
    UnixListener& operator=(const UnixListener&) = delete;
    ~UnixListener();

    int fd() const { return fd_.get(); }
    const std::string& path() const { return path_; }

    /// A waiting connection (non-blocking, close-on-exec), or an empty descriptor if there is none.
    /// Errors: EMFILE, ENFILE, ENOMEM.
    Result<UniqueFd> accept();

private:
    UnixListener() = default;
    void remove();

    UniqueFd fd_;
    std::string path_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

/// Connects to the socket at `path`; the descriptor is blocking and close-on-exec. Errors:
/// ENAMETOOLONG and those of connect(2).
Result<UniqueFd> unix_connect(const std::string& path);

/// Same without waiting: EAGAIN if so many others wait to be accepted that there is no room for one
/// more, where unix_connect() would block without limit. The descriptor is non-blocking.
Result<UniqueFd> unix_connect_now(const std::string& path);

}  // namespace mimic
