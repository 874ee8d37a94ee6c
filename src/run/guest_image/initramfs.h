// SPDX-License-Identifier: Apache-2.0
// Initramfs: collects the files of a root file system and writes them as a cpio archive ("newc"),
// the same bytes for the same content: sorted by path, times and owners zero.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mimic::guest_image {

/// A root file system in the making. Paths are relative ("bin/busybox"); folders above a file are
/// made by themselves. Adding a path again replaces it. Thread-bound.
class Initramfs {
public:
    void add_folder(const std::string& path, unsigned mode = 0755);
    void add_file(const std::string& path, std::string data, unsigned mode = 0644);
    void add_link(const std::string& path, const std::string& target);
    void add_char_device(const std::string& path, unsigned major, unsigned minor, unsigned mode);

    /// Reads a file of the host. Permission bits are 0755 if its owner may execute it, else 0644.
    Status add_host_file(const std::string& path, const std::string& host_path);

    /// Adds all folders, files and symbolic links below `host_folder` under `path` ("" is the
    /// root). Other kinds of files are refused with invalid_argument.
    Status add_host_tree(const std::string& path, const std::string& host_folder);

    bool contains(const std::string& path) const { return entries_.contains(path); }

    /// Writes the archive to `fd` from its current place. Errors: those of write(2).
    Status write(int fd) const;

    /// The archive in memory. Errors: those of memfd_create(2) and write().
    Result<std::string> bytes() const;

private:
    enum class Kind : uint8_t { kFolder, kFile, kLink, kCharDevice };
    struct Entry {
        Kind kind = Kind::kFile;
        unsigned mode = 0;
        std::string data{};  // content, or target of a link
        unsigned major = 0;
        unsigned minor = 0;
    };
    void put(const std::string& path, Entry entry);

    std::map<std::string, Entry> entries_;
};

/// Whole content of a file of the host, at most `max_bytes`. Errors: those of open(2) and read(2);
/// file_too_large.
Result<std::string> read_host_file(const std::string& path, size_t max_bytes);

/// Undoes gzip, xz, zstd or lz4 compression, nested or none at all, up to `max_bytes` of result.
/// Errors: illegal_byte_sequence for broken data, file_too_large.
Result<std::string> decompress(std::string_view data, size_t max_bytes);

}  // namespace mimic::guest_image
