// SPDX-License-Identifier: Apache-2.0
// TraceTarget: the trace of one loop as the control API sees it, and the JSON of its settings.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "service/api_error.h"
#include "trace/merge.h"

namespace mimic::control {

/// What is traced, and how much of it is kept.
struct TraceSettings {
    bool enabled = true;
    bool all = true;                   // devices, but for the endpoints of fabrics; else `devices`
    std::vector<std::string> devices;  // a PF means its VFs, too
    uint32_t data_bytes = 0;           // of each DMA; above 0, DMA takes the slower way
    uint64_t buffer_bytes = 0;         // of the ring
};

/// What PUT /v1/trace changes; absent members stay.
struct TraceChange {
    std::optional<bool> enabled;
    std::optional<std::vector<std::string>> devices;  // nullopt with `all`: all
    bool all = false;
    std::optional<uint32_t> data_bytes;
    std::optional<uint64_t> buffer_bytes;
};

struct TraceStatus {
    TraceSettings settings;
    uint64_t events = 0;   // that are kept
    uint64_t dropped = 0;  // that newer ones overwrote
    uint64_t oldest = 0;   // numbers
    uint64_t next = 0;
    uint64_t recorded_total = 0;  // these two never go back, also when the ring is made anew
    uint64_t overwritten_total = 0;
    std::vector<std::string> dumps;  // files that were written when a fault struck
};

/// Events of one loop from a number on.
struct TraceSlice {
    trace::Slice slice;
    uint64_t next = 0;  // what to ask for next
    uint64_t lost = 0;  // that were asked for and are overwritten
};

/// What is wanted of TraceTarget::events().
struct TraceQuery {
    uint64_t since = 0;
    size_t limit = 0;
    std::vector<std::string> devices;  // empty: all
};

inline constexpr size_t kMaxTraceAnswerEvents = 4096;
inline constexpr size_t kMaxTraceAnswerBytes = size_t{1} << 20;  // about; one event always fits

/// Thread-bound to the loop.
class TraceTarget {
public:
    virtual TraceStatus status() const = 0;

    /// Names in `change` are of this loop. Changing the buffer forgets all events.
    virtual void change(const TraceChange& change) = 0;

    virtual TraceSlice events(const TraceQuery& query) const = 0;

protected:
    ~TraceTarget() = default;
};

nlohmann::ordered_json settings_json(const TraceSettings& settings);

/// Errors: as for other bodies.
service::ApiResult<TraceChange> parse_trace_change(const nlohmann::ordered_json& body);

}  // namespace mimic::control
