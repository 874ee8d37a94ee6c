// SPDX-License-Identifier: Apache-2.0
// Progress on stderr: a thread of its own waits, because the work that is waited for blocks its
// thread.
#include "guest_image/progress.h"

#include <unistd.h>

#include <fmt/format.h>

namespace mimic::guest_image {

StderrProgress::StderrProgress(Duration patience)
    : patience_(patience), thread_([this] { run(); }) {}

StderrProgress::~StderrProgress() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void StderrProgress::step(std::string_view what) {
    {
        const std::lock_guard lock(mutex_);
        what_ = what;
        since_ = SteadyClock().now();
        printed_ = what.empty();
    }
    wake_.notify_one();
}

void StderrProgress::run() {
    std::unique_lock lock(mutex_);
    while (!ending_) {
        if (what_.empty() || printed_) {
            wake_.wait(lock);
            continue;
        }
        const TimePoint due = since_ + patience_;
        if (SteadyClock().now() < due) {
            wake_.wait_until(lock, due);
            continue;
        }
        const std::string line = fmt::format("mimic: {} ...\n", what_);
        // A closed stderr must not stop the work.
        [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
        printed_ = true;
    }
}

}  // namespace mimic::guest_image
