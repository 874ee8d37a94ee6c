// SPDX-License-Identifier: Apache-2.0
#include "mediator/load/load.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "base/timer.h"
#include "compute/codec.h"
#include "compute/request.h"

namespace mimic::mediator::load {
namespace {

// A request that failed is asked again after so long, so that a mediator that is away or refuses is
// not asked all the time.
constexpr Duration kAfterFailure = std::chrono::milliseconds(5);
constexpr size_t kRoom = 1024;

std::vector<std::byte> spin_request(uint64_t ns) {
    vgpu_launch launch{};
    std::memcpy(launch.name, "spin", sizeof "spin");
    launch.arg_count = 1;
    const vgpu_arg arg{VGPU_ARG_VALUE, sizeof ns, ns, 0};
    std::vector<std::byte> data(sizeof launch + sizeof arg);
    std::memcpy(data.data(), &launch, sizeof launch);
    std::memcpy(data.data() + sizeof launch, &arg, sizeof arg);
    return compute::make_request(VGPU_OP_LAUNCH, {}, data);
}

/// One VM: its queue and what it keeps in flight. Thread-bound to the loop.
class Asker {
public:
    Asker(const Vm& vm, uint64_t requests, EventLoop& loop)
        : loop_(loop), left_(requests == 0 ? UINT64_MAX : requests) {
        result_.vm = vm;
        const std::vector<uint32_t> terms{40, 2};
        switch (vm.job.kind) {
            case Job::Kind::kNop:
                kinds_.push_back({compute::make_request(VGPU_OP_NOP), 0});
                break;
            case Job::Kind::kSum:
                kinds_.push_back({compute::make_request(VGPU_OP_SUM, terms), 0});
                break;
            case Job::Kind::kSpin:
                for (const uint64_t ns : vm.job.spin_ns) kinds_.push_back({spin_request(ns), ns});
                break;
        }
    }

    Status connect(const Options& options) {
        compute::SocketOptions socket;
        socket.identity = result_.vm.identity;
        socket.path = options.path;
        socket.protocol = options.protocol;
        socket.shared_bytes = 0;  // all that is asked here is short
        socket.resume_patience = options.connect_within;
        MIMIC_ASSIGN_OR_RETURN(queue_, compute::make_socket_queue(socket, loop_));
        return {};
    }
    bool connected() const { return queue_->connected(); }
    size_t in_flight() const { return queue_->in_flight(); }
    bool finished() const { return left_ == 0 && queue_->in_flight() == 0; }

    void begin() {
        for (size_t i = 0; i < result_.vm.depth; ++i) ask();
    }
    void count(bool counted) { counted_ = counted; }
    void end() { left_ = 0; }
    VmResult take_result() {
        result_.counters = queue_->counters();
        return std::move(result_);
    }

private:
    struct Kind {
        std::vector<std::byte> request;
        uint64_t ns = 0;
    };

    void ask() {
        if (left_ == 0) return;
        --left_;
        const auto number = static_cast<uint32_t>(next_++);
        const Kind& kind = kinds_[number % kinds_.size()];
        const TimePoint begin = loop_.now();
        queue_->submit(number, kind.request, kRoom,
                       [this, begin, ns = kind.ns](const compute::Completion& done) {
                           answered(done, begin, ns);
                       });
    }

    void answered(const compute::Completion& done, TimePoint begin, uint64_t ns) {
        uint32_t error = done.error;
        vgpu_response response{};
        if (error == VGPU_OK && done.response.size() >= sizeof response) {
            std::memcpy(&response, done.response.data(), sizeof response);
            error = response.status;
        }
        if (counted_) {
            if (error == VGPU_OK) {
                ++result_.done;
                result_.asked_ns += ns;
                result_.latencies.add(static_cast<uint64_t>((loop_.now() - begin).count()));
            } else {
                ++result_.failed[error];
            }
        }
        const Duration pause = error == VGPU_OK ? result_.vm.think : kAfterFailure;
        if (pause == Duration{}) return ask();
        loop_.post_delayed(
            [weak = weak_.ptr()] {
                if (Asker* const asker = weak.get()) asker->ask();
            },
            pause);
    }

    EventLoop& loop_;
    std::unique_ptr<compute::Queue> queue_;
    std::vector<Kind> kinds_;
    uint64_t left_;
    uint64_t next_ = 0;
    bool counted_ = false;
    VmResult result_;
    WeakOwner<Asker> weak_{this};
};

/// The phases of a run. Thread-bound to the loop.
class Run {
public:
    Run(const Options& options, EventLoop& loop) : options_(options), loop_(loop) {}

    Result<Outcome> go() {
        for (const Vm& vm : options_.vms) {
            askers_.push_back(std::make_unique<Asker>(vm, options_.requests, loop_));
            MIMIC_TRY(askers_.back()->connect(options_));
        }
        MIMIC_TRY(wait_for_mediator());
        // Without a warm-up the first answer counts, too, which may come before any timer.
        if (options_.warm_up == Duration{})
            count();
        else
            timer_.start(loop_, options_.warm_up, [this] { count(); });
        for (const auto& asker : askers_) asker->begin();
        if (options_.requests != 0) look_whether_done();
        loop_.run();
        if (counting_) stop_counting();
        drain();
        Outcome outcome;
        outcome.seconds = std::chrono::duration<double>(end_ - start_).count();
        for (const auto& asker : askers_) outcome.vms.push_back(asker->take_result());
        return outcome;
    }

private:
    Status wait_for_mediator() {
        const TimePoint end = loop_.now() + options_.connect_within;
        const auto there = [](const auto& asker) { return asker->connected(); };
        while (!std::ranges::all_of(askers_, there)) {
            if (loop_.now() >= end)
                return fail(std::errc::timed_out, "no mediator at {} for all VMs", options_.path);
            loop_.run_once(std::chrono::milliseconds(10));
        }
        return {};
    }
    void count() {
        counting_ = true;
        start_ = loop_.now();
        for (const auto& asker : askers_) asker->count(true);
        timer_.start(loop_, options_.duration, [this] { loop_.stop(); });
    }
    void stop_counting() {
        counting_ = false;
        end_ = loop_.now();
        for (const auto& asker : askers_) {
            asker->count(false);
            asker->end();
        }
    }
    void look_whether_done() {
        const auto done = [](const auto& asker) { return asker->finished(); };
        if (std::ranges::all_of(askers_, done)) return loop_.stop();
        look_timer_.start(loop_, std::chrono::milliseconds(1), [this] { look_whether_done(); });
    }
    void drain() {
        for (const auto& asker : askers_) asker->end();
        const TimePoint end = loop_.now() + compute::SocketOptions{}.answer_timeout;
        const auto idle = [](const auto& asker) { return asker->in_flight() == 0; };
        while (!std::ranges::all_of(askers_, idle) && loop_.now() < end)
            loop_.run_once(std::chrono::milliseconds(10));
    }

    const Options& options_;
    EventLoop& loop_;
    std::vector<std::unique_ptr<Asker>> askers_;
    bool counting_ = false;
    TimePoint start_{};
    TimePoint end_{};
    Timer timer_;
    Timer look_timer_;
};

}  // namespace

Result<Outcome> run(const Options& options, EventLoop& loop) {
    return Run(options, loop).go();
}

}  // namespace mimic::mediator::load
