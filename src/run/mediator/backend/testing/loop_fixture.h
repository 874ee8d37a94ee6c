// SPDX-License-Identifier: Apache-2.0
// A run folder, a loop and a backend with real processes in it, for tests and benches.
#pragma once

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/event_loop.h"
#include "base/private_files.h"
#include "mediator/backend/backend.h"
#include "mediator/backend/testing/requests.h"

namespace mimic::mediator::backend::testing {

/// What became of a job.
struct Done {
    vgpu_error error = VGPU_OK;
    Response response;
    Duration took{};
};

/// A folder that goes with it. Backends are the caller's to stop.
class RunFolder {
public:
    RunFolder() {
        std::string name = "/tmp/mimic-backend-XXXXXX";
        MIMIC_CHECK(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~RunFolder() { (void)remove_tree(path_); }
    RunFolder(const RunFolder&) = delete;
    RunFolder& operator=(const RunFolder&) = delete;
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

/// Turns `loop` until `condition`; false when that takes longer than anything that works, also on a
/// machine that has other things to do.
inline bool turn_until(EventLoop& loop, const std::function<bool()>& condition) {
    const TimePoint end = loop.now() + std::chrono::seconds(90);
    while (!condition()) {
        if (loop.now() > end) return false;
        loop.run_once(std::chrono::milliseconds(20));
    }
    return true;
}

/// Starts a job; its end is in `done` later.
inline void start_job(Backend& backend, const Job& job, Duration timeout,
                      std::optional<Done>& done) {
    done.reset();
    backend.start(job, timeout, [&done](const Outcome& outcome) {
        done = Done{outcome.error, Response(outcome.response), outcome.took};
    });
}

/// Runs a job to its end.
inline Done run_job(EventLoop& loop, Backend& backend, const Job& job,
                    Duration timeout = std::chrono::seconds(30)) {
    std::optional<Done> done;
    start_job(backend, job, timeout, done);
    MIMIC_CHECK(turn_until(loop, [&] { return done.has_value(); }));
    return *done;
}

inline Job job_of(std::span<const std::byte> request, Owner owner = {1, 10}, uint64_t id = 0,
                  bool again = false) {
    Job job;
    job.owner = owner;
    job.request_id = id;
    job.again = again;
    job.request = request;
    job.room = VGPU_MAX_MESSAGE;
    return job;
}

}  // namespace mimic::mediator::backend::testing
