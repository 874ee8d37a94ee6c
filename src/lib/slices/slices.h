// SPDX-License-Identifier: Apache-2.0
// From a pool to the ResourceSlices that hold it: checks every name and limit, splits, and prints
// the objects as the API server takes them. Pure and thread-safe.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "slices/device.h"

namespace mimic::slices {

// The limits of resource.k8s.io/v1 (resource/v1/types.go and its validation, 1.36), all of them
// here. Texts in bytes.
inline constexpr size_t kMaxDevices = 128;           // of a slice
inline constexpr size_t kMaxDevicesWithExtras = 64;  // of one where one has taints or counters
inline constexpr size_t kMaxCounterSets = 8;         // of a slice
inline constexpr size_t kMaxCountersPerSet = 32;     // and of an entry of consumesCounters
inline constexpr size_t kMaxConsumes = 2;            // entries of consumesCounters of a device
inline constexpr size_t kMaxAttributes = 32;         // attributes and capacities of a device
inline constexpr size_t kMaxTaints = 16;             // of a device (4 in 1.34)
inline constexpr size_t kMaxText = 64;               // of a string or version
inline constexpr size_t kMaxId = 32;                 // of an attribute: a C identifier
inline constexpr size_t kMaxDriver = 63;             // and of the domain of an attribute
inline constexpr size_t kMaxLabel = 63;              // of a device, counter set or counter
inline constexpr size_t kMaxSubdomain = 253;         // of a node or pool
/// What an API server keeps of a generateName before it appends five characters.
inline constexpr size_t kMaxGenerateName = 58;
/// Largest amount: the server quietly makes a larger one this.
inline constexpr uint64_t kMaxQuantity = INT64_MAX;

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

/// metadata.labels: "driver" is the name of the driver, so that `kubectl get resourceslices -l
/// driver=NAME` finds them as in the project whose command lines Mimic takes (the API's own way is
/// the field selector spec.driver). A driver's name is fit for the value of a label.
nlohmann::json slice_labels(const std::string& driver);

/// The objects: apiVersion, kind, metadata.generateName, metadata.labels and spec. As `mimic plan
/// --format slices` and `mimic-dra --dry-run` print them, in a List.
Result<nlohmann::json> slice_list(std::span<const Pool> pools);

/// "16Gi", "2500", "3M": the canonical form of a Quantity, which is how the API server gives it
/// back. In binary units if it is a multiple of 1024, else in decimal ones.
std::string quantity(uint64_t value);

}  // namespace mimic::slices
