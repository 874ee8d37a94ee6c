// SPDX-License-Identifier: Apache-2.0
// Files of the cache that are made once, by whoever comes first, and then only read.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mimic::guest {

/// SHA-256 of `text` as 64 hexadecimal digits. Thread-safe.
std::string sha256_hex(std::string_view text);

/// An exclusive flock(2) on a file, made if missing; held until destroyed. Blocks while another
/// process has it.
class FileLock {
public:
    static Result<FileLock> take(const std::string& path);

private:
    explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

/// Makes a file appear at `path` whole or not at all: `fill` writes to a temporary neighbour that
/// is synced and renamed. After any error the neighbour is gone. Errors: those of `fill`, open(2),
/// fsync(2) and rename(2).
Status publish_file(const std::string& path, const std::function<Status(int fd)>& fill);

/// Writes all of `data`. Errors: those of write(2).
Status write_all(int fd, std::string_view data);

/// Removes from `folder` what killed processes left of publish_file(), and files whose names start
/// with `prefix` that nobody used (mark_used) for `days`. For the holder of the folder's lock.
/// Errors are ignored: it is only tidying.
void tidy_folder(const std::string& folder, std::string_view prefix, int days);

/// True if `path` exists; notes that it was used now.
bool mark_used(const std::string& path);

}  // namespace mimic::guest
