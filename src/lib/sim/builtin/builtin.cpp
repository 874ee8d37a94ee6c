// SPDX-License-Identifier: Apache-2.0
// Time and delivery; what requests do is in requests.cpp.
#include "sim/builtin/builtin.h"

#include <cmath>
#include <cstring>

#include "base/event_loop.h"

namespace mimic::sim {
namespace {

__extension__ using Wide = unsigned __int128;

// Answers in one task where no loop says when its turn is over (simulated time): arbitrary.
constexpr size_t kMostInATurn = 256;
constexpr uint64_t kScaleOne = 1'000'000;

std::vector<Model> make_models(const BuiltinSpec& spec) {
    std::vector<Model> models;
    models.reserve(spec.models.size());
    for (const ModelSpec& model : spec.models) {
        // Each has numbers of its own, so that a request to one does not change another's.
        SplitMix seeds(spec.seed + 0x632be59bd9b4e019 * models.size());
        models.emplace_back(model, seeds.next());
    }
    return models;
}

}  // namespace

BuiltinSimulator::BuiltinSimulator(const BuiltinSpec& spec, TaskRunner& runner)
    : spec_(spec),
      runner_(runner),
      scale_(static_cast<uint64_t>(std::llround(spec.scale * kScaleOne))),
      models_(make_models(spec)),
      units_(spec.units),
      memory_(spec.memory_bytes, spec.memory_limit),
      parameters_(initial(spec)),
      epoch_(runner.now()) {}

BuiltinSimulator::Parameters BuiltinSimulator::initial(const BuiltinSpec& spec) {
    return {.clock_hz = spec.clock_hz,
            .model = 0,
            .launch_latency = spec.launch_latency,
            .memory_latency = spec.memory_latency,
            .memory_bandwidth = spec.memory_bandwidth,
            .event_mask = ~uint64_t{0}};
}

void BuiltinSimulator::submit(const SSTRequest& request, SimTime guest_time, Done done) {
    ++counters_.submitted;
    Pending pending{.done = std::move(done),
                    .request_id = request.request_id,
                    .user_data = request.user_data,
                    .flags = request.flags,
                    .submitted = submission_time(guest_time),
                    .outcome = {}};
    const bool full = in_flight_ >= spec_.max_in_flight;
    Outcome& outcome = pending.outcome;
    if (full) {
        outcome.status = SST_STATUS_BUSY;
    } else {
        work_out(request, pending.submitted, outcome);
    }
    if (outcome.status != SST_STATUS_OK) outcome.finish = pending.submitted;
    ++in_flight_;
    if (outcome.status != SST_STATUS_OK || spec_.pace == Pace::kLockStep) {
        answer(pending);
        return;
    }
    const SimTime finish = outcome.finish;
    const uint32_t index = slot();
    slots_[index] = std::move(pending);
    kernel_.at(finish, [this, index] { due_.push_back(index); });
    schedule(finish);
}

uint32_t BuiltinSimulator::slot() {
    if (free_.empty()) {
        slots_.emplace_back();
        return static_cast<uint32_t>(slots_.size() - 1);
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    return index;
}

void BuiltinSimulator::answer(const Pending& pending) {
    const Outcome& outcome = pending.outcome;
    // Of its own: a Done that submits may be answered within this one.
    SSTResponse response{};
    response.status = outcome.status;
    response.request_id = pending.request_id;
    response.user_data = pending.user_data;
    response.result = outcome.result;
    static_assert(sizeof outcome.words <= SST_MAX_DATA_SIZE);
    std::memcpy(response.payload.data, outcome.words, sizeof outcome.words);
    if (!outcome.data.empty()) {
        std::memcpy(response.payload.data, outcome.data.data(), outcome.data.size());
    }
    --in_flight_;
    ++counters_.answered;
    const uint64_t round = round_;
    pending.done({response, pending.submitted, outcome.finish});
    if (round == round_ && outcome.reset) {
        tell(SST_EVENT_NOTIFICATION, outcome.finish, SST_NOTICE_RESET);
    }
    if (round == round_ && (pending.flags & SST_FLAG_EVENT) != 0) {
        tell(SST_EVENT_COMPLETION, outcome.finish, pending.request_id);
    }
}

void BuiltinSimulator::tell(uint32_t type, SimTime time, uint64_t data) {
    if (observer_ == nullptr || (parameters_.event_mask >> type & 1) == 0) return;
    SSTEvent event{};
    event.type = type;
    event.timestamp = time / kPicosecondsPerNanosecond;
    event.data = data;
    observer_->on_event(event);
}

SimTime BuiltinSimulator::wall_time() const {
    const auto ns = static_cast<uint64_t>((runner_.now() - epoch_).count());
    const Wide time = Wide{ns} * kPicosecondsPerNanosecond * kScaleOne / scale_;
    return time > kEnd ? kEnd : static_cast<SimTime>(time);
}

SimTime BuiltinSimulator::submission_time(SimTime guest_time) {
    if (spec_.pace == Pace::kLockStep) {
        // A guest that goes back in time gets no further than where it was.
        guest_time_ = std::max(guest_time_, std::min(guest_time, kEnd));
        return guest_time_;
    }
    if (spec_.pace == Pace::kFast) return kernel_.now();
    // What is due comes before it, though it waits for its turn of the loop.
    return std::max(kernel_.now(), wall_time());
}

SimTime BuiltinSimulator::now() const {
    if (spec_.pace == Pace::kLockStep) return guest_time_;
    return spec_.pace == Pace::kFast ? kernel_.now() : std::max(kernel_.now(), wall_time());
}

void BuiltinSimulator::schedule(SimTime finish) {
    if (finish >= armed_for_ && timer_.is_pending()) return;
    if (spec_.pace == Pace::kFast) {
        // Its time is now, whatever it is; who has submitted goes on first.
        armed_for_ = 0;
        timer_.post(runner_, [this] { deliver(); });
        return;
    }
    armed_for_ = finish;
    // Rounded up: at that time of the wall clock, simulated time is not before `finish`.
    constexpr Wide kUnit = Wide{kScaleOne} * kPicosecondsPerNanosecond;
    const Wide ns = (Wide{finish} * scale_ + kUnit - 1) / kUnit;
    // At most 100 days at once: a loop adds it to its clock.
    const Wide most = Wide{8'640'000} * 1'000'000'000;
    const auto since = static_cast<uint64_t>((runner_.now() - epoch_).count());
    const Wide left = ns > since ? ns - since : 0;
    timer_.start(runner_, Duration(static_cast<int64_t>(std::min(left, most))),
                 [this] { deliver(); });
}

void BuiltinSimulator::deliver() {
    armed_for_ = EventKernel::kNever;
    const SimTime limit = spec_.pace == Pace::kFast ? EventKernel::kNever : wall_time();
    EventLoop* const loop = runner_.event_loop();
    for (size_t told = 0; kernel_.run_one(limit); ++told) {
        // Out of the kernel's call, so that a Done may reset it.
        const uint32_t index = due_.back();
        due_.pop_back();
        free_.push_back(index);
        const Pending pending = std::exchange(slots_[index], {});
        answer(pending);
        if (loop != nullptr ? loop->share_is_over() : told + 1 >= kMostInATurn) break;
    }
    if (kernel_.pending() != 0) schedule(kernel_.next_time());
}

void BuiltinSimulator::reset() {
    ++round_;
    timer_.cancel();
    armed_for_ = EventKernel::kNever;
    kernel_.clear();
    due_.clear();
    free_.clear();
    slots_.clear();
    in_flight_ = 0;
    guest_time_ = 0;
    epoch_ = runner_.now();
    restart();
    units_.clear();
    memory_bus_.clear();
    for (Model& model : models_) model.reset();
}

Result<std::unique_ptr<Simulator>> make_builtin(const BuiltinSpec& spec, TaskRunner& runner) {
    BuiltinSpec complete = spec;
    if (complete.models.empty()) complete.models.emplace_back();
    MIMIC_TRY(validate(complete));
    for (ModelSpec& model : complete.models) {
        if (model.kind != ModelKind::kTable || model.file.empty()) continue;
        MIMIC_ASSIGN_OR_RETURN(model.points, load_points(model.file));
        model.file.clear();
    }
    // The points of files, now that they are known.
    MIMIC_TRY(validate(complete));
    return std::make_unique<BuiltinSimulator>(complete, runner);
}

}  // namespace mimic::sim
