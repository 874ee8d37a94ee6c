// SPDX-License-Identifier: Apache-2.0
// Folders and files of a sysfs, real or written by somebody (--root): nothing outside the root is
// reached, whatever its links say, and no read blocks on a fifo or goes on for ever.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mimic::dra {

/// Longest attribute that is read; a page, which is the most that the kernel writes.
inline constexpr size_t kMaxAttributeBytes = 4096;

/// Thread-bound.
class SysfsRoot {
public:
    /// `root` is put before "/sys"; empty: the machine's own. Errors: those of open(2).
    static Result<SysfsRoot> open(const std::string& root);

    /// The folder at `path`, relative to the root. Links are followed, absolute ones from the root.
    /// Errors: those of openat2(2); ELOOP for a circle.
    Result<UniqueFd> open_dir(const std::string& path) const;

    /// Where `dir` is without links, relative to the root and without a slash at either end.
    /// Errors: those of readlink(2); EXDEV if it is not below the root.
    Result<std::string> real_path(const UniqueFd& dir) const;

private:
    UniqueFd root_;
    std::string real_root_;  // without the slash at its end
};

/// The file `name` in `dir`, without the newline at its end; any bytes. Errors: ELOOP for a link,
/// EINVAL for what is no plain file, EFBIG above kMaxAttributeBytes; those of open(2) and read(2),
/// which is how a driver says that its device is gone.
Result<std::string> read_attribute(const UniqueFd& dir, const std::string& name);

}  // namespace mimic::dra
