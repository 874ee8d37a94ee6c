// SPDX-License-Identifier: Apache-2.0
// From a pool to the ResourceSlices that hold it: checks every name and limit, splits, and prints
// the objects as the API server takes them. Pure and thread-safe.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "slices/device.h"

namespace mimic::slices {

// Limits of one ResourceSlice (resource/v1/types.go, 1.36).
inline constexpr size_t kMaxDevices = 128;
inline constexpr size_t kMaxDevicesWithExtras = 64;  // one has taints or consumes counters
inline constexpr size_t kMaxAttributes = 32;         // attributes and capacities of a device
inline constexpr size_t kMaxCounterSets = 8;
inline constexpr size_t kMaxCountersPerSet = 32;
inline constexpr size_t kMaxTaints = 16;
inline constexpr size_t kMaxText = 64;

/// Errors, all of them in one message, a line each: invalid_argument for a name that the API would
/// refuse, a device or counter set that is there twice, a counter that no set has, a limit per
/// device that is exceeded. What is split (devices, counter sets) has no limit here.
Status check(const Pool& pool);

/// The `spec` of each slice of the pool, in order: counter sets first, then devices; one without
/// devices if the pool is empty. pool.generation is `generation`, pool.resourceSliceCount their
/// number. Calls check().
Result<std::vector<nlohmann::json>> slice_specs(const Pool& pool, uint64_t generation);

/// True if the two specs say the same: pool.generation, pool.resourceSliceCount and the timeAdded
/// of taints do not count, the order of devices does.
bool same_content(const nlohmann::json& a, const nlohmann::json& b);

/// metadata.generateName: "<5 hexadecimal digits of index>-<driver>-<node>-", shortened to fit.
std::string generate_name(size_t index, const Pool& pool);

/// The objects: apiVersion, kind, metadata.generateName and spec. As `mimic plan --format slices`
/// and `mimic-dra --dry-run` print them, in a List.
Result<nlohmann::json> slice_list(std::span<const Pool> pools);

/// "16Gi", "2500": what Kubernetes calls the canonical form of a Quantity in binary units.
std::string quantity(uint64_t value);

}  // namespace mimic::slices
