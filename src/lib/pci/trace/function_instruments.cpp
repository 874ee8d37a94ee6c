// SPDX-License-Identifier: Apache-2.0
// What a function tells its tracer and its observer, and the way that accesses take while somebody
// looks or a fault stands in between.
#include <utility>

#include "pci/function/function.h"
#include "pci/function/function_dma.h"
#include "reg/bank.h"

namespace mimic::pci {
namespace {

TraceEvent trace_event(const FunctionEvent& event) {
    TraceEvent result{.value = event.value, .text = event.text};
    switch (event.kind) {
        case FunctionEventKind::kAttach:
            result.kind = TraceKind::kAttach;
            break;
        case FunctionEventKind::kDetach:
            result.kind = TraceKind::kDetach;
            break;
        case FunctionEventKind::kReset:
            result.kind = TraceKind::kReset;
            break;
        case FunctionEventKind::kPower:
            result.kind = TraceKind::kPower;
            break;
        case FunctionEventKind::kError:
            result.kind = TraceKind::kError;
            result.address = event.correctable ? 0 : event.fatal ? 2 : 1;
            break;
        case FunctionEventKind::kVfs:
            result.kind = TraceKind::kVfs;
            break;
        case FunctionEventKind::kSlot:
            result.kind = TraceKind::kSlot;
            result.value = (event.present ? 1U : 0U) | (event.link_up ? 2U : 0U);
            break;
        case FunctionEventKind::kFault:
            result.kind = TraceKind::kFault;
            break;
    }
    return result;
}

}  // namespace

void Function::set_faults(std::unique_ptr<FunctionFaults> faults) {
    faults_ = std::move(faults);
    watched_ = faults_ != nullptr || tracer_ != nullptr;
}

void Function::set_tracer(Tracer* tracer) {
    if (tracer == tracer_) return;
    if (dma_) dma_->forget_tracer();
    tracer_ = tracer;
    trace_source_ = tracer != nullptr ? tracer->source(name()) : 0;
    watched_ = faults_ != nullptr || tracer_ != nullptr;
}

Status Function::restore_registers(std::span<const reg::Snapshot> snapshots) {
    if (snapshots.empty()) return {};
    return fail(std::errc::not_supported, "{}: its model cannot take over registers", name());
}

void Function::traced_write(Tracer* tracer, uint64_t number) {
    // A write may do anything, also take the tracer away.
    if (tracer != nullptr && tracer == tracer_) tracer->acted(number);
}

void Function::notify(const FunctionEvent& event) {
    if (tracer_ != nullptr) {
        TraceEvent traced = trace_event(event);
        std::string both;
        if (!event.state.empty()) {
            both.append(event.text).append(" ").append(event.state);
            traced.text = both;
        }
        trace(traced);
    }
    if (observer_ != nullptr) observer_->on_event(*this, event);
}

void Function::fault_changed(const FaultReport& report, std::string_view state) {
    notify({.kind = FunctionEventKind::kFault,
            .value = report.id,
            .text = report.fault.name,
            .state = state});
}

void Function::trace_message(TraceKind kind, uint32_t vector, bool swallowed) {
    if (!swallowed) ++counters_.interrupts;
    if (tracer_ == nullptr) return;
    const bool injected = faults_ && faults_->sending();
    trace({.kind = kind,
           .flags = static_cast<uint8_t>((swallowed ? kTraceFaulted : 0) |
                                         (injected ? kTraceInjected : 0)),
           .value = vector});
}

void Function::watched_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) {
    Tracer* const tracer = tracer_;
    const int64_t begun = tracer != nullptr ? tracer->ticks() : 0;
    const bool faulted = faults_ && faults_->read(bar, offset, data);
    if (!faulted) route_read(bar, offset, data);
    if (tracer == nullptr || tracer != tracer_) return;
    trace({.kind = TraceKind::kBarRead,
           .bar = static_cast<uint8_t>(bar),
           .flags = faulted ? kTraceFaulted : uint8_t{0},
           .address = offset,
           .size = data.size(),
           .data = data,
           .begun = begun});
}

void Function::watched_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
    const bool faulted = faults_ && faults_->write(bar, offset, data);
    Tracer* const tracer = tracer_;
    uint64_t number = 0;
    if (tracer != nullptr) {
        number = trace(
            {.kind = TraceKind::kBarWrite,
             .bar = static_cast<uint8_t>(bar),
             .flags = static_cast<uint8_t>((faulted ? kTraceFaulted : 0) |
                                           (is_doorbell(bar, offset) ? kTraceDoorbell : 0)),
             .address = offset,
             .size = data.size(),
             .data = data});
    }
    if (!faulted) route_write(bar, offset, data);
    traced_write(tracer, number);
}

}  // namespace mimic::pci
