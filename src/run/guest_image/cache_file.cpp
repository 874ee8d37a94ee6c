// SPDX-License-Identifier: Apache-2.0
#include "guest_image/cache_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>

#include <openssl/evp.h>

#include "base/check.h"

namespace mimic::guest_image {
namespace {

namespace fs = std::filesystem;

}  // namespace

std::string sha256_hex(std::string_view text) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    // Fails only if the library lacks SHA-256 or memory.
    MIMIC_CHECK(EVP_Digest(text.data(), text.size(), digest, &length, EVP_sha256(), nullptr) == 1);
    std::string hex;
    for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
    return hex;
}

Result<FileLock> FileLock::take(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return fail_errno("open {}", path);
    while (::flock(fd.get(), LOCK_EX) != 0) {
        if (errno != EINTR) return fail_errno("lock {}", path);
    }
    return FileLock(std::move(fd));
}

void tidy_folder(const std::string& folder, std::string_view prefix, int days) {
    const auto oldest = fs::file_time_type::clock::now() - std::chrono::hours(24 * days);
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        std::error_code ignored;
        const bool old = fs::last_write_time(it->path(), ignored) < oldest && !ignored;
        if (name.starts_with(kTemporaryPrefix) || (name.starts_with(prefix) && old)) {
            fs::remove_all(it->path(), ignored);
        }
    }
}

bool mark_used(const std::string& path) {
    if (::access(path.c_str(), R_OK) != 0) return false;
    ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
    return true;
}

}  // namespace mimic::guest_image
