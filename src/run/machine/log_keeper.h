// SPDX-License-Identifier: Apache-2.0
// LogKeeper: what guests make the host store has an end. The processes of a machine write their
// logs to files that they keep open; a file that has become too long is copied to its old one, in
// place of what was there, and begins again.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/task_runner.h"

namespace mimic::machine {

inline constexpr uint64_t kMaxLogBytes = uint64_t{8} << 20;  // a boot prints 30 KiB; arbitrary

/// The logs of a machine below its folder `state_dir`.
std::vector<std::string> log_paths(const std::string& state_dir);

/// Where what was in the log at `path` before is.
std::string old_log(const std::string& path);

/// Moves the end of the log at `path`, at most `limit` bytes, to old_log(path) and empties it, if
/// it is longer than `limit`. Who writes to it must have opened it with O_APPEND; what is written
/// at this very moment may get lost. On a full disk the old content does. True if it was too long.
/// Blocks for the copy.
bool shorten_log(const std::string& path, uint64_t limit);

/// Looks after logs on a thread of its own, so that nothing that its owner waits for keeps it.
/// Create and destroy it on one thread. Between two looks a log may grow beyond its limit: by
/// what a serial port and a device host's rate limits let through.
class LogKeeper {
public:
    struct Options {
        std::vector<std::string> paths;  // missing ones are no error
        uint64_t limit = kMaxLogBytes;   // of each, and of each old one
        Duration period = std::chrono::seconds(1);
    };
    explicit LogKeeper(Options options);
    ~LogKeeper();
    LogKeeper(const LogKeeper&) = delete;
    LogKeeper& operator=(const LogKeeper&) = delete;

private:
    void run();

    const Options options_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace mimic::machine
