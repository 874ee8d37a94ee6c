// SPDX-License-Identifier: Apache-2.0
// Writer: a trace as people and programs read it: text, JSON lines (file.h), or the JSON that
// ui.perfetto.dev and chrome://tracing open (the "Trace Event Format"). Events are written as they
// come.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "trace/file.h"

namespace mimic::trace {

enum class Format : uint8_t { kText, kJsonLines, kPerfetto };

/// "text", "jsonl" or "perfetto". Errors: invalid_argument with the nearest.
Result<Format> parse_format(std::string_view name);

/// Takes what is written.
using Sink = std::function<void(std::string_view)>;

/// begin(), any number of event() in the order of their time, end().
class Writer {
public:
    virtual ~Writer() = default;
    virtual void begin(const TraceHeader& header) = 0;
    virtual void event(const Event& event) = 0;
    virtual void end(uint64_t events, uint64_t lost) = 0;
};

std::unique_ptr<Writer> make_writer(Format format, Sink sink);

/// Where an access went: "CTRL(0x10)", or "0x10" without a name.
std::string place(const Event& event);

/// One event as text, without time and device: "BAR0 write CTRL(0x10) = 0x1 ENABLE".
std::string describe(const Event& event);

/// Seconds since `start_ns`: "+12.345678".
std::string since(int64_t time_ns, int64_t start_ns);

}  // namespace mimic::trace
