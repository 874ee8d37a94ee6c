// SPDX-License-Identifier: Apache-2.0
#include "slices/slices.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "slices/names.h"

namespace mimic::slices {
namespace {

using nlohmann::json;

Pool pool_of(size_t devices, size_t counter_sets = 0) {
    Pool pool{
        .driver = "gpu.example.com", .name = "n1", .node = "n1", .devices = {}, .counter_sets = {}};
    for (size_t index = 0; index < devices; ++index) {
        pool.devices.push_back(Device{.name = fmt::format("gpu{}", index)});
    }
    for (size_t index = 0; index < counter_sets; ++index) {
        pool.counter_sets.push_back({fmt::format("s{}", index), {{"c", 1}}});
    }
    return pool;
}

std::vector<json> specs_of(const Pool& pool) {
    auto specs = slice_specs(pool, 7);
    EXPECT_TRUE(specs) << (specs ? "" : specs.error().message());
    return specs ? *specs : std::vector<json>();
}

// Devices of each slice, or minus its counter sets.
std::vector<int> sizes(const std::vector<json>& specs) {
    std::vector<int> out;
    for (const json& spec : specs) {
        const int sets = static_cast<int>(spec.value("sharedCounters", json::array()).size());
        out.push_back(static_cast<int>(spec.value("devices", json::array()).size()) - sets);
    }
    return out;
}

std::vector<std::string> device_order(const std::vector<json>& specs) {
    std::vector<std::string> out;
    for (const json& spec : specs) {
        for (const json& device : spec.value("devices", json::array())) {
            out.push_back(device.at("name"));
        }
    }
    return out;
}

TEST(Slices, AnEmptyPoolIsASliceWithoutDevices) {
    const auto specs = specs_of(pool_of(0));
    ASSERT_EQ(specs.size(), 1u);
    EXPECT_EQ(specs[0], json::parse(R"({"driver": "gpu.example.com", "nodeName": "n1",
        "pool": {"name": "n1", "generation": 7, "resourceSliceCount": 1}})"));
}

TEST(Slices, ADeviceIsPrintedAsTheApiServerGivesItBack) {
    Pool pool = pool_of(1, 1);
    pool.devices[0].attributes = {
        {"d/a", int64_t{-1}}, {"d/b", true}, {"d/c", std::string("x")}, {"d/v", Version{"1.2.0"}}};
    pool.devices[0].capacity["d/memory"] = Capacity{
        .value = uint64_t{16} << 30,
        .request_policy = Capacity::RequestPolicy{1024, 0, 2048, 1024}};
    pool.devices[0].consumes = {{"s0", {{"c", 1}}}};
    pool.devices[0].taints = {{"d/failed", "", Taint::Effect::kNoExecute},
                              {"d/slow", "yes", Taint::Effect::kNone}};
    pool.devices[0].allow_multiple_allocations = true;
    const auto specs = specs_of(pool);
    ASSERT_EQ(specs.size(), 2u);
    EXPECT_EQ(specs[0]["sharedCounters"],
              json::parse(R"([{"name": "s0", "counters": {"c": {"value": "1"}}}])"));
    EXPECT_FALSE(specs[0].contains("devices"));
    EXPECT_EQ(specs[1]["devices"], json::parse(R"([{
        "name": "gpu0",
        "attributes": {"d/a": {"int": -1}, "d/b": {"bool": true}, "d/c": {"string": "x"},
                       "d/v": {"version": "1.2.0"}},
        "capacity": {"d/memory": {"value": "16Gi", "requestPolicy": {
            "default": "1Ki", "validRange": {"min": "0", "max": "2Ki", "step": "1Ki"}}}},
        "consumesCounters": [{"counterSet": "s0", "counters": {"c": {"value": "1"}}}],
        "taints": [{"key": "d/failed", "effect": "NoExecute"},
                   {"key": "d/slow", "value": "yes", "effect": "None"}],
        "allowMultipleAllocations": true}])"));
}

TEST(Slices, PlainDevicesAre128ASlice) {
    EXPECT_EQ(sizes(specs_of(pool_of(128))), std::vector<int>({128}));
    EXPECT_EQ(sizes(specs_of(pool_of(129))), std::vector<int>({128, 1}));
}

TEST(Slices, WithTaintsOrCountersTheyAre64ASlice) {
    for (const size_t count : {64u, 65u, 128u}) {
        Pool tainted = pool_of(count);
        tainted.devices[3].taints = {{"d/t", "", {}}};
        Pool counted = pool_of(count, 1);
        counted.devices[3].consumes = {{"s0", {{"c", 1}}}};
        const int rest = static_cast<int>(count) - 64;
        EXPECT_EQ(sizes(specs_of(tainted)),
                  rest == 0 ? std::vector<int>({64}) : std::vector<int>({64, rest}));
        EXPECT_EQ(sizes(specs_of(counted)),
                  rest == 0 ? std::vector<int>({-1, 64}) : std::vector<int>({-1, 64, rest}));
    }
}

TEST(Slices, CounterSetsAreEightASliceOfTheirOwn) {
    EXPECT_EQ(sizes(specs_of(pool_of(1, 8))), std::vector<int>({-8, 1}));
    EXPECT_EQ(sizes(specs_of(pool_of(1, 9))), std::vector<int>({-8, -1, 1}));
}

TEST(Slices, ATaintHalvesOneSliceAndLeavesTheOthersAndTheOrder) {
    Pool pool = pool_of(384);
    const auto before = specs_of(pool);
    pool.devices[200].taints = {{"d/t", "", {}}};
    const auto after = specs_of(pool);
    EXPECT_EQ(sizes(after), std::vector<int>({128, 64, 64, 128}));
    EXPECT_EQ(device_order(before), device_order(after));
    EXPECT_TRUE(same_content(before[0], after[0]));
    EXPECT_TRUE(same_content(before[2], after[3]));
    // A second one does not move anything.
    pool.devices[130].taints = {{"d/t", "", {}}};
    const auto again = specs_of(pool);
    EXPECT_EQ(sizes(again), sizes(after));
    EXPECT_TRUE(same_content(after[2], again[2]));
    EXPECT_FALSE(same_content(after[1], again[1]));
}

TEST(Slices, EverySliceSaysTheGenerationAndHowManyThereAre) {
    for (const json& spec : specs_of(pool_of(300, 9))) {
        EXPECT_EQ(spec["pool"], json::parse(R"({"name": "n1", "generation": 7,
                                                "resourceSliceCount": 5})"));
    }
}

TEST(Slices, ABadPoolHasNoSlices) {
    Pool pool = pool_of(1);
    pool.devices[0].name = "a_b";
    const auto specs = slice_specs(pool, 1);
    ASSERT_FALSE(specs);
    EXPECT_EQ(specs.error().code(), std::errc::invalid_argument);
    EXPECT_FALSE(slice_list({&pool, 1}));
}

TEST(Slices, SameContentIgnoresWhatTheServerAdds) {
    Pool pool = pool_of(2);
    pool.devices[0].taints = {{"d/t", "", {}}};
    const json ours = specs_of(pool).at(0);
    json theirs = ours;
    theirs["pool"]["generation"] = 9;
    theirs["pool"]["resourceSliceCount"] = 3;
    theirs["devices"][0]["taints"][0]["timeAdded"] = "2026-01-01T00:00:00Z";
    EXPECT_TRUE(same_content(ours, theirs));
    json changed = theirs;
    changed["devices"][0]["taints"][0]["effect"] = "NoExecute";
    EXPECT_FALSE(same_content(ours, changed));
    json swapped = theirs;
    std::swap(swapped["devices"][0], swapped["devices"][1]);
    EXPECT_FALSE(same_content(ours, swapped));
    // What a server that is not one of Kubernetes might say.
    EXPECT_FALSE(
        same_content(ours, json::parse(R"({"pool": 1, "devices": [3, {"taints": [4]}]})")));
    EXPECT_FALSE(same_content(ours, json()));
}

TEST(Slices, NamesSortByIndexAndFitWhatTheServerKeeps) {
    const Pool pool = pool_of(0);
    EXPECT_EQ(generate_name(0, pool), "00000-gpu.example.com-n1-");
    EXPECT_EQ(generate_name(31, pool), "0001f-gpu.example.com-n1-");
    Pool longest = pool;
    for (size_t length = 1; length < 240; ++length) {
        longest.node = std::string(length, 'n') + ".x.y-z";
        const std::string name = generate_name(1, longest);
        EXPECT_LE(name.size(), kMaxGenerateName);
        EXPECT_TRUE(is_dns_subdomain(name + "x7abc", 253)) << name;
    }
}

TEST(Slices, AListIsWhatKubectlCreates) {
    const std::vector<Pool> pools = {pool_of(129), pool_of(0)};
    const auto list = slice_list(pools);
    ASSERT_TRUE(list);
    EXPECT_EQ((*list)["kind"], "List");
    ASSERT_EQ((*list)["items"].size(), 3u);
    const json& second = (*list)["items"][1];
    EXPECT_EQ(second["apiVersion"], "resource.k8s.io/v1");
    EXPECT_EQ(second["kind"], "ResourceSlice");
    EXPECT_EQ(second["metadata"], json({{"generateName", "00001-gpu.example.com-n1-"},
                                        {"labels", {{"driver", "gpu.example.com"}}}}));
    EXPECT_EQ(second["spec"]["pool"]["generation"], 1);
    EXPECT_EQ(second["spec"]["devices"].size(), 1u);
}

TEST(Slices, QuantitiesAreCanonical) {
    EXPECT_EQ(quantity(0), "0");
    EXPECT_EQ(quantity(1), "1");
    EXPECT_EQ(quantity(1000), "1k");
    EXPECT_EQ(quantity(1023), "1023");
    EXPECT_EQ(quantity(1024), "1Ki");
    EXPECT_EQ(quantity(2500), "2500");
    EXPECT_EQ(quantity(1200000), "1200k");
    EXPECT_EQ(quantity(1024000), "1000Ki");
    EXPECT_EQ(quantity(uint64_t{16} << 30), "16Gi");
    EXPECT_EQ(quantity(uint64_t{1} << 60), "1Ei");
    EXPECT_EQ(quantity(kMaxQuantity), "9223372036854775807");
}

}  // namespace
}  // namespace mimic::slices
