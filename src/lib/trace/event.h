// SPDX-License-Identifier: Apache-2.0
// Event: one event of a trace as the control API and trace files have it, and its JSON in both
// directions. From pci::TraceRecord on one side; from text that anybody may have written on the
// other. docs/openapi/control-v1.json, schema TraceEvent.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "pci/trace/trace_names.h"
#include "pci/trace/trace_ring.h"

namespace mimic::trace {

/// A value. Which members mean something depends on `kind` as pci/tracer.h says.
struct Event {
    uint64_t sequence = 0;
    int64_t time_ns = 0;
    int64_t duration_ns = 0;  // of an access, as pci::TraceRecord has it
    std::string device;
    pci::TraceKind kind = pci::TraceKind::kConfigRead;
    uint8_t bar = 0;
    uint8_t flags = 0;  // pci::kTrace...
    uint64_t address = 0;
    uint64_t size = 0;
    uint64_t value = 0;
    std::vector<uint8_t> data;  // shorter than `size`: not kept, or not all of it
    std::string text{};
    std::string reg{};
    std::vector<std::pair<std::string, uint64_t>> fields{};
    std::optional<uint32_t> interrupt{};  // vector that says that what a doorbell asked for is done

    bool is_access() const { return kind <= pci::TraceKind::kBarWrite; }
    bool is_config() const { return kind <= pci::TraceKind::kConfigWrite; }
    bool is_read() const {
        return kind == pci::TraceKind::kConfigRead || kind == pci::TraceKind::kBarRead;
    }
    bool is_dma() const {
        return kind == pci::TraceKind::kDmaRead || kind == pci::TraceKind::kDmaWrite;
    }
    bool has(uint8_t flag) const { return (flags & flag) != 0; }

    /// The bytes of an access as a number, if they are 8 at most.
    std::optional<uint64_t> number() const;
};

inline constexpr size_t kMaxEventText = 64U << 10;
inline constexpr size_t kMaxEventName = 256;   // arbitrary: devices, registers, fields
inline constexpr size_t kMaxEventFields = 64;  // bits of a register

/// "config-read", "msix", ...
std::string_view kind_name(pci::TraceKind kind);
std::optional<pci::TraceKind> kind_of(std::string_view name);

/// The event of `record`; `name` is of TraceNames::find().
Event event_of(const pci::TraceRecord& record, const std::optional<pci::TraceName>& name);

nlohmann::ordered_json to_json(const Event& event);

/// Errors: invalid_argument, with the member that is wrong. Members that it does not know are
/// passed over.
Result<Event> parse_event(const nlohmann::ordered_json& json);

/// "0x1f", and back: at most 16 digits. Errors: invalid_argument.
std::string hex(uint64_t value);
Result<uint64_t> parse_hex(std::string_view text);

}  // namespace mimic::trace
