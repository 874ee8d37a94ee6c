// SPDX-License-Identifier: Apache-2.0
// What a DRA driver publishes: devices, shared counters and taints of one pool, as plain values.
// Names and limits are those of resource.k8s.io/v1 (kubernetes/api resource/v1/types.go, 1.36).
// Values; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace mimic::slices {

/// Text of a semantic version, "1.2.0" (semver.org 2.0.0).
struct Version {
    std::string text;

    bool operator==(const Version&) const = default;
};

/// DeviceAttribute: exactly one kind of value. Strings and versions are at most 64 bytes.
using Attribute = std::variant<int64_t, bool, std::string, Version>;

/// DeviceCapacity: a whole number of units (bytes of memory, or a count), written as a Quantity.
struct Capacity {
    uint64_t value = 0;

    /// Of a device that several claims may share: how much a claim may ask for. Zero step: none.
    struct RequestPolicy {
        uint64_t default_value = 0;
        uint64_t min = 0;
        uint64_t max = 0;
        uint64_t step = 0;

        bool operator==(const RequestPolicy&) const = default;
    };
    std::optional<RequestPolicy> request_policy{};

    bool operator==(const Capacity&) const = default;
};

/// DeviceCounterConsumption, and with the same shape CounterSet.
struct Counters {
    std::string set;                           // name of the counter set, a DNS label
    std::map<std::string, uint64_t> values{};  // by counter name, a DNS label

    bool operator==(const Counters&) const = default;
};

/// DeviceTaint. When it was added is the API server's to say.
struct Taint {
    enum class Effect : uint8_t { kNone, kNoSchedule, kNoExecute };

    std::string key;      // a label key
    std::string value{};  // a label value; may be empty
    Effect effect = Effect::kNoSchedule;

    bool operator==(const Taint&) const = default;
};

struct Device {
    std::string name;                               // a DNS label, unique in its pool
    std::map<std::string, Attribute> attributes{};  // by QualifiedName, "domain/id"
    std::map<std::string, Capacity> capacity{};     // by QualifiedName
    std::vector<Counters> consumes{};               // empty: none of the shared ones
    std::vector<Taint> taints{};
    bool allow_multiple_allocations = false;

    bool operator==(const Device&) const = default;
};

/// All devices of one driver on one node. Pool, driver and device together name a device in the
/// whole cluster, so a pool of a node is called as the node.
struct Pool {
    std::string driver;  // a DNS subdomain of at most 63 characters
    std::string name;    // a DNS subdomain
    std::string node;    // spec.nodeName
    std::vector<Device> devices{};
    std::vector<Counters> counter_sets{};

    bool operator==(const Pool&) const = default;
};

}  // namespace mimic::slices
