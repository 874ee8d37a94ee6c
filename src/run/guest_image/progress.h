// SPDX-License-Identifier: Apache-2.0
// Progress: tells a waiting person what takes so long. A step that ends within two seconds prints
// nothing.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/task_runner.h"

namespace mimic::guest_image {

/// Where long work says what it is at. Implementations are thread-safe.
class Progress {
public:
    virtual ~Progress() = default;

    /// The step called `what` ("building the guest image") began; the one before it ended. Empty:
    /// all is done.
    virtual void step(std::string_view what) = 0;
};

/// Says nothing; for tests and for `--quiet`.
class NoProgress final : public Progress {
public:
    void step(std::string_view) override {}
};

/// Prints "mimic: <step> ..." to stderr once a step has taken longer than `patience`. Thread-safe;
/// its own thread waits and ends with the object.
class StderrProgress final : public Progress {
public:
    explicit StderrProgress(Duration patience = std::chrono::seconds(2));
    ~StderrProgress() override;
    StderrProgress(const StderrProgress&) = delete;
    StderrProgress& operator=(const StderrProgress&) = delete;

    void step(std::string_view what) override;

private:
    void run();

    const Duration patience_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::string what_;
    TimePoint since_{};
    bool printed_ = false;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace mimic::guest_image
