// SPDX-License-Identifier: Apache-2.0
#include "dra/simulate/churn.h"

#include <algorithm>
#include <array>

namespace mimic::dra {
namespace {

// A pool may have no devices; so many nodes are tried before the step is a recovery instead.
constexpr int kTries = 64;

}  // namespace

Churn::Churn(const Fleet& fleet, uint64_t seed)
    : fleet_(fleet), random_(seed), limit_(std::max<size_t>(1, fleet.devices() / 10)) {}

Churn::Step Churn::next() {
    if (order_.size() >= limit_) return recover();
    if (!order_.empty() && random_() % 2 == 0) return recover();
    return fall_ill();
}

Churn::Step Churn::fall_ill() {
    static constexpr std::array<DeviceState, 3> kStates = {
        DeviceState::kDegraded, DeviceState::kFailed, DeviceState::kGone};
    for (int attempt = 0; attempt < kTries; ++attempt) {
        const size_t node = random_() % fleet_.size();
        const size_t devices = fleet_.devices_of(node);
        if (devices == 0) continue;
        const size_t device = random_() % devices;
        if (!ill_.insert({node, device}).second) continue;
        order_.emplace_back(node, device);
        return {node, device, kStates.at(random_() % kStates.size())};
    }
    return recover();
}

Churn::Step Churn::recover() {
    if (order_.empty()) return {0, 0, DeviceState::kHealthy};
    const auto [node, device] = order_.front();
    order_.pop_front();
    ill_.erase({node, device});
    return {node, device, DeviceState::kHealthy};
}

}  // namespace mimic::dra
