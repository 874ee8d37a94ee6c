// SPDX-License-Identifier: Apache-2.0
// Tracer: who writes down each access, message and DMA of the functions that it was given to, and
// TraceEvent: what there is to write. trace_ring.h is the one that keeps them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace mimic::pci {

class Function;

enum class TraceKind : uint8_t {
    kConfigRead,
    kConfigWrite,
    kBarRead,
    kBarWrite,
    kDmaRead,   // the bytes that the model got
    kDmaWrite,  // the bytes that it wrote
    kDmaMap,    // memory that the model reads or writes itself; bar: memory::DmaAccess
    kMsix,      // value: vector
    kMsi,       // value: message
    kIntx,      // value: level of the pin
    kReset,     // value: ResetKind
    kAttach,
    kDetach,
    kFault,    // value: the fault's id; text: name and state
    kError,    // value: the bit; address: 0 correctable, 1 non-fatal, 2 fatal
    kVfs,      // value: VFs enabled
    kSlot,     // value: bit 0 present, bit 1 link up
    kPower,    // value: power state
    kState,    // text: what the function was just then (host/function_state.h)
    kDmaData,  // further bytes of the DMA event before it; address: where they belong
    kRequest,  // a model has answered a request. text: what it was; bar: queue; address: when it
               // began, in ns of the model's simulated time; size: how long it took; value: its id
};

inline constexpr unsigned kTraceKinds = 21;

/// Bits of TraceEvent::flags.
inline constexpr uint8_t kTraceFaulted = 1U << 0;   // a fault answered it, or swallowed it
inline constexpr uint8_t kTraceInjected = 1U << 1;  // a fault sent it, not the model
inline constexpr uint8_t kTraceIssued = 1U << 2;    // DMA that has not completed yet
inline constexpr uint8_t kTraceLater = 1U << 3;     // completion of DMA that was kTraceIssued
inline constexpr uint8_t kTraceFailed = 1U << 4;    // DMA that failed; value: errno
inline constexpr uint8_t kTraceDoorbell = 1U << 5;  // a write that rings a doorbell of the model

/// One thing that happened. `data` and `text` are borrowed for the call.
struct TraceEvent {
    TraceKind kind = TraceKind::kConfigRead;
    uint8_t bar = 0;
    uint8_t flags = 0;
    uint64_t address = 0;  // offset in config space or the BAR; bus address of DMA; see kRequest
    uint64_t size = 0;     // bytes of an access or DMA
    uint64_t value = 0;
    std::span<const uint8_t> data{};  // read or written, as on the wire
    std::string_view text{};
    int64_t begun = 0;  // of a read: ticks() before it was answered; 0: not measured
};

/// Thread-bound with the functions that it was given to (Function::set_tracer).
class Tracer {
public:
    virtual ~Tracer() = default;

    /// A number for the functions of this name, for record().
    virtual uint32_t source(std::string_view name) = 0;

    /// Something happened to the function with that number. Writes of the guest are recorded before
    /// they act, reads once they are answered, DMA when it completes. Returns what acted() takes.
    virtual uint64_t record(uint32_t source, const TraceEvent& event) = 0;

    /// Now, in a unit of the tracer's own; never 0.
    virtual int64_t ticks() = 0;

    /// The write that record() returned `number` for has acted. It may be forgotten already.
    virtual void acted(uint64_t number) = 0;

    /// Bytes of each DMA that are kept. Above 0, memory::DmaSpace::span() of a traced function
    /// gives nothing, so that all DMA passes read() and write() and is seen.
    uint32_t dma_bytes() const { return dma_bytes_; }

protected:
    uint32_t dma_bytes_ = 0;
};

}  // namespace mimic::pci
