// SPDX-License-Identifier: Apache-2.0
// What each type of request does. Everything in a request is what a guest has written.
#include <cstring>

#include "sim/builtin/builtin.h"

namespace mimic::sim {
namespace {

constexpr uint32_t kCapabilities = 1u << SST_F_ECHO | 1u << SST_F_COMPUTE | 1u << SST_F_MEMORY |
                                   1u << SST_F_EVENTS | 1u << SST_F_RESET;
constexpr uint64_t kPerNanosecond = kPicosecondsPerNanosecond;
// Data of a WRITE follow its address and size.
constexpr size_t kWriteOffset = sizeof(SSTRequest{}.payload.memory);

void copy_words(uint64_t (&words)[3], const void* from, size_t size) {
    std::memcpy(words, from, size);
}

}  // namespace

void BuiltinSimulator::work_out(const SSTRequest& request, SimTime time, Outcome& outcome) {
    outcome.finish = time;
    switch (request.type) {
        case SST_REQ_NOOP:
            return;
        case SST_REQ_ECHO:
            outcome.result = SST_MAX_DATA_SIZE;
            outcome.data.assign(std::begin(request.payload.data), std::end(request.payload.data));
            return;
        case SST_REQ_COMPUTE:
            return compute(request, time, outcome);
        case SST_REQ_READ:
            return read(request, time, outcome);
        case SST_REQ_WRITE:
            return write(request, time, outcome);
        case SST_REQ_RESET:
            // Those in flight keep their resources: their ends are known.
            restart();
            outcome.reset = true;
            return;
        case SST_REQ_GET_INFO:
            return info(outcome);
        case SST_REQ_CONFIGURE:
            return configure(request, outcome);
        default:
            outcome.status = SST_STATUS_INVALID;
    }
}

// Memory and parameters as at start.
void BuiltinSimulator::restart() {
    memory_.clear();
    parameters_ = initial(spec_);
    units_.set_count(spec_.units);
    for (Model& model : models_) {
        if (SimTime* const per_unit = model.per_unit()) *per_unit = model.spec().per_unit;
    }
}

void BuiltinSimulator::compute(const SSTRequest& request, SimTime time, Outcome& outcome) {
    const auto& asked = request.payload.compute;
    const uint64_t index = asked.latency_model == 0 ? parameters_.model : asked.latency_model;
    Work work{.units = asked.compute_units, .work = {}};
    if ((request.flags & SST_FLAG_WORK) != 0) {
        std::memcpy(&work.work, request.payload.data + SST_WORK_OFFSET, sizeof work.work);
    }
    const auto side_fits = [](uint32_t side) { return side <= SST_MAX_GEMM_SIDE; };
    if (index >= models_.size() || work.units > SST_MAX_COMPUTE_UNITS || !side_fits(work.work.m) ||
        !side_fits(work.work.n) || !side_fits(work.work.k)) {
        outcome.status = SST_STATUS_INVALID;
        return;
    }
    const Service service = models_[index].serve(
        work, time, {units_, parameters_.launch_latency, parameters_.clock_hz});
    if (service.verdict != Service::Verdict::kServed) {
        outcome.status = service.verdict == Service::Verdict::kTooMuch ? SST_STATUS_INVALID
                                                                       : SST_STATUS_ERROR;
        return;
    }
    outcome.finish = service.finish;
    outcome.result = cycles_in(service.finish - service.start, parameters_.clock_hz);
    outcome.words[0] = outcome.result;
    outcome.words[1] = cycles_in(service.finish, parameters_.clock_hz);
}

// When `bytes` of memory have been moved that are asked for at `time`; false: never.
bool BuiltinSimulator::transfer(SimTime time, uint64_t bytes, SimTime& finish) {
    const SimTime length = time_of(bytes, parameters_.memory_bandwidth);
    if (length > kLongest || time > kEnd || memory_bus_.free() > kEnd) return false;
    // The bus is busy while bytes are moved, not while the memory looks for them.
    const SimTime moved = parameters_.memory_bandwidth == 0 ? time
                                                            : memory_bus_.transfer(time, length);
    finish = moved + parameters_.memory_latency;
    return true;
}

void BuiltinSimulator::read(const SSTRequest& request, SimTime time, Outcome& outcome) {
    const uint64_t address = request.payload.memory.addr;
    const uint32_t size = request.payload.memory.size;
    if (size > SST_MAX_DATA_SIZE || !memory_.contains(address, size)) {
        outcome.status = SST_STATUS_INVALID;
        return;
    }
    if (!transfer(time, size, outcome.finish)) {
        outcome.status = SST_STATUS_ERROR;
        return;
    }
    outcome.data.resize(size);
    memory_.read(address, outcome.data);
    outcome.result = size;
}

void BuiltinSimulator::write(const SSTRequest& request, SimTime time, Outcome& outcome) {
    const uint64_t address = request.payload.memory.addr;
    const uint32_t size = request.payload.memory.size;
    if (size > SST_MAX_DATA_SIZE - kWriteOffset || !memory_.contains(address, size)) {
        outcome.status = SST_STATUS_INVALID;
        return;
    }
    if (!transfer(time, size, outcome.finish) ||
        !memory_.write(address, {request.payload.data + kWriteOffset, size})) {
        outcome.status = SST_STATUS_ERROR;
        return;
    }
    outcome.result = size;
}

void BuiltinSimulator::info(Outcome& outcome) const {
    SSTResponse response{};
    response.payload.info.version = SST_VERSION;
    response.payload.info.capabilities = kCapabilities;
    response.payload.info.max_compute_units = SST_MAX_COMPUTE_UNITS;
    response.payload.info.memory_size = memory_.size();
    copy_words(outcome.words, &response.payload.info, sizeof response.payload.info);
}

void BuiltinSimulator::configure(const SSTRequest& request, Outcome& outcome) {
    const auto& asked = request.payload.config;
    if (!set_parameter(asked.param_id, asked.value, outcome.result)) {
        outcome.status = SST_STATUS_INVALID;
        outcome.result = 0;
    }
}

// A time that CONFIGURE gives in `unit` picoseconds.
bool BuiltinSimulator::set_time(SimTime& time, uint64_t value, uint64_t unit, uint64_t& before) {
    if (value > kLongest / unit) return false;
    before = time / unit;
    time = value * unit;
    return true;
}

bool BuiltinSimulator::set_parameter(uint32_t id, uint64_t value, uint64_t& before) {
    const auto set = [&before](uint64_t& parameter, uint64_t to) {
        before = std::exchange(parameter, to);
        return true;
    };
    switch (id) {
        case SST_PARAM_CLOCK_HZ:
            if (value < 1 || value > kPicosecondsPerSecond) return false;
            return set(parameters_.clock_hz, value);
        case SST_PARAM_LATENCY_MODEL:
            return value < models_.size() && set(parameters_.model, value);
        case SST_PARAM_LAUNCH_LATENCY_NS:
            return set_time(parameters_.launch_latency, value, kPerNanosecond, before);
        case SST_PARAM_NS_PER_UNIT: {
            SimTime* const per_unit = models_[parameters_.model].per_unit();
            return per_unit != nullptr && set_time(*per_unit, value, 1, before);
        }
        case SST_PARAM_MEMORY_LATENCY_NS:
            return set_time(parameters_.memory_latency, value, kPerNanosecond, before);
        case SST_PARAM_MEMORY_BANDWIDTH:
            return set(parameters_.memory_bandwidth, value);
        case SST_PARAM_UNITS:
            if (value < 1 || value > 65'536) return false;
            before = units_.count();
            units_.set_count(static_cast<uint32_t>(value));
            return true;
        case SST_PARAM_EVENT_MASK:
            return set(parameters_.event_mask, value);
        default:
            return false;
    }
}

}  // namespace mimic::sim
