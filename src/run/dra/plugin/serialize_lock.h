// SPDX-License-Identifier: Apache-2.0
// SerializeLock: one prepare or unprepare at a time, also between two instances of the program that
// share a data folder during a rolling update (flock(2) on "<data folder>/serialize.lock").
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mimic::dra {

/// Thread-safe.
class SerializeLock {
public:
    /// Holds the lock until it is destroyed.
    class Held {
    public:
        Held(std::unique_lock<std::timed_mutex> mutex, UniqueFd fd)
            : mutex_(std::move(mutex)), fd_(std::move(fd)) {}

    private:
        std::unique_lock<std::timed_mutex> mutex_;
        UniqueFd fd_;  // closing it ends the lock; before the mutex, which is declared first
    };

    explicit SerializeLock(std::string path) : path_(std::move(path)) {}

    /// Errors: timed_out, with who may hold it; those of open(2).
    Result<Held> take(std::chrono::milliseconds timeout);

private:
    const std::string path_;
    std::timed_mutex mutex_;
};

}  // namespace mimic::dra
