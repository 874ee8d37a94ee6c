// SPDX-License-Identifier: Apache-2.0
// FakeBackend: a backend of tests. A job takes as long as its first parameter says, in
// microseconds, by the runner's clock, and its answer holds what was asked. Needs no test
// framework.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/timer.h"
#include "compute/request.h"
#include "mediator/backend/backend.h"

namespace mimic::mediator {

/// What a test does to backends and sees of them, also of those that have gone. One for all of an
/// engine's.
struct FakeBackends {
    struct Ran {
        std::string backend;
        backend::Owner owner;
        uint64_t request_id = 0;
        bool again = false;
        uint32_t opcode = 0;
        uint64_t memory_limit = 0;
        TimePoint started;
        TimePoint ended;
        vgpu_error error = VGPU_OK;
    };

    std::vector<Ran> ran;  // in the order in which they ended
    std::map<std::string, class FakeBackend*> now;
    std::vector<std::pair<std::string, backend::Owner>> released;
    std::vector<std::pair<backend::Owner, uint64_t>> acknowledged;
    std::vector<std::string> stopped;
    std::map<std::string, std::vector<backend::Owner>> found;  // what each has from earlier
    bool ready_at_once = true;
    bool attaching = false;  // while they are not ready they end a job of an earlier mediator
    Duration default_length = std::chrono::milliseconds(1);
};

/// Thread-bound.
class FakeBackend final : public backend::Backend {
public:
    FakeBackend(BackendConfig config, FakeBackends& all, TaskRunner& runner)
        : config_(std::move(config)), all_(all), runner_(runner), ready_(all.ready_at_once) {
        all_.now[config_.name] = this;
        owners_ = all_.found[config_.name];
    }
    ~FakeBackend() override { all_.now.erase(config_.name); }

    bool ready() const override { return ready_; }
    bool busy() const override { return done_ != nullptr; }
    bool attaching() const override { return !ready_ && all_.attaching; }

    void start(const backend::Job& job, Duration timeout, Done done) override {
        MIMIC_CHECK(ready_ && !busy());
        const auto view = compute::view_request(job.request);
        current_ = {config_.name,
                    job.owner,
                    job.request_id,
                    job.again,
                    view ? view->header.opcode : UINT32_MAX,
                    job.memory_limit,
                    runner_.now(),
                    {},
                    VGPU_OK};
        if (std::find(owners_.begin(), owners_.end(), job.owner) == owners_.end() &&
            current_.opcode == VGPU_OP_MEM_ALLOC)
            owners_.push_back(job.owner);
        response_ = view ? compute::make_response(VGPU_OK, {}, job.request) : response_;
        done_ = std::move(done);
        Duration length = all_.default_length;
        if (view && view->params.size() > 0) length = std::chrono::microseconds(view->params[0]);
        const bool late = length > timeout;
        timer_.start(runner_, std::min(length, timeout), [this, view = view.has_value(), late] {
            end(late ? VGPU_ERROR_TIMEOUT : view ? VGPU_OK : VGPU_ERROR_INVALID_REQUEST);
        });
    }

    void cancel() override {
        if (busy()) timer_.post(runner_, [this] { end(VGPU_ERROR_CANCELLED); });
    }
    void acknowledge(const backend::Owner& owner, uint64_t request_id) override {
        all_.acknowledged.emplace_back(owner, request_id);
    }
    void release(const backend::Owner& owner) override {
        all_.released.emplace_back(config_.name, owner);
        std::erase(owners_, owner);
    }
    std::vector<backend::Owner> owners() const override { return owners_; }
    uint64_t memory_used(VmId vm) const override {
        return static_cast<uint64_t>(std::count_if(
            owners_.begin(), owners_.end(), [&](const auto& owner) { return owner.vm == vm; }));
    }
    State state() const override {
        return {ready_, config_.name, 1, 0, owners_.size(), config_.memory_bytes, jobs_};
    }
    void stop() override { all_.stopped.push_back(config_.name); }
    void on_change(std::function<void()> changed) override { changed_ = std::move(changed); }

    /// Its process goes; a job that it has ends with BACKEND.
    void die() {
        ready_ = false;
        owners_.clear();
        if (busy()) {
            timer_.post(runner_, [this] { end(VGPU_ERROR_BACKEND); });
        } else {
            changed_();
        }
    }
    void become_ready() {
        ready_ = true;
        changed_();
    }

private:
    void end(vgpu_error error) {
        ++jobs_;
        current_.ended = runner_.now();
        current_.error = error;
        all_.ran.push_back(current_);
        backend::Outcome outcome;
        outcome.error = error;
        if (error == VGPU_OK) outcome.response = response_;
        outcome.took = current_.ended - current_.started;
        const std::vector<std::byte> keep = response_;
        if (error == VGPU_OK) outcome.response = keep;
        const Done done = std::exchange(done_, nullptr);
        done(outcome);
    }

    const BackendConfig config_;
    FakeBackends& all_;
    TaskRunner& runner_;
    bool ready_;
    std::vector<backend::Owner> owners_;
    std::function<void()> changed_ = [] {};
    FakeBackends::Ran current_;
    std::vector<std::byte> response_;
    Done done_;
    uint64_t jobs_ = 0;
    Timer timer_;
};

}  // namespace mimic::mediator
