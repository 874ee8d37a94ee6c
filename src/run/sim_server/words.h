// SPDX-License-Identifier: Apache-2.0
// Options of mimic-sim as words: latency models, times, rates. The keys are those of the YAML file
// (docs/simulators.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sim/builtin/spec.h"
#include "sim_server/register_server.h"

namespace mimic::sim_server {

/// "10us", "1.5ms", "100" (ns): picoseconds. Units ps, ns, us, ms, s. Errors: EINVAL with what is
/// wrong.
Result<sim::SimTime> parse_time(std::string_view text);

/// "256M" (binary), "4K", "17": bytes.
Result<uint64_t> parse_bytes(std::string_view text);

/// "12.5G", "1e9", "100": a number with a decimal K, M, G, T or P; "GHz", "GB/s" and the like say
/// the same.
Result<uint64_t> parse_rate(std::string_view text);

/// "roofline:peak=1T,bandwidth=100G,operations-per-unit=1000": a kind and its keys.
Result<sim::ModelSpec> parse_model(std::string_view text);

/// "PATH=echo", "PATH=compute@0x10300000": a socket of the bare-metal protocol.
Result<RegisterServerOptions> parse_registers(std::string_view text);

}  // namespace mimic::sim_server
