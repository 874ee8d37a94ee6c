// SPDX-License-Identifier: Apache-2.0
// FileTree: files, links and folders that are to be written somewhere, held in memory; and the
// writer, which stays inside the folder that it is given.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mimic::kernel_bus {

/// Paths are relative to a root, without "." and ".." and without a slash at either end. Plain
/// value.
class FileTree {
public:
    enum class Kind : uint8_t { kFolder, kFile, kLink };
    struct Entry {
        Kind kind = Kind::kFolder;
        std::string content;  // of a file: its bytes; of a link: its target, relative to its folder
    };

    /// Adds one; what is at `path` already is replaced. Folders above come to be by themselves.
    void add_folder(const std::string& path);
    void add_file(const std::string& path, std::string content);

    /// Adds a relative link from `path` to `target`, a path of this tree that need not exist.
    void add_link(const std::string& path, std::string_view target);

    /// The entry at `path`, or nullptr.
    const Entry* find(const std::string& path) const;

    /// All, by path: a folder comes before what is in it.
    const std::map<std::string, Entry>& entries() const { return entries_; }

private:
    void add_parents(const std::string& path);

    std::map<std::string, Entry> entries_;
};

/// What write_tree() does with a folder that is not empty.
enum class Existing : uint8_t {
    kRefuse,   // fails
    kReplace,  // removes what an earlier call wrote (it left a mark), keeps everything else
};

/// Writes `tree` into folder `dir`, which is made unless it is there; its parent must exist.
/// Follows no link in `dir`, nor `dir` itself if it is one, and touches nothing outside. Errors:
/// ENOTEMPTY by `existing`; EEXIST where something that is not ours is in the way; those of the
/// system calls. After an error `dir` may hold a part, which kReplace removes.
Status write_tree(const FileTree& tree, const std::string& dir, Existing existing);

}  // namespace mimic::kernel_bus
