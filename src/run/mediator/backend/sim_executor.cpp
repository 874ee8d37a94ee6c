// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/sim_executor.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "sim_server/words.h"

namespace mimic::mediator::backend {
namespace {

constexpr uint64_t kSeed = 1;  // of jitter: a run plays the same way again
constexpr uint64_t kClockHz = 1'000'000'000;
constexpr Duration kSlice = std::chrono::milliseconds(1);    // between looks at the stop signal
constexpr Duration kSharp = std::chrono::microseconds(100);  // before the end: not slept

// False: stopped.
bool wait_until(TimePoint end, const StopSignal& stop) {
    const SteadyClock clock;
    for (auto now = clock.now(); now < end; now = clock.now()) {
        if (stop.requested()) return false;
        if (end - now > kSharp) std::this_thread::sleep_for(std::min(end - now - kSharp, kSlice));
    }
    return true;
}

uint32_t side(uint64_t length) {
    return length <= SST_MAX_GEMM_SIDE ? static_cast<uint32_t>(length) : 0;
}

}  // namespace

Result<sim::ModelSpec> model_spec(const SimBackend& config) {
    std::string text = config.model;
    char separator = ':';
    for (const auto& [key, value] : config.parameters) {
        text += fmt::format("{}{}={}", std::exchange(separator, ','), key, value);
    }
    MIMIC_ASSIGN_OR_RETURN(sim::ModelSpec spec, sim_server::parse_model(text));
    sim::BuiltinSpec whole;
    whole.models = {spec};
    MIMIC_TRY(sim::validate(whole));
    if (!spec.file.empty()) {
        MIMIC_ASSIGN_OR_RETURN(spec.points, sim::load_points(spec.file));
    }
    return spec;
}

SimExecutor::SimExecutor(const SimBackend& config, sim::ModelSpec spec)
    : CpuExecutor(1), scale_(config.scale), model_(std::move(spec), kSeed) {
    info_.kind = "sim";
    info_.name = fmt::format("sim, {}, scale {}", sim::word(model_.spec().kind), config.scale);
}

std::optional<sim::SimTime> SimExecutor::reserve(const KernelCall& call) {
    if (call.kernel == Kernel::kSpin) {
        if (call.n > sim::kLongest / sim::kPicosecondsPerNanosecond) return std::nullopt;
        return call.n * sim::kPicosecondsPerNanosecond;
    }
    sim::Work work;
    work.units = call.operations();
    work.work.operations = call.operations();
    work.work.bytes = call.bytes();
    if (call.kernel == Kernel::kGemm) {
        work.work.m = side(call.m);
        work.work.n = side(call.n);
        work.work.k = side(call.k);
    }
    const auto service = model_.serve(work, now_, {units_, 0, kClockHz});
    if (service.verdict == sim::Service::Verdict::kAtTheEnd) {
        now_ = 0;  // 106 days of it: time begins anew
        units_.clear();
        model_.reset();
        return reserve(call);
    }
    if (service.verdict != sim::Service::Verdict::kServed) return std::nullopt;
    const auto took = service.finish - now_;
    now_ = service.finish;
    return took;
}

vgpu_error SimExecutor::run(const KernelCall& call, const StopSignal& stop) {
    const auto begin = SteadyClock().now();
    const auto simulated = reserve(call);
    if (!simulated) return VGPU_ERROR_INVALID_REQUEST;
    if (call.kernel != Kernel::kSpin) {
        const vgpu_error error = CpuExecutor::run(call, stop);
        if (error != VGPU_OK) return error;
    }
    // At most 10,000 s times 10^9.
    const double ns = static_cast<double>(*simulated) / 1000 * scale_;
    const auto wall = Duration(static_cast<int64_t>(std::min(ns, 9e18)));
    const auto end = wall > TimePoint::max() - begin ? TimePoint::max() : begin + wall;
    return wait_until(end, stop) ? VGPU_OK : VGPU_ERROR_CANCELLED;
}

Result<std::unique_ptr<Executor>> make_sim_executor(const SimBackend& config) {
    MIMIC_ASSIGN_OR_RETURN(sim::ModelSpec spec, model_spec(config));
    return std::make_unique<SimExecutor>(config, std::move(spec));
}

}  // namespace mimic::mediator::backend
