// SPDX-License-Identifier: Apache-2.0
// The user's disk image, looked at before anything is started for it. Its content comes from
// whoever made it: a qcow2 may name other files of this host, which QEMU would open for the guest.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "machine/qemu_locate.h"

namespace mimic::machine {

struct DiskImage {
    std::string path;
    uint64_t size_bytes = 0;  // of the disk that a guest sees
};

/// Checks that `path` is a file that can be read and a qcow2 that stands alone: no backing file, no
/// external data file, no encryption, no feature that this does not know. Errors, which say what to
/// do: those of open(2); is_a_directory; invalid_argument for any other kind of file or content;
/// operation_not_permitted for an image that needs another file or a key.
Result<DiskImage> check_disk_image(const std::string& path);

/// Makes the disk at `path` for a guest to write to, over `image`, which it does not name: QEMU's
/// command line does, and nothing else opens the user's image. Errors: no_such_file_or_directory
/// without qemu-img; io_error with what qemu-img says. Blocks.
Status make_overlay(const Qemu& qemu, const DiskImage& image, const std::string& path);

}  // namespace mimic::machine
