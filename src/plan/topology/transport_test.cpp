// SPDX-License-Identifier: Apache-2.0
// Virtio devices in a topology: what follows from their id, and `transport:`.
#include <array>

#include <gmock/gmock.h>

#include <fmt/format.h>

#include "topology/topology.h"

namespace mimic::topology {
namespace {

constexpr std::array kProperties = {model::Property{.key = "pairs",
                                                    .min = 1,
                                                    .max = 16,
                                                    .pf_default = 1,
                                                    .meaning = model::Property::Meaning::kQueues,
                                                    .each = 2}};
constexpr model::DeviceModel kVirtio{.facts = {.name = "virtio-toy",
                                               .class_code = 0x120000,
                                               .fabric_class_code = 0x120000,
                                               .virtio = {.id = 39, .queues = 1}},
                                     .properties = kProperties};
constexpr model::DeviceModel kNameless{
    .facts = {.name = "virtio-nameless", .virtio = {.id = 42, .queues = 1}}};
constexpr model::DeviceModel kLarge{
    .facts = {.name = "virtio-large", .virtio = {.id = 39, .queues = 1, .queue_size = 2048}}};
constexpr model::DeviceModel kPlain{.facts = {.name = "plain", .vendor_id = 0x1de5}};
constexpr std::array<const model::DeviceModel*, 4> kModels = {&kPlain, &kVirtio, &kNameless,
                                                              &kLarge};

tl::expected<Model, Diagnostics> parse_device(std::string_view keys) {
    return parse(
        fmt::format("version: 1\nmachine: {{name: m, devices: [{{name: d, {}}}]}}\n", keys),
        "test.yaml", kModels);
}

std::string problems(std::string_view keys) {
    const auto parsed = parse_device(keys);
    return parsed ? "" : parsed.error().str();
}

TEST(Transport, IdsAndBarsFollowFromTheVirtioId) {
    const auto parsed = parse_device("model: virtio-toy");
    ASSERT_TRUE(parsed) << parsed.error().str();
    const DeviceSpec& device = parsed->machines.front().devices.front();
    EXPECT_EQ(device.transport, Transport::kPci);
    const FunctionSpec& function = device.functions.front();
    EXPECT_EQ(function.vendor_id, 0x1af4);
    EXPECT_EQ(function.device_id, 0x1067);
    EXPECT_EQ(function.class_code, 0x120000u);
    EXPECT_THAT(function.bars, testing::ElementsAreArray(model::kVirtioPciBars));
}

TEST(Transport, QueuesAndVectorsFollowFromTheProperty) {
    const auto parsed = parse_device("model: virtio-toy, pairs: 4");
    ASSERT_TRUE(parsed) << parsed.error().str();
    const FunctionSpec& function = parsed->machines.front().devices.front().functions.front();
    EXPECT_EQ(function.queues(), 9u);
    EXPECT_EQ(function.vectors(), 10u);
}

TEST(Transport, VhostUserLooksLikeQemu) {
    const auto parsed = parse_device("model: virtio-toy, transport: vhost-user");
    ASSERT_TRUE(parsed) << parsed.error().str();
    const DeviceSpec& device = parsed->machines.front().devices.front();
    EXPECT_TRUE(device.is_vhost_user());
    EXPECT_EQ(device.functions.front().class_code, 0x078000u);
    EXPECT_EQ(device.functions.front().device_id, 0x1067);
    EXPECT_THAT(device.functions.front().bars, testing::ElementsAreArray(model::kVhostUserPciBars));
    EXPECT_EQ(device.link, (Link{.generation = 1, .width = 1}));
    EXPECT_THAT(problems("model: virtio-toy, transport: vhost-user, link: {speed: gen3}"),
                testing::HasSubstr("'link' with transport: vhost-user"));
}

TEST(Transport, IsOfVirtioDevicesOnly) {
    EXPECT_THAT(problems("model: plain, transport: pci"),
                testing::HasSubstr("'transport' of model plain, which is no virtio device"));
}

TEST(Transport, UnknownWordsAreReported) {
    EXPECT_THAT(problems("model: virtio-toy, transport: mmio"),
                testing::HasSubstr("expected pci or vhost-user"));
}

TEST(Transport, VhostUserIsNotForFabrics) {
    EXPECT_THAT(problems("model: virtio-toy, transport: vhost-user, attach: fabric"),
                testing::HasSubstr("transport: vhost-user on a fabric"));
}

TEST(Transport, WhatEndsQemuIsReported) {
    EXPECT_THAT(problems("model: virtio-nameless, transport: vhost-user"),
                testing::HasSubstr("virtio id 42 has no name in QEMU"));
    EXPECT_THAT(problems("model: virtio-large, transport: vhost-user"),
                testing::HasSubstr("2048 entries, QEMU's at most 1024"));
    EXPECT_EQ(problems("model: virtio-nameless"), "");
}

TEST(Transport, VhostUserHasTheClassThatQemuGives) {
    EXPECT_THAT(problems("model: virtio-toy, transport: vhost-user, class: 0x120000"),
                testing::HasSubstr("'class' with transport: vhost-user"));
}

TEST(Transport, VfsOfAModelWithoutAnyAreReported) {
    EXPECT_THAT(problems("model: virtio-toy, vfs: {count: 1}"),
                testing::HasSubstr("'vfs' of a virtio-toy, which has no static VFs"));
}

}  // namespace
}  // namespace mimic::topology
