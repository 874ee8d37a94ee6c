// SPDX-License-Identifier: Apache-2.0
// Load: what VMs ask of a pool, as a file says it: recorded arrivals, or clients that keep so many
// jobs in flight. simulate() plays it against a rule. docs/mediator-scheduling.md has the format.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mediator/schedule/rule.h"
#include "mediator/schedule/simulate/random.h"

namespace mimic::mediator::schedule {

// What a file may ask for. Arbitrary, but so that all of it fits into memory and minutes.
inline constexpr size_t kMaxLoadLine = 4096;
inline constexpr size_t kMaxLoadLines = 2'000'000;
inline constexpr size_t kMaxLoadVms = 1024;
inline constexpr size_t kMaxLoadClients = 4096;
inline constexpr uint32_t kMaxLoadBackends = 256;
inline constexpr uint32_t kMaxLoadDepth = 16'384;
inline constexpr Time kMaxLoadTime = Time{7} * 24 * 3600 * 1'000'000'000;  // a week
inline constexpr Time kMaxLoadJob = Time{3600} * 1'000'000'000;

/// A length of time that is always the same, one of a list, or anything between two.
struct Lengths {
    std::vector<Time> of;  // one or more; of a range the two ends
    bool range = false;
    Time draw(Random& random) const;
    bool operator==(const Lengths&) const = default;
};

struct LoadVm {
    VmId id = 0;
    Share share = {};
    std::optional<BackendIndex> home = {};
};

/// Keeps `depth` jobs waiting or running; after each it thinks before the next.
struct LoadClient {
    VmId vm = 0;
    uint32_t depth = 1;
    Lengths job{{1'000'000}};
    Lengths think{{0}};
    Time from = 0;
    Time until = kMaxLoadTime;  // no new jobs from then on
};

/// Something at a time: a job that arrives, or a new share of a VM.
struct LoadEvent {
    Time at = 0;
    VmId vm = 0;
    Time job = 0;                     // 0: no job
    std::optional<Share> share = {};  // the whole new share
};

struct Load {
    std::string name;
    uint32_t backends = 1;
    Time duration = 0;
    uint64_t seed = 1;
    bool strict_classes = false;
    std::vector<LoadVm> vms;
    std::vector<LoadClient> clients;
    std::vector<LoadEvent> events;  // by time
};

/// Errors: invalid_argument with `name` and the line, for whatever is not exactly the format.
Result<Load> read_load(std::istream& in, const std::string& name);
/// The same of a file; "-" is stdin.
Result<Load> read_load_file(const std::string& path);
/// The text that reads as `load`.
std::string write_load(const Load& load);

}  // namespace mimic::mediator::schedule
