// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>

#include "base/private_files.h"
#include "base/unique_fd.h"

namespace mimic::dra {
namespace {

std::string folder_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, slash);
}

Status sync_folder(const std::string& folder) {
    const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return fail_errno("{}", folder);
    if (::fsync(fd.get()) != 0) return fail_errno("sync {}", folder);
    return {};
}

// Removes the temporary file unless it became something else.
class Temporary {
public:
    explicit Temporary(std::string path) : path_(std::move(path)) {}
    Temporary(const Temporary&) = delete;
    Temporary& operator=(const Temporary&) = delete;
    ~Temporary() {
        if (!path_.empty()) ::unlink(path_.c_str());
    }
    const std::string& path() const { return path_; }
    void keep() { path_.clear(); }

private:
    std::string path_;
};

}  // namespace

Status replace_file(const std::string& path, std::string_view text, const ReplaceOptions& options) {
    static std::atomic<uint64_t> count{0};
    const std::string folder = folder_of(path);
    Temporary temporary(fmt::format("{}/{}{}-{}", folder, kTemporary, ::getpid(), ++count));
    // A process of our number in another container may have left one.
    ::unlink(temporary.path().c_str());
    const UniqueFd fd(::open(temporary.path().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                             static_cast<mode_t>(options.mode)));
    if (!fd) return fail_errno("cannot write {}", path);
    if (auto written = write_all(fd.get(), text); !written)
        return tl::unexpected(std::move(written).error().with_context("cannot write " + path));
    const bool synced = options.durability == Durability::kSynced;
    if (synced && ::fsync(fd.get()) != 0) return fail_errno("cannot write {}", path);
    if (options.before_rename) options.before_rename();
    if (::rename(temporary.path().c_str(), path.c_str()) != 0)
        return fail_errno("cannot write {}", path);
    temporary.keep();
    if (synced) MIMIC_TRY(sync_folder(folder));
    return {};
}

Status remove_file(const std::string& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("cannot remove {}", path);
    return {};
}

void remove_temporaries(const std::string& folder) {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
    if (dir == nullptr) return;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): glibc's is safe for a stream of one's own
    while (const dirent* const entry = ::readdir(dir.get())) {
        if (std::string_view(entry->d_name).substr(0, kTemporary.size()) == kTemporary)
            ::unlinkat(::dirfd(dir.get()), entry->d_name, 0);
    }
}

Status write_attribute(const std::string& path, std::string_view text) {
    // Not O_TRUNC: where the tree is on a disk, ext4 would write the file out at close(2), which
    // takes milliseconds (auto_da_alloc).
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) return fail_errno("cannot write {}", path);
    const ssize_t count = ::write(fd.get(), text.data(), text.size());
    if (count < 0) return fail_errno("cannot write {}", path);
    if (static_cast<size_t>(count) != text.size())
        return fail(std::errc::io_error, "cannot write {}: it took {} of {} bytes", path, count,
                    text.size());
    // The rest of a longer text that a file of a tree had. In sysfs it means nothing, so neither
    // does a failure.
    [[maybe_unused]] const int truncated = ::ftruncate(fd.get(), count);
    return {};
}

Result<std::string> read_attribute(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!fd) return fail_errno("cannot read {}", path);
    std::array<char, 4096> buffer{};
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count < 0) return fail_errno("cannot read {}", path);
    std::string text(buffer.data(), static_cast<size_t>(count));
    if (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

}  // namespace mimic::dra
