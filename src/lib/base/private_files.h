// SPDX-License-Identifier: Apache-2.0
// Files and folders that nobody else may touch, in places that others can write to (/tmp), on disks
// that can be full.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mimic {

/// Makes `path` (its parent must exist) with mode 0700 unless it is there, and checks that it is a
/// folder, no link, ours, and closed to others: /tmp is open to everybody. Errors:
/// permission_denied for one that is not safe, those of mkdir(2).
Status make_private_dir(const std::string& path);

/// Checks that only we and root can replace what is in the folder `path`, or could have put
/// something there: its owner is one of us, and it is not open to everybody unless sticky, as /tmp
/// is. `what_to_do` ends the message. Errors: permission_denied; those of stat(2). Its parents are
/// not looked at.
Status check_owner(const std::string& path, std::string_view what_to_do);

/// Writes all of `data`. Errors: those of write(2).
Status write_all(int fd, std::string_view data);

/// What the names of temporary files begin with; a killed process may leave one.
inline constexpr std::string_view kTemporaryPrefix = ".tmp-";

/// Makes a file appear at `path` whole or not at all, in any folder: `fill` writes to a new
/// neighbour, 0600, that is synced and renamed. After any error the neighbour is gone. Errors:
/// those of `fill`, open(2), fsync(2) and rename(2).
Status publish_file(const std::string& path, const std::function<Status(int fd)>& fill);

/// publish_file() of a text. Errors say "cannot write" and name the file.
Status write_file_atomically(const std::string& path, std::string_view text);

/// write_file_atomically() of what a user asked for by name, such as a report: with the umask's
/// mode, as an editor makes files. What is there and is no file, such as /dev/stdout or a pipe, is
/// written to and stays. Errors as above.
Status write_public_file(const std::string& path, std::string_view text);

/// Content of a small file. Errors: those of open(2) and read(2); file_too_large above 16 MiB.
Result<std::string> read_small_file(const std::string& path);

/// The last `lines` lines of a log, as terminal_lines() leaves them, or nothing if it cannot be
/// read: a guest wrote it, and a terminal would obey.
std::vector<std::string> last_lines(const std::string& path, size_t lines);

/// Removes a folder and all below it, following no link. A missing one is no error.
Status remove_tree(const std::string& path);

/// Makes a folder and its missing parents (parents with the umask's mode, the last one 0700).
Status make_dirs(const std::string& path);

}  // namespace mimic
