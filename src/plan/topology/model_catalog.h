// SPDX-License-Identifier: Apache-2.0
// The device models that a topology may name, with the facts that a plan needs. Adding a model here
// makes `model: NAME` valid; the model itself is src/devices/<name>, which must agree (its own test
// compares).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "topology/model.h"

namespace mimic::topology {

/// The model whose devices look like their `config` says. Its facts are zeros.
inline constexpr std::string_view kReplicaModel = "replica";

/// Constants of a device model; `memory` and `capabilities` are defaults of the keys with these
/// names.
struct ModelFacts {
    std::string_view name;
    uint16_t vendor_id = 0;
    uint16_t pf_device_id = 0;
    uint16_t vf_device_id = 0;
    uint32_t class_code = 0;         // default of `class`, of an endpoint
    uint32_t fabric_class_code = 0;  // the same on a fabric
    uint64_t pf_memory = 0;
    uint64_t vf_memory = 0;
    uint32_t capabilities = 0;
    unsigned pf_rings = 0;
    unsigned vf_rings = 0;
    unsigned max_static_vfs = 0;
    unsigned max_native_vfs = 0;
    std::span<const BarSpec> bars;  // of PF and VF, without device memory
};

/// mock-accel's registers with constant values, as a fresh device shows them (seed 001).
inline constexpr uint32_t kMockAccelDeviceId = 0x4d4f434b;  // "MOCK"
inline constexpr uint32_t kMockAccelRevision = 0x00010000;
inline constexpr uint32_t kMockAccelFwVersion = 0x00010000;

/// All models, by name.
std::span<const ModelFacts> model_catalog();

/// The model called `name`, or nullptr.
const ModelFacts* find_model(std::string_view name);

/// The names, for messages.
std::vector<std::string_view> model_names();

}  // namespace mimic::topology
