// SPDX-License-Identifier: Apache-2.0
#include "machine/disk_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string_view>

#include "base/unique_fd.h"

namespace mimic::machine {
namespace {

constexpr std::string_view kMagic = "QFI\xfb";  // qcow2, docs/interop/qcow2.txt of QEMU

}  // namespace

Status check_disk_image(const std::string& path) {
    // O_NONBLOCK: a named pipe would wait for a writer.
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd && errno == ENOENT)
        return fail(std::errc::no_such_file_or_directory,
                    "image {} does not exist (a relative 'image' starts at the topology file's "
                    "folder)",
                    path);
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0) return fail_errno("image {}", path);
    if (S_ISDIR(info.st_mode)) return fail(std::errc::is_a_directory, "image {} is a folder", path);
    std::array<char, kMagic.size()> start{};
    if (!S_ISREG(info.st_mode) ||
        ::pread(fd.get(), start.data(), start.size(), 0) != ssize_t{start.size()} ||
        std::string_view(start.data(), start.size()) != kMagic)
        return fail(std::errc::invalid_argument,
                    "image {0} is no qcow2 file. If it is compressed, unpack it; other formats: "
                    "qemu-img convert -O qcow2 {0} {0}.qcow2",
                    path);
    return {};
}

}  // namespace mimic::machine
