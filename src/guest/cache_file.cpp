// SPDX-License-Identifier: Apache-2.0
// Temporary files start with ".tmp-", so that tidy_folder() knows them.
#include "guest/cache_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <random>

#include <openssl/evp.h>

#include "base/check.h"

namespace mimic::guest {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kTemporary = ".tmp-";

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

Status write_all(int fd, std::string_view data) {
    while (!data.empty()) {
        const ssize_t count = ::write(fd, data.data(), data.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("write");
        data.remove_prefix(static_cast<size_t>(count));
    }
    return {};
}

Status publish_file(const std::string& path, const std::function<Status(int fd)>& fill) {
    const fs::path target(path);
    const fs::path temporary = target.parent_path() / fmt::format("{}{:08x}-{}", kTemporary,
                                                                  std::random_device()(),
                                                                  target.filename().string());
    const auto attempt = [&]() -> Status {
        const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!fd) return fail_errno("create {}", temporary.string());
        MIMIC_TRY(fill(fd.get()));
        // Some file systems tell only now that the disk is full.
        if (::fsync(fd.get()) != 0) return fail_errno("write");
        if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno("rename");
        return {};
    };
    Status done = attempt();
    if (!done) {
        ::unlink(temporary.c_str());
        return tl::unexpected<Error>(std::move(done).error().with_context(path));
    }
    return {};
}

void tidy_folder(const std::string& folder, std::string_view prefix, int days) {
    const auto oldest = fs::file_time_type::clock::now() - std::chrono::hours(24 * days);
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        std::error_code ignored;
        const bool old = fs::last_write_time(it->path(), ignored) < oldest && !ignored;
        if (name.starts_with(kTemporary) || (name.starts_with(prefix) && old)) {
            fs::remove_all(it->path(), ignored);
        }
    }
}

bool mark_used(const std::string& path) {
    if (::access(path.c_str(), R_OK) != 0) return false;
    ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
    return true;
}

}  // namespace mimic::guest
