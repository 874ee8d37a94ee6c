// SPDX-License-Identifier: Apache-2.0
// Files of the cache that are made once, by whoever comes first, and then only read.
#pragma once

#include <string>
#include <string_view>

#include "base/private_files.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mimic::guest_image {

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

using mimic::publish_file;
using mimic::write_all;

/// Removes from `folder` what killed processes left of publish_file(), and files whose names start
/// with `prefix` that nobody used (mark_used) for `days`. For the holder of the folder's lock.
/// Errors are ignored: it is only tidying.
void tidy_folder(const std::string& folder, std::string_view prefix, int days);

/// True if `path` exists; notes that it was used now.
bool mark_used(const std::string& path);

}  // namespace mimic::guest_image
