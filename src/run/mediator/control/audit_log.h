// SPDX-License-Identifier: Apache-2.0
// AuditLog: what happened, a JSON object a line, in a file whose size is bounded.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/log.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "mediator/engine/engine.h"

namespace mimic::mediator {

/// Lines are written by a thread of its own, so that a slow disk holds up nobody. Thread-safe.
class AuditLog {
public:
    static constexpr size_t kMaxWaiting = 4096;  // lines; more are dropped, and counted
    static constexpr uint64_t kMaxBytes = uint64_t{16} << 20;  // then FILE is renamed to FILE.1
    static constexpr size_t kMaxDetail = 1024;                 // bytes of one line's text

    /// `mediator` is a member of each line. Appends to `path`, made with mode 0600; empty: nothing
    /// is written. `max_bytes` is for tests. Errors: those of open(2).
    static Result<std::unique_ptr<AuditLog>> open(std::string mediator, std::string path,
                                                  uint64_t max_bytes = kMaxBytes);
    /// Writes what waits.
    ~AuditLog();
    AuditLog(const AuditLog&) = delete;
    AuditLog& operator=(const AuditLog&) = delete;

    void write(const AuditEvent& event);

    /// Goes on in `path` as it is now: somebody may have renamed the old file. Errors: those of
    /// open(2); the old file is kept then.
    Status reopen(const std::string& path);

    struct Counters {
        uint64_t written = 0;
        uint64_t dropped = 0;  // by a full queue or a full disk
    };
    Counters counters() const;

private:
    AuditLog(std::string mediator, uint64_t max_bytes)
        : mediator_(std::move(mediator)), max_bytes_(max_bytes) {}
    void run();
    void put(std::string line);
    void rotate();

    const std::string mediator_;
    const uint64_t max_bytes_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::string> waiting_;
    Counters counters_;
    log::RateLimit rename_log_;  // of the thread that writes
    bool stopping_ = false;

    std::mutex file_mutex_;  // these three; never taken while mutex_ is held
    std::string path_;
    UniqueFd fd_;
    uint64_t size_ = 0;

    std::thread thread_;  // last: it uses the others
};

}  // namespace mimic::mediator
