// SPDX-License-Identifier: Apache-2.0
// The header as docs/interop/qcow2.txt of QEMU has it; all numbers are big-endian.
#include "machine/disk_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string_view>

#include "base/unique_fd.h"
#include "machine/process.h"

namespace mimic::machine {
namespace {

constexpr std::string_view kMagic = "QFI\xfb";
constexpr size_t kVersion = 4;        // offsets of fields and their bits
constexpr size_t kBackingOffset = 8;  // 64
constexpr size_t kBackingSize = 16;   // 32
constexpr size_t kDiskSize = 24;      // 64
constexpr size_t kEncryption = 32;    // 32; 0: none
constexpr size_t kIncompatible = 72;  // 64; since version 3
constexpr size_t kHeader = 80;        // up to here
constexpr size_t kHeaderOfVersion2 = 72;

constexpr uint64_t kExternalDataFile = 1u << 2;
// Not closed cleanly, known to be corrupt, another compression, subclusters: all inside the file.
constexpr uint64_t kHarmless = 1u << 0 | 1u << 1 | 1u << 3 | 1u << 4;

using Header = std::array<uint8_t, kHeader>;

uint64_t number(const Header& header, size_t offset, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value = value << 8 | header[offset + i];
    return value;
}

tl::unexpected<Error> needs_more(const std::string& path, std::string_view what) {
    return fail(std::errc::operation_not_permitted,
                "image {0} {1}; only an image that is complete in its one file is opened for a "
                "guest. If you trust it: qemu-img convert -O qcow2 {0} {0}.alone.qcow2",
                path, what);
}

// An open file of the user's, or why it is none that can be used.
Result<UniqueFd> open_image(const std::string& path) {
    // O_NONBLOCK: a named pipe would wait for a writer.
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd && errno == ENOENT)
        return fail(std::errc::no_such_file_or_directory,
                    "image {} does not exist (a relative 'image' starts at the topology file's "
                    "folder)",
                    path);
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0) return fail_errno("image {}", path);
    if (S_ISDIR(info.st_mode)) return fail(std::errc::is_a_directory, "image {} is a folder", path);
    if (!S_ISREG(info.st_mode)) return UniqueFd();
    return fd;
}

}  // namespace

Result<DiskImage> check_disk_image(const std::string& path) {
    MIMIC_ASSIGN_OR_RETURN(const UniqueFd fd, open_image(path));
    Header header{};
    const ssize_t got = fd ? ::pread(fd.get(), header.data(), header.size(), 0) : 0;
    if (got < static_cast<ssize_t>(kMagic.size()) ||
        std::string_view(reinterpret_cast<const char*>(header.data()), kMagic.size()) != kMagic)
        return fail(std::errc::invalid_argument,
                    "image {0} is no qcow2 file. If it is compressed, unpack it; other formats: "
                    "qemu-img convert -O qcow2 {0} {0}.qcow2",
                    path);
    const uint64_t version = number(header, kVersion, 4);
    const size_t size = version == 2 ? kHeaderOfVersion2 : kHeader;
    if ((version != 2 && version != 3) || got < static_cast<ssize_t>(size))
        return fail(std::errc::invalid_argument,
                    "image {} is no qcow2 file of version 2 or 3, or is cut short", path);
    if (number(header, kBackingOffset, 8) != 0 || number(header, kBackingSize, 4) != 0)
        return needs_more(path, "names another file as its base (a backing file)");
    if (number(header, kEncryption, 4) != 0) return needs_more(path, "is encrypted");
    const uint64_t features = version == 3 ? number(header, kIncompatible, 8) : 0;
    if ((features & kExternalDataFile) != 0)
        return needs_more(path, "names another file that has its data");
    if ((features & ~kHarmless) != 0)
        return needs_more(path, "has features that Mimic does not know");
    return DiskImage{path, number(header, kDiskSize, 8)};
}

Status make_overlay(const Qemu& qemu, const DiskImage& image, const std::string& path) {
    using namespace std::chrono_literals;
    if (qemu.img.empty())
        return fail(std::errc::no_such_file_or_directory,
                    "qemu-img is needed to boot an image. Run: apt-get install qemu-utils");
    MIMIC_ASSIGN_OR_RETURN(const auto made, run_capture({qemu.img, "create", "-q", "-f", "qcow2",
                                                         path, std::to_string(image.size_bytes)},
                                                        60s));
    if (made.exit.ok()) return {};
    return fail(std::errc::io_error, "cannot make a disk over {}: {}", image.path, made.err);
}

}  // namespace mimic::machine
