// SPDX-License-Identifier: Apache-2.0
#include "topology/model_catalog.h"

#include <array>

namespace mimic::topology {
namespace {

constexpr std::array<BarSpec, 1> kMockAccelBars = {
    BarSpec{.index = 0, .size = 4096, .is_64bit = false, .prefetchable = false},
};

constexpr std::array<ModelFacts, 2> kCatalog = {
    ModelFacts{
        .name = "mock-accel",
        .vendor_id = 0x1de5,
        .pf_device_id = 0x0001,
        .vf_device_id = 0x0002,
        .class_code = 0x000000,         // seed 001 shows "Non-VGA unclassified device"
        .fabric_class_code = 0x120000,  // processing accelerator: read_class() says why
        .pf_memory = 16ull << 30,
        .vf_memory = 2ull << 30,
        .capabilities = 0x00000001,
        .pf_rings = 4,
        .vf_rings = 1,
        .max_static_vfs = kMaxStaticVfs,
        .max_native_vfs = kMaxNativeVfs,
        .bars = kMockAccelBars,
    },
    ModelFacts{.name = kReplicaModel, .bars = {}},
};

}  // namespace

std::span<const ModelFacts> model_catalog() {
    return kCatalog;
}

const ModelFacts* find_model(std::string_view name) {
    for (const ModelFacts& model : kCatalog) {
        if (model.name == name) return &model;
    }
    return nullptr;
}

std::vector<std::string_view> model_names() {
    std::vector<std::string_view> names;
    for (const ModelFacts& model : kCatalog) names.push_back(model.name);
    return names;
}

}  // namespace mimic::topology
