// SPDX-License-Identifier: Apache-2.0
// MockAccel's side of the DMA engine: what the registers of rings and counters do, and where the
// engine's reports go. README.md, "DMA engine".
#include <algorithm>
#include <string_view>

#include "devices/mock_accel/mock_accel.h"

namespace mimic::mock_accel {
namespace {

constexpr std::string_view kCategory = "mock_accel";

}  // namespace

void MockAccel::bind_rings() {
    bank_.on_write<COUNTERS_CONTROL>([this](const reg::WriteEvent& event) {
        if ((event.now & COUNTERS_CONTROL.fields.begin()->mask()) != 0) clear_counters();
        bank_.set_value<COUNTERS_CONTROL>(0);
    });
    bank_.on_write<RING_BASE>(
        [this](const reg::WriteEvent& event) { setup_written<RING_BASE>(event); });
    bank_.on_write<COMPLETION_BASE>(
        [this](const reg::WriteEvent& event) { setup_written<COMPLETION_BASE>(event); });
    bank_.on_write<RING_ORDER>([this](const reg::WriteEvent& event) {
        setup_written<RING_ORDER>(event);
        const uint64_t order = bank_.get<RING_ORDER, "ORDER">(event.index);
        bank_.set<RING_ORDER, "ORDER">(std::min<uint64_t>(order, kMaxRingOrder), event.index);
    });
    bank_.on_write<RING_CONTROL>([this](const reg::WriteEvent& event) { control_written(event); });
    bank_.on_write<RING_TAIL>([this](const reg::WriteEvent& event) { tail_written(event); });
}

bool MockAccel::ring_enabled(uint32_t ring) const {
    return bank_.get<RING_CONTROL, "ENABLE">(ring) != 0;
}

// Registers that are fixed while a ring runs, and zero where there is none.
template <const reg::Register& Reg>
void MockAccel::setup_written(const reg::WriteEvent& event) {
    if (event.index >= rings_ || ring_enabled(event.index)) {
        bank_.set_value<Reg>(event.old, event.index);
    }
}

void MockAccel::control_written(const reg::WriteEvent& event) {
    const uint32_t ring = event.index;
    if (ring >= rings_) return bank_.set_value<RING_CONTROL>(0, ring);
    const bool enabled = ring_enabled(ring);
    const bool was_enabled = (event.old & 1) != 0;
    if (enabled && !was_enabled) return enable_ring(ring);
    if (enabled) {
        engine_->set_interrupts(ring, bank_.get<RING_CONTROL, "INTERRUPT_ENABLE">(ring) != 0);
    } else if (was_enabled) {
        engine_->disable(ring);
        bank_.set<RING_STATUS, "HALTED">(0, ring);
    }
}

void MockAccel::enable_ring(uint32_t ring) {
    bank_.set_value<RING_HEAD>(0, ring);
    bank_.set_value<RING_TAIL>(0, ring);
    bank_.set_value<RING_STATUS>(0, ring);
    start_ring(ring, 0);
}

void MockAccel::start_ring(uint32_t ring, uint32_t first_index) {
    EnginePort& port = *this;
    if (!engine_) engine_ = std::make_unique<Engine>(port);
    engine_->enable({.index = ring,
                     .base = bank_.value<RING_BASE>(ring),
                     .completion_base = bank_.value<COMPLETION_BASE>(ring),
                     .order = static_cast<uint32_t>(bank_.get<RING_ORDER, "ORDER">(ring)),
                     .interrupts = bank_.get<RING_CONTROL, "INTERRUPT_ENABLE">(ring) != 0,
                     .first_index = first_index});
}

void MockAccel::tail_written(const reg::WriteEvent& event) {
    const uint32_t ring = event.index;
    if (ring >= rings_) return bank_.set_value<RING_TAIL>(0, ring);
    if (ring_enabled(ring) && engine_->doorbell(ring, static_cast<uint32_t>(event.now))) {
        return count<DOORBELLS>(1);
    }
    bank_.set_value<RING_TAIL>(event.old, ring);
    count<BAD_DOORBELLS>(1);
}

bool MockAccel::is_doorbell(unsigned bar, uint64_t offset) const {
    if (bar != 0 || offset < RING_TAIL.offset) return false;
    const uint64_t behind_first = offset - RING_TAIL.offset;
    return behind_first / RING_TAIL.stride < rings_ &&
           behind_first % RING_TAIL.stride < RING_TAIL.width_bytes();
}

std::optional<uint32_t> MockAccel::doorbell_interrupt(unsigned bar, uint64_t offset) const {
    if (!is_doorbell(bar, offset)) return std::nullopt;
    return kFirstRingVector + static_cast<uint32_t>((offset - RING_TAIL.offset) / RING_TAIL.stride);
}

template <const reg::Register& Counter>
void MockAccel::count(uint64_t more) {
    if (more != 0) bank_.set_value<Counter>(bank_.value<Counter>() + more);
}

void MockAccel::clear_counters() {
    bank_.set_value<DESCRIPTORS>(0);
    bank_.set_value<BYTES_READ>(0);
    bank_.set_value<BYTES_WRITTEN>(0);
    bank_.set_value<ERRORS>(0);
    bank_.set_value<DOORBELLS>(0);
    bank_.set_value<BAD_DOORBELLS>(0);
    bank_.set_value<INTERRUPTS>(0);
}

TaskRunner* MockAccel::task_runner() {
    return slot() != nullptr ? &slot()->runner() : nullptr;
}

void MockAccel::ring_progressed(uint32_t ring, const RingState& state, const RingCounts& counts) {
    bank_.set<RING_HEAD, "VALUE">(state.head, ring);
    if (state.failed) {
        bank_.set<RING_STATUS, "ERROR">(1, ring);
        bank_.set<RING_STATUS, "LAST_ERROR">(state.last_error, ring);
    }
    count<DESCRIPTORS>(counts.descriptors);
    count<BYTES_READ>(counts.bytes_read);
    count<BYTES_WRITTEN>(counts.bytes_written);
    count<ERRORS>(counts.errors);
    count<INTERRUPTS>(counts.interrupts);
    if (!state.halted || bank_.get<RING_STATUS, "HALTED">(ring) != 0) return;
    bank_.set<RING_STATUS, "HALTED">(1, ring);
    uint64_t suppressed = 0;
    if (slot() == nullptr || !halts_.allow(slot()->runner().now(), suppressed)) return;
    MIMIC_LOG(
        kCategory, kWarn,
        "{}: Ring {} halted at RING_HEAD {:#010x}: its descriptors at {:#x} or completions at "
        "{:#x} cannot be reached; the driver has to disable it ({} such lines left out)",
        name(), ring, state.head, bank_.value<RING_BASE>(ring), bank_.value<COMPLETION_BASE>(ring),
        suppressed);
}

Status MockAccel::check_rings(const reg::Snapshot& snapshot) const {
    const auto value = [&](std::string_view name, uint32_t ring) {
        const auto found = snapshot.values.find(fmt::format("{}[{}]", name, ring));
        return found == snapshot.values.end() ? 0 : found->second;  // bank_.restore() misses it
    };
    for (uint32_t ring = 0; ring < kMaxRings; ++ring) {
        if (value(RING_ORDER.name, ring) > kMaxRingOrder) {
            return fail(std::errc::invalid_argument, "{}: the snapshot's RING_ORDER[{}] is {}",
                        name(), ring, value(RING_ORDER.name, ring));
        }
        if (ring < rings_) continue;
        for (const auto* reg : {&RING_BASE, &COMPLETION_BASE, &RING_ORDER, &RING_CONTROL,
                                &RING_TAIL, &RING_HEAD, &RING_STATUS}) {
            if (value(reg->name, ring) == 0) continue;
            return fail(std::errc::invalid_argument,
                        "{}: the snapshot has values for ring {}, of {} rings", name(), ring,
                        rings_);
        }
    }
    return {};
}

bool MockAccel::at_work() const {
    for (uint32_t ring = 0; ring < rings_; ++ring) {
        if (ring_enabled(ring) && bank_.value<RING_HEAD>(ring) != bank_.value<RING_TAIL>(ring))
            return true;
    }
    return false;
}

Status MockAccel::restore_registers(std::span<const reg::Snapshot> snapshots) {
    if (snapshots.size() != 1)
        return fail(std::errc::invalid_argument, "{}: {} snapshots, it has one block of registers",
                    name(), snapshots.size());
    const reg::Snapshot& snapshot = snapshots.front();
    const auto value = [&snapshot](const char* name, uint32_t ring) {
        const auto found = snapshot.values.find(fmt::format("{}[{}]", name, ring));
        return found == snapshot.values.end() ? 0 : found->second;
    };
    const auto was_enabled = [&](uint32_t ring) {
        return (value(RING_CONTROL.name, ring) & 1) != 0;
    };
    for (uint32_t ring = 0; ring < rings_; ++ring) {
        if (was_enabled(ring) && value(RING_HEAD.name, ring) != value(RING_TAIL.name, ring))
            return fail(std::errc::not_supported, "{}: ring {} was at work", name(), ring);
    }
    MIMIC_TRY(restore(snapshot));
    for (uint32_t ring = 0; ring < rings_; ++ring) {
        if (!was_enabled(ring)) continue;
        bank_.set<RING_CONTROL, "ENABLE">(1, ring);
        start_ring(ring, static_cast<uint32_t>(value(RING_HEAD.name, ring)));
    }
    return {};
}

}  // namespace mimic::mock_accel
