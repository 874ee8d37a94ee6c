// SPDX-License-Identifier: Apache-2.0
// replay_trace(): feeds a recorded trace to fresh device models, without a guest, in virtual time,
// and finds the first event that comes out differently. What the guest did is fed (config and BAR
// accesses, completions of DMA); what the function did must come from the model again (values that
// were read, DMA with its bytes, interrupts, resets, VFs).
//
// A function's replay begins where its trace says what it was: at a `state` event, when it was
// attached, or when it was reset. Where it cannot go on, it begins again at the next such event,
// and says what was left out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "trace/file.h"

namespace mimic::replay {

/// Where a model left the recording.
struct ReplayDifference {
    uint64_t sequence = 0;
    size_t line = 0;   // of the file
    std::string time;  // since the first event
    std::string device;
    std::string recorded;              // "BAR0 read CTRL(0x10) = 0x1"
    std::string now;                   // "0x0"
    std::vector<std::string> context;  // the events before it, of the same device
};

struct ReplayResult {
    uint64_t events = 0;    // of functions that were replayed
    uint64_t compared = 0;  // outputs that are the same
    uint64_t left_out = 0;  // events that could not be replayed; notes say why
    std::optional<ReplayDifference> difference;
    std::string stopped;             // why it cannot go on to the end; empty: it did
    std::vector<std::string> notes;  // what was left out, and why

    bool same() const { return !difference && stopped.empty(); }
};

/// Errors: invalid_argument for a trace that cannot be of its machine (no topology, devices that it
/// does not have, with the line). Thread-safe.
Result<ReplayResult> replay_trace(const trace::TraceFile& file);

/// The result as people read it, several lines.
std::string replay_report(const ReplayResult& result);

/// The result as programs read it: docs/reference/json.md.
std::string replay_json(const std::string& path, const ReplayResult& result);

/// The same for a file: 0 same, 1 different, 2 it cannot be replayed (to the end); prints the
/// report, or with `json` the document.
int run_replay(const std::string& path, bool json);

/// For tests that `mimic trace --to-test` writes: "" if the replay of `path` is the same, else the
/// report or error.
std::string replay_problem(const std::string& path);

}  // namespace mimic::replay
