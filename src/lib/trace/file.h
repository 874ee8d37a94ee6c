// SPDX-License-Identifier: Apache-2.0
// Trace files: JSON lines. The first line is the header, then one event a line, then an end line
// with the number of events; a file without it was cut off. Anybody may have written a file that is
// read: each line is checked, and an error names it.
//
//   {"mimic_trace":1,"mimic":"0.1.0","machine":"box","topology":"...","clock":"CLOCK_MONOTONIC",
//    "devices":["gpu0"],"data_bytes":4096}
//   {"seq":1,"t":81934,"device":"gpu0","kind":"bar-write","bar":0,"addr":"0x10",...}
//   {"end":true,"events":1,"lost":0}
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "trace/event.h"

namespace mimic::trace {

inline constexpr uint64_t kTraceVersion = 1;
inline constexpr size_t kMaxTraceLine = 2U << 20;         // holds 64 KiB of DMA and a topology file
inline constexpr size_t kMaxTraceFile = size_t{1} << 30;  // arbitrary
inline constexpr size_t kMaxTraceEvents = 8U << 20;       // arbitrary

/// The first line.
struct TraceHeader {
    std::string mimic;  // version that wrote it
    std::string machine;
    std::string topology;  // text of the machine's topology file; may be empty
    std::vector<std::string> devices;
    uint32_t data_bytes = 0;  // of DMA payload that was kept
};

/// All of a file.
struct TraceFile {
    TraceHeader header;
    std::vector<Event> events;  // numbers rise; one that is left out was lost
    std::vector<size_t> lines;  // of the events, from 1
    uint64_t lost = 0;          // as the end line says
};

std::string header_line(const TraceHeader& header);
std::string event_line(const Event& event);
std::string end_line(uint64_t events, uint64_t lost);

/// Errors: invalid_argument, beginning with "line N: "; not_supported for another version;
/// file_too_large. `name` is for messages.
Result<TraceFile> read_trace(std::istream& in, const std::string& name);

/// The same for a file. Errors: those of open(2) too.
Result<TraceFile> read_trace_file(const std::string& path);

}  // namespace mimic::trace
