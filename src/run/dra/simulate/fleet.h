// SPDX-License-Identifier: Apache-2.0
// Fleet: the nodes that are simulated and how their devices are now. Nodes share the pools that
// were read once; of a node only what differs is kept, so a healthy one costs nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "slices/device.h"

namespace mimic::dra {

/// How a simulated device is. Taints are called as the node agent calls them.
enum class DeviceState : uint8_t {
    kHealthy,
    kDegraded,  // taint <driver>/degraded, NoSchedule
    kFailed,    // taint <driver>/failed, NoExecute
    kGone,      // not there
};

/// Thread-safe.
class Fleet {
public:
    /// Node number i is a copy of pool i modulo their number, called "<prefix>-<i>". Errors:
    /// invalid_argument if the prefix makes no name of a node, or there are no nodes or pools.
    static Result<Fleet> create(std::vector<slices::Pool> pools, size_t nodes, std::string prefix);

    size_t size() const { return nodes_; }
    const std::string& driver() const { return pools_.front().driver; }
    std::string name(size_t node) const;
    /// The number of a node by its name; nothing for a name that is none of ours.
    std::optional<size_t> find(std::string_view name) const;
    /// Devices of a node, those that are gone too.
    size_t devices_of(size_t node) const { return pools_[node % pools_.size()].devices.size(); }
    /// Devices of all nodes.
    size_t devices() const;

    void set(size_t node, size_t device, DeviceState state);
    /// What the node publishes now.
    slices::Pool desired(size_t node) const;
    /// Devices that are not healthy, of all nodes.
    size_t ill() const;

    Fleet(Fleet&& other) noexcept
        : pools_(std::move(other.pools_)),
          nodes_(other.nodes_),
          prefix_(std::move(other.prefix_)),
          states_(std::move(other.states_)) {}

private:
    Fleet(std::vector<slices::Pool> pools, size_t nodes, std::string prefix)
        : pools_(std::move(pools)), nodes_(nodes), prefix_(std::move(prefix)) {}

    std::vector<slices::Pool> pools_;  // not empty; constant
    size_t nodes_;
    std::string prefix_;  // with the dash
    mutable std::mutex mutex_;
    std::map<std::pair<size_t, size_t>, DeviceState> states_;  // by node and device; none: healthy
};

}  // namespace mimic::dra
