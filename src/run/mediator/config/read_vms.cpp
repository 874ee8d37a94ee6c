// SPDX-License-Identifier: Apache-2.0
// `vms:` and `others:` of a file, and what limits may be.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "mediator/config/keys.h"
#include "mediator/config/parse.h"
#include "mediator/config/reader.h"

namespace mimic::mediator {
namespace {

constexpr Duration kLeastTimeout = std::chrono::milliseconds(1);

void read_limits(const yaml::YamlPtr& node, Limits& limits, yaml::Diagnostics& diagnostics) {
    const yaml::Fields fields(node, "limits", kLimitKeys, diagnostics);
    if (const auto rate = real(fields, "rate", 0, kMaxRate)) limits.rate = *rate;
    if (const auto burst = real(fields, "burst", 0, kMaxRate)) limits.burst = *burst;
    take_number(fields, "queue_depth", {1, kMaxQueueDepth}, limits.queue_depth);
    if (const auto memory = fields.size("memory_bytes", {0, kMostMemory}))
        limits.memory_bytes = *memory;
    take_number(fields, "parallel", {1, kMaxParallel}, limits.parallel);
    if (const auto timeout = duration(fields, "job_timeout", kLeastTimeout))
        limits.job_timeout = *timeout;
    if (limits.burst > 0 && limits.rate == 0)
        fields.problem(fields.where("burst"),
                       "burst without rate; expected both, or none: it is the size of rate's "
                       "bucket");
}

// What `vms:` and `others:` have in common.
VmConfig read_vm(const yaml::Fields& fields, const Config& config, yaml::Diagnostics& diagnostics) {
    VmConfig vm;
    if (const auto letter = pool_letter(fields, "pool")) {
        vm.pool = letter;
        const bool known = std::any_of(config.pools.begin(), config.pools.end(),
                                       [&](const auto& pool) { return pool.id == *letter; });
        if (!known)
            fields.problem(fields.where("pool"),
                           fmt::format("there is no pool {}; expected one of 'pools'", *letter));
    }
    if (const auto priority = fields.choice("priority", kPriorities))
        vm.priority = static_cast<Priority>(*priority);
    take_number(fields, "weight", {1, kMaxWeight}, vm.weight);
    if (const auto limits = fields.share("limits")) read_limits(limits, vm.limits, diagnostics);
    vm.uids = user_ids(fields);
    return vm;
}

}  // namespace

void read_vms(const yaml::YamlNode& list, Config& config, yaml::Diagnostics& diagnostics) {
    if (list.items.size() > kMaxVms) {
        diagnostics.add(list.where,
                        fmt::format("{} VMs; expected at most {}", list.items.size(), kMaxVms));
        return;
    }
    std::set<VmId> ids;
    for (const auto& item : list.items) {
        const yaml::Fields fields(item, "VM", kVmKeys, diagnostics);
        fields.require("id", "a number, 0 to 0xffffffff");
        auto vm = read_vm(fields, config, diagnostics);
        take_number(fields, "id", {0, UINT32_MAX}, vm.id);
        if (!ids.insert(vm.id).second)
            fields.problem(fields.where("id"),
                           fmt::format("a second VM {}; expected ids that differ", vm.id));
        config.vms.push_back(std::move(vm));
    }
}

void read_others(const yaml::YamlPtr& node, Config& config, yaml::Diagnostics& diagnostics) {
    const yaml::Fields fields(node, "'others'", kOthersKeys, diagnostics);
    config.others = read_vm(fields, config, diagnostics);
}

std::string find_problem(const Limits& limits) {
    const auto bad_real = [](double value) {
        return !std::isfinite(value) || value < 0 || value > kMaxRate;
    };
    if (bad_real(limits.rate)) return "rate must be 0 to 1e9 requests a second";
    if (bad_real(limits.burst)) return "burst must be 0 to 1e9 requests";
    if (limits.burst > 0 && limits.rate == 0) return "burst without rate";
    if (limits.queue_depth < 1 || limits.queue_depth > kMaxQueueDepth)
        return fmt::format("queue_depth must be 1 to {}", kMaxQueueDepth);
    if (limits.memory_bytes > kMostMemory)
        return fmt::format("memory_bytes must be at most {}", kMostMemory);
    if (limits.parallel < 1 || limits.parallel > kMaxParallel)
        return fmt::format("parallel must be 1 to {}", kMaxParallel);
    if (limits.job_timeout < kLeastTimeout || limits.job_timeout > kLongestSetting)
        return "job_timeout must be 1 ms to 7 days";
    return "";
}

}  // namespace mimic::mediator
