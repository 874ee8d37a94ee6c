// SPDX-License-Identifier: Apache-2.0
#include "guest_image/prepared_image.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "guest_image/cache_file.h"
#include "guest_image/initramfs.h"

namespace mimic::guest_image {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kKernel = "vmlinux-";
constexpr std::string_view kInitrd = "initrd-";
constexpr size_t kMaxImage = 512u << 20;  // arbitrary; ours have 18 and 66 MB
constexpr mode_t kForAll = 0644;

std::string path_of(const std::string& folder, std::string_view kind, const std::string& series) {
    return fmt::format("{}/{}{}", folder, kind, series);
}

/// The series whose kernels are in `folder`.
std::string series_in(const std::string& folder) {
    std::vector<std::string> found;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        const std::string name = at->path().filename().string();
        if (name.starts_with(kKernel)) found.push_back(name.substr(kKernel.size()));
    }
    std::sort(found.begin(), found.end());
    return found.empty() ? "none" : fmt::format("{}", fmt::join(found, ", "));
}

/// What an installed Mimic brings along; nothing if this one brings none of `series`.
Result<std::optional<GuestImage>> installed_image(const std::string& series) {
    const auto kernel = find_support_file(fmt::format("images/{}{}", kKernel, series));
    if (!kernel) return std::nullopt;
    const std::string folder = fs::path(*kernel).parent_path();
    const GuestImage image{*kernel, path_of(folder, kInitrd, series)};
    if (::access(image.initrd.c_str(), R_OK) != 0) return std::nullopt;
    MIMIC_TRY(check_owner(folder, "install Mimic again, as root or as yourself"));
    return image;
}

Status copy_for_all(const std::string& from, const std::string& to) {
    MIMIC_ASSIGN_OR_RETURN(const std::string content, read_host_file(from, kMaxImage));
    return publish_file(to, [&](int fd) -> Status {
        if (::fchmod(fd, kForAll) != 0) return fail_errno("chmod {}", to);
        return write_all(fd, content);
    });
}

}  // namespace

Result<std::optional<GuestImage>> prepared_image(const std::string& series) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here calls setenv(3)
    const char* const wish = std::getenv("MIMIC_GUEST_IMAGES");
    if (wish == nullptr || *wish == '\0') return installed_image(series);
    const std::string folder = wish;
    MIMIC_TRY(check_owner(folder, "set MIMIC_GUEST_IMAGES to a folder of your own"));
    GuestImage image;
    image.kernel = path_of(folder, kKernel, series);
    image.initrd = path_of(folder, kInitrd, series);
    for (const std::string& path : {image.kernel, image.initrd}) {
        if (::access(path.c_str(), R_OK) == 0) continue;
        return fail(std::errc::no_such_file_or_directory,
                    "{}: {}. MIMIC_GUEST_IMAGES={} has kernels: {}; mimic prepare makes others",
                    path, Error::from_errno(errno, "no guest image").message(), folder,
                    series_in(folder));
    }
    return image;
}

Status store_prepared_image(const GuestImage& image, const std::string& series,
                            const std::string& folder) {
    MIMIC_TRY(copy_for_all(image.kernel, path_of(folder, kKernel, series)));
    return copy_for_all(image.initrd, path_of(folder, kInitrd, series));
}

}  // namespace mimic::guest_image
