// SPDX-License-Identifier: Apache-2.0
// What tools see of the device, and how its state is put back.
#include <array>
#include <bit>

#include "devices/vgpu_stub/vgpu_stub.h"

namespace mimic::vgpu_stub {
namespace {

uint64_t saved(const reg::Snapshot& snapshot, const reg::Register& reg) {
    const auto found = snapshot.values.find(reg.name);
    return found == snapshot.values.end() ? 0 : found->second;
}

/// The rings' registers are as the device itself could have left them.
Status check_saved_ring(const reg::Snapshot& snapshot) {
    const uint64_t size = saved(snapshot, RING_SIZE);
    const auto state = static_cast<RingState>(saved(snapshot, RING_STATUS));
    if (size != 0 && (size < kMinRingSize || size > kMaxRingSize || !std::has_single_bit(size)))
        return fail(std::errc::invalid_argument, "its ring has {} entries", size);
    const bool on = saved(snapshot, RING_CTRL) != 0;
    if (state > RingState::kHalted || on != (state != RingState::kOff))
        return fail(std::errc::invalid_argument, "its ring is neither on nor off");
    if (state != RingState::kRunning) return {};
    const auto index = [&](const reg::Register& reg) {
        return static_cast<uint32_t>(saved(snapshot, reg));
    };
    const uint32_t head = index(RING_HEAD);
    const uint32_t completions = index(COMPLETION_TAIL);
    if (head != completions) {
        return fail(std::errc::not_supported,
                    "it had {} entries in flight, which no register tells of", head - completions);
    }
    if (size == 0 || index(RING_TAIL) - head > size || completions - index(COMPLETION_HEAD) > size)
        return fail(std::errc::invalid_argument, "indices of its ring are out of range");
    return {};
}

Status check_saved(const reg::Snapshot& snapshot) {
    const auto state = static_cast<State>(saved(snapshot, STATUS));
    if (state == State::kBusy) {
        return fail(std::errc::not_supported,
                    "it had a request in flight, which no register tells of");
    }
    if (state > State::kError) return fail(std::errc::invalid_argument, "its STATUS is none");
    if (saved(snapshot, REQUEST_LEN) > VGPU_BUFFER_SIZE ||
        saved(snapshot, RESPONSE_LEN) > VGPU_MAX_MESSAGE ||
        saved(snapshot, DMA_REQUEST_LEN) > VGPU_MAX_MESSAGE ||
        saved(snapshot, DMA_RESPONSE_SIZE) > VGPU_MAX_MESSAGE)
        return fail(std::errc::invalid_argument, "a length is out of range");
    return check_saved_ring(snapshot);
}

}  // namespace

std::vector<pci::RegisterBlock> VgpuStub::register_blocks() const {
    return {{.bar = 0, .offset = 0, .name = kMap.options.name, .registers = &bank_}};
}

std::vector<std::pair<const char*, uint64_t>> VgpuStub::model_counters() const {
    const Errands::Counts& counts = errands_.counts();
    const compute::Queue::Counters queue = errands_.queue() == nullptr
                                               ? compute::Queue::Counters()
                                               : errands_.queue()->counters();
    return {{"model_requests", counts.requests},
            {"model_responses", counts.responses},
            {"model_request_errors", counts.errors},
            {"model_requests_in_flight", errands_.in_flight()},
            {"model_ring_halts", ring_.halts()},
            {"model_mediator_timeouts", counts.timeouts},
            {"model_mediator_late", queue.late + counts.late},
            {"model_mediator_unknown", queue.unknown + counts.unknown},
            {"model_mediator_resent", queue.resent},
            {"model_mediator_connections", queue.connections}};
}

bool VgpuStub::at_work() const {
    return is_busy() || ring_.open() != 0;
}

Status VgpuStub::restore_registers(std::span<const reg::Snapshot> snapshots) {
    if (snapshots.size() != 1)
        return fail(std::errc::invalid_argument, "{}: one block of registers", name());
    const reg::Snapshot& snapshot = snapshots.front();
    if (Status status = check_saved(snapshot); !status)
        return tl::unexpected<Error>(std::move(status).error().with_context(name()));
    const bool runs = saved(snapshot, RING_STATUS) == static_cast<uint32_t>(RingState::kRunning);
    if (runs && slot() == nullptr)
        return fail(std::errc::not_supported, "{}: its ring runs, and it is not plugged in",
                    name());
    MIMIC_TRY(bank_.restore(snapshot));
    ++round_;
    sent_ = false;
    errands_.start_over();
    const Ring::Indices at{
        .tail = static_cast<uint32_t>(bank_.value<RING_TAIL>()),
        .head = static_cast<uint32_t>(bank_.value<RING_HEAD>()),
        .completion_tail = static_cast<uint32_t>(bank_.value<COMPLETION_TAIL>()),
        .completion_head = static_cast<uint32_t>(bank_.value<COMPLETION_HEAD>())};
    if (runs) {
        start_ring(at);
    } else {
        ring_.put_back(static_cast<RingState>(bank_.value<RING_STATUS>()),
                       static_cast<vgpu_error>(bank_.value<RING_ERROR>()), at);
    }
    update_pin();
    return {};
}

}  // namespace mimic::vgpu_stub
