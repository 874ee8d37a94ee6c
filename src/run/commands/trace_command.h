// SPDX-License-Identifier: Apache-2.0
// `mimic trace`: the events of a running machine's devices, now or as they come, as text or as a
// file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "trace/writer.h"

namespace mimic::commands {

struct TraceOptions {
    std::string machine;
    std::vector<std::string> devices;       // empty: all
    bool follow = false;                    // until a signal, or the machine's end
    std::optional<trace::Format> format{};  // absent: text, or what the name of `output` says
    std::string output{};                   // a file; empty: standard output
    std::optional<uint32_t> data_bytes{};   // record from now on, with so much of each DMA
    std::optional<double> seconds{};        // record for so long
    std::optional<uint64_t> last{};         // only so many
    std::string to_test{};                  // name of a test to write; empty: none
};

/// Returns the exit status: 0, or 1 for an error, which it prints. What it changes about the
/// recording is put back.
int run_trace(const TraceOptions& options);

/// `mimic replay FILE --to-test NAME`: the test for a trace that is there already.
int run_write_test(const std::string& trace, const std::string& name);

}  // namespace mimic::commands
