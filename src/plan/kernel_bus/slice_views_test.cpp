// SPDX-License-Identifier: Apache-2.0
// The slices of every example against files in testdata/, and what they must be for any machine.
#include "kernel_bus/slice_views.h"
#include "devices/all_dra.h"
#include "devices/all_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "topology/test_files.h"
#include "topology/topology.h"

namespace mimic::kernel_bus {
namespace {

using nlohmann::json;
using slices::FunctionView;

constexpr unsigned kAll = ~0U;

topology::Model load_model(const std::filesystem::path& file) {
    auto model = topology::load(file.string(), devices::all_models());
    EXPECT_TRUE(model) << (model ? "" : model.error().message());
    return model ? std::move(*model) : topology::Model{};
}

std::string text_of(const topology::Model& model, unsigned vfs) {
    std::vector<std::string> left_out;
    const auto text = slices_text(model, devices::all_dra(), vfs, &left_out);
    EXPECT_TRUE(text) << (text ? "" : text.error().message());
    EXPECT_THAT(left_out, testing::IsEmpty());
    return text.value_or("");
}

TEST(SliceViews, ExamplesAreTheirGoldenFiles) {
    const std::filesystem::path golden = topology::kRoot / "src/plan/kernel_bus/testdata";
    const auto examples = topology::list_files(topology::kRoot / "examples", ".yaml");
    ASSERT_GE(examples.size(), 4u);
    for (const auto& example : examples) {
        const auto model = load_model(example);
        const std::string stem = example.stem().string();
        topology::expect_golden(golden / (stem + ".slices.json"), text_of(model, 0));
    }
    const auto model = load_model(topology::kRoot / "examples/sriov-static.yaml");
    topology::expect_golden(golden / "sriov-static-all.slices.json", text_of(model, kAll));
}

// check() is in it: names, limits, counters.
TEST(SliceViews, EveryGoodFileHasSlices) {
    for (const auto& file : topology::good_files()) {
        const auto model = load_model(file);
        for (const unsigned vfs : {0u, 1u, kAll}) {
            std::vector<std::string> left_out;
            const auto text = slices_text(model, devices::all_dra(), vfs, &left_out);
            ASSERT_TRUE(text) << file << text.error().message();
            const auto list = json::parse(*text);
            EXPECT_GE(list["items"].size(), model.machines.size());
            for (const json& item : list["items"]) {
                EXPECT_TRUE(model.find_machine(item["spec"]["nodeName"].get<std::string>()));
            }
        }
    }
}

TEST(SliceViews, AFabricIsBelowTheHostBridgeOfItsEndpoint) {
    const auto model = load_model(topology::kRoot / "examples/switch-tree.yaml");
    const auto views = function_views(enumerate(model.machines.at(0), 0),
                                      *devices::all_dra().front());
    ASSERT_FALSE(views.empty());
    for (const FunctionView& view : views) {
        if (!view.pci_address.starts_with("1000")) continue;
        EXPECT_THAT(view.pcie_root, testing::StartsWith("pci0000:"));
        EXPECT_THAT(view.port_path,
                    testing::AllOf(testing::StartsWith("0000:"), testing::HasSubstr("/1000")));
    }
}

TEST(SliceViews, OnlyEnabledVfsAreThere) {
    const auto model = load_model(topology::kRoot / "examples/sriov-static.yaml");
    const auto count = [&model](unsigned vfs) {
        return function_views(enumerate(model.machines.at(0), vfs), *devices::all_dra().front())
            .size();
    };
    EXPECT_LT(count(0), count(1));
    EXPECT_LT(count(1), count(kAll));
}

}  // namespace
}  // namespace mimic::kernel_bus
