// SPDX-License-Identifier: Apache-2.0
#include "dra/simulate/fleet.h"

#include <algorithm>
#include <charconv>

#include "slices/names.h"
#include "slices/slices.h"

namespace mimic::dra {
namespace {

// Room for the number behind the prefix. Also the label kubernetes.io/hostname holds the name.
constexpr size_t kMaxPrefix = slices::kMaxLabel - 8;
constexpr size_t kMaxNodes = 1'000'000;  // arbitrary: a cluster has 5,000

}  // namespace

Result<Fleet> Fleet::create(std::vector<slices::Pool> pools, size_t nodes, std::string prefix) {
    if (pools.empty()) return fail(std::errc::invalid_argument, "no node is described");
    if (nodes == 0 || nodes > kMaxNodes) {
        return fail(std::errc::invalid_argument, "{} nodes; 1 to {} can be simulated", nodes,
                    kMaxNodes);
    }
    if (prefix.size() > kMaxPrefix || !slices::is_dns_label(prefix)) {
        return fail(std::errc::invalid_argument,
                    "a prefix of names is 1 to {} lower-case letters, digits and dashes",
                    kMaxPrefix);
    }
    return Fleet(std::move(pools), nodes, std::move(prefix) + "-");
}

std::string Fleet::name(size_t node) const {
    return prefix_ + std::to_string(node);
}

std::optional<size_t> Fleet::find(std::string_view name) const {
    if (name.substr(0, prefix_.size()) != prefix_) return std::nullopt;
    name.remove_prefix(prefix_.size());
    // "07" is no node of ours: each has one name.
    if (name.empty() || (name.size() > 1 && name.front() == '0')) return std::nullopt;
    size_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc() || end != name.data() + name.size() || number >= nodes_) {
        return std::nullopt;
    }
    return number;
}

size_t Fleet::devices() const {
    size_t count = 0;
    for (size_t pool = 0; pool < pools_.size(); ++pool) {
        const size_t copies = nodes_ / pools_.size() + (pool < nodes_ % pools_.size() ? 1 : 0);
        count += copies * pools_[pool].devices.size();
    }
    return count;
}

void Fleet::set(size_t node, size_t device, DeviceState state) {
    const std::lock_guard lock(mutex_);
    if (state == DeviceState::kHealthy) {
        states_.erase({node, device});
    } else {
        states_[{node, device}] = state;
    }
}

slices::Pool Fleet::desired(size_t node) const {
    slices::Pool pool = pools_[node % pools_.size()];
    pool.node = pool.name = name(node);
    const std::lock_guard lock(mutex_);
    // From the last on: an erased device moves only those behind it.
    const auto first = states_.lower_bound({node, 0});
    auto state = states_.lower_bound({node + 1, 0});
    while (state != first) {
        --state;
        const auto device = pool.devices.begin() + static_cast<ptrdiff_t>(state->first.second);
        using Effect = slices::Taint::Effect;
        if (state->second == DeviceState::kGone) {
            pool.devices.erase(device);
        } else if (state->second == DeviceState::kFailed) {
            device->taints.push_back({pool.driver + "/failed", "", Effect::kNoExecute});
        } else {
            device->taints.push_back({pool.driver + "/degraded", "", Effect::kNoSchedule});
        }
    }
    return pool;
}

size_t Fleet::ill() const {
    const std::lock_guard lock(mutex_);
    return states_.size();
}

}  // namespace mimic::dra
