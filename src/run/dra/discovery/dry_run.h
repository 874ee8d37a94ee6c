// SPDX-License-Identifier: Apache-2.0
// `mimic-dra --dry-run`: what it would publish, from one look at sysfs.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "slices/dra_facts.h"

namespace mimic::dra {

struct DryRunOptions {
    std::string root{};  // before /sys; empty: the machine's own
    std::string node{};
    bool vfs_on_demand = false;
    bool shared = false;  // as slices::PoolOptions
};

/// A List of ResourceSlices of all `kinds`: JSON text, the same that `mimic plan --format slices`
/// prints of the machine. `problems` gets what was left out, a line each. Errors: those of scan()
/// and slices::check(). Thread-safe.
Result<std::string> dry_run(std::span<const slices::DraFacts* const> kinds,
                            const DryRunOptions& options, std::vector<std::string>* problems);

}  // namespace mimic::dra
