// SPDX-License-Identifier: Apache-2.0
// Bytes of a YAML file -> validated Config. docs/schema/mediator-v1.schema.json has the keys.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "base/result.h"
#include "mediator/config/config.h"
#include "yaml/diagnostics.h"

namespace mimic::mediator {

// What a file may ask for. Arbitrary, far above what a host has.
inline constexpr size_t kMaxBackends = 64;  // of a pool
inline constexpr size_t kMaxVms = 4096;
inline constexpr size_t kMaxUids = 256;
inline constexpr uint32_t kMaxQueueDepth = 1'000'000;
inline constexpr uint32_t kMaxParallel = 64;
inline constexpr double kMaxRate = 1e9;
inline constexpr uint64_t kMostMemory = uint64_t{1} << 50;
inline constexpr Duration kLongestSetting = std::chrono::hours(24 * 7);
inline constexpr std::string_view kVmIdPlace = "<vm_id>";  // in the template of sockets

/// Parses and validates a file's text; `file_name` is only for messages. Never throws, aborts or
/// takes long, whatever the bytes are. On failure all problems that were found (at most
/// Diagnostics::kMaxProblems), in file order. Thread-safe.
tl::expected<Config, yaml::Diagnostics> parse(std::string_view text, std::string_view file_name);

/// Reads `path` and parses it. The error's message is the printable report, several lines; its code
/// is invalid_argument for a bad file, else that of the failed read.
Result<Config> load(const std::string& path);

/// What is wrong with `limits` as values, wherever they come from; empty: nothing.
std::string find_problem(const Limits& limits);

/// "A=cpu:2,sim" of a command line: pool A with a cpu backend of two threads and one with the
/// latency model `linear`. Kinds: cpu[:THREADS], cuda[:DEVICE], sim[:MODEL]. Errors:
/// invalid_argument.
Result<PoolConfig> parse_pool(std::string_view text);

/// Gives backends without a name theirs: "A0", "A1", ... in the order of their pool.
void name_backends(Config& config);

}  // namespace mimic::mediator
