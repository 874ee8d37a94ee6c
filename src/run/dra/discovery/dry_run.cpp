// SPDX-License-Identifier: Apache-2.0
#include "dra/discovery/dry_run.h"

#include <chrono>

#include <nlohmann/json.hpp>

#include "dra/discovery/health.h"
#include "slices/slices.h"

namespace mimic::dra {

Result<std::string> dry_run(std::span<const slices::DraFacts* const> kinds,
                            const DryRunOptions& options, std::vector<std::string>* problems) {
    std::vector<slices::Pool> pools;
    for (const slices::DraFacts* const facts : kinds) {
        MIMIC_ASSIGN_OR_RETURN(Scan found, scan(options.root, *facts, options.vfs_on_demand));
        problems->insert(problems->end(), found.problems.begin(), found.problems.end());
        Inventory inventory;
        inventory.facts = facts;
        inventory.devices = HealthJudge(*facts, {}).judge(found.devices, SteadyClock().now());
        pools.push_back(pool_of(inventory,
                                {.node = options.node,
                                 .vfs_on_demand = options.vfs_on_demand,
                                 .shared = options.shared},
                                problems));
    }
    MIMIC_ASSIGN_OR_RETURN(const nlohmann::json list, slices::slice_list(pools));
    return list.dump(2) + "\n";
}

}  // namespace mimic::dra
