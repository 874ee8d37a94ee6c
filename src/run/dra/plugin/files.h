// SPDX-License-Identifier: Apache-2.0
// Files of the plugin that others read (container runtimes, containers): whole or not there.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mimic::dra {

/// Where the text must be when replace_file() returns: in the file system, or on the medium, too.
enum class Durability { kVisible, kSynced };

/// What the names of temporary files begin with; a killed process may leave one.
inline constexpr std::string_view kTemporary = ".tmp-mimic-dra-";

struct ReplaceOptions {
    Durability durability = Durability::kVisible;
    unsigned mode = 0644;
    std::function<void()> before_rename{};  // when the temporary file is whole
};

/// Makes `text` the content of `path`, at once. After an error the old content is there and no
/// temporary file. Errors: those of open(2), write(2), fsync(2), rename(2), with the path.
Status replace_file(const std::string& path, std::string_view text, const ReplaceOptions& options);

/// Removes a file; one that is not there is no error. Errors: those of unlink(2).
Status remove_file(const std::string& path);

/// Removes files in `folder` whose names begin with kTemporary. For one who knows that nobody is
/// writing.
void remove_temporaries(const std::string& folder);

/// Writes `text` to a file of sysfs with one write(2). Errors: those of open(2) and write(2).
Status write_attribute(const std::string& path, std::string_view text);

/// The first 4 KiB of a file of sysfs, without the newline at its end. Errors: those of open(2) and
/// read(2).
Result<std::string> read_attribute(const std::string& path);

}  // namespace mimic::dra
