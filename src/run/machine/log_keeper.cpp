// SPDX-License-Identifier: Apache-2.0
#include "machine/log_keeper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/private_files.h"
#include "base/unique_fd.h"

namespace mimic::machine {
namespace {

// Copies what is in `from` behind `start`, until there is no more. False if it cannot be written.
Status copy_rest(int from, off_t start, int to) {
    std::array<char, 65536> buffer{};
    for (;;) {
        const ssize_t count = ::pread(from, buffer.data(), buffer.size(), start);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return {};
        MIMIC_TRY(write_all(to, {buffer.data(), static_cast<size_t>(count)}));
        start += count;
    }
}

}  // namespace

std::vector<std::string> log_paths(const std::string& state_dir) {
    std::vector<std::string> paths;
    for (const char* name : {"console.log", "qemu.log", "device-host.log", "supervisor.log"})
        paths.push_back(state_dir + "/" + name);
    return paths;
}

std::string old_log(const std::string& path) {
    return path + ".1";
}

bool shorten_log(const std::string& path, uint64_t limit) {
    const UniqueFd log(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat info {};
    if (!log || ::fstat(log.get(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
    if (static_cast<uint64_t>(info.st_size) <= limit) return false;
    // A writer that is faster than the copy would keep us here: its size is that of now.
    const auto start = info.st_size - static_cast<off_t>(limit);
    [[maybe_unused]] const Status copied = publish_file(
        old_log(path), [&](int to) { return copy_rest(log.get(), start, to); });
    return ::ftruncate(log.get(), 0) == 0;
}

LogKeeper::LogKeeper(Options options) : options_(std::move(options)), thread_([this] { run(); }) {}

LogKeeper::~LogKeeper() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void LogKeeper::run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        lock.unlock();
        for (const auto& path : options_.paths) shorten_log(path, options_.limit);
        lock.lock();
        changed_.wait_for(lock, options_.period, [this] { return stopping_; });
    }
}

}  // namespace mimic::machine
