// SPDX-License-Identifier: Apache-2.0
#include "kernel_bus/kernel_plan.h"
#include "devices/all_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/topology.h"

namespace mimic::kernel_bus {
namespace {

using testing::HasSubstr;
using testing::Not;

topology::Model parse_machine(const std::string& text) {
    auto model = topology::parse("version: 1\nmachine:\n  name: m\n" + text, "test.yaml",
                                 devices::all_models());
    EXPECT_TRUE(model.has_value());
    return model ? std::move(*model) : topology::Model{};
}

KernelPlan plan(const topology::Model& model, const KernelPlanOptions& options = {}) {
    auto made = make_kernel_plan(model.machines.at(0), options);
    EXPECT_TRUE(made) << made.error().message();
    return made ? std::move(*made) : KernelPlan{};
}

std::string losses(const KernelPlan& plan) {
    std::string out;
    for (const KernelLoss& loss : plan.losses) out += loss.what + "\n";
    return out;
}

Registers registers_for(const topology::Model& model) {
    Registers out;
    for (const auto& device : model.machines.at(0).devices) {
        for (const auto& function : device.functions) out[function.name] = function.name;
    }
    return out;
}

constexpr const char* kNuma = "  numa: [{ memory: 128M }, { memory: 128M }]\n";

TEST(KernelPlan, EachNumaNodeIsABusWithADomain) {
    const auto model = parse_machine(std::string(kNuma) + R"(  devices:
    - { name: b, model: mock-accel, numa_node: 1, vfs: { count: 2 } }
    - { name: a, model: mock-accel }
    - { name: c, model: mock-accel, numa_node: 1 }
    - { name: d, model: mock-accel, numa_node: 1, vfs: { count: 3 } }
)");
    const KernelPlan made = plan(model, {.first_domain = 0x20, .vfs = 2});
    ASSERT_EQ(made.buses.size(), 2u);
    EXPECT_EQ(made.buses[0].name, "m");
    EXPECT_EQ(made.buses[0].functions.at(0).bdf.str(), "0020:00:00.0");
    EXPECT_EQ(made.buses[1].name, "m-numa1");
    ASSERT_EQ(made.buses[1].functions.size(), 3u);
    EXPECT_EQ(made.buses[1].functions[1].bdf.str(), "0021:00:01.0");
    // The n-th PF with VFs has those on bus n.
    EXPECT_EQ(made.buses[1].functions[0].vf_bdf(1).str(), "0021:01:00.1");
    EXPECT_EQ(made.buses[1].functions[2].vf_bdf(9).str(), "0021:02:01.1");
    EXPECT_EQ(made.buses[1].functions[2].enabled_vfs, 2u);
}

TEST(KernelPlan, AFullBusIsFollowedByAnother) {
    const auto model = parse_machine(
        "  devices: [{ name: 'g{index}', count: 33, model: mock-accel }]\n");
    const KernelPlan made = plan(model);
    ASSERT_EQ(made.buses.size(), 2u);
    EXPECT_EQ(made.buses[0].functions.size(), 32u);
    EXPECT_EQ(made.buses[1].name, "m-1");
    EXPECT_EQ(made.buses[1].functions.at(0).bdf.str(), "0011:00:00.0");
}

TEST(KernelPlan, SaysWhatTheModuleCannotShow) {
    const auto model = parse_machine(R"(  devices:
    - { name: big, model: mock-accel, memory_bar: 8M, link: { width: 12 } }
    - name: fit
      model: mock-accel
      class: 0x120000
      memory_bar: 4M
      vfs: { count: 2, memory_bar: 4M }
    - { name: gone, model: mock-accel, hotplug: true, plugged: false }
)");
    const KernelPlan made = plan(model);
    const std::string text = losses(made);
    EXPECT_THAT(text, HasSubstr("big: class 0x000000"));
    EXPECT_THAT(text, HasSubstr("big: BAR2 of 8388608 bytes"));
    EXPECT_THAT(text, HasSubstr("big: link of 12 lanes"));
    EXPECT_THAT(text, HasSubstr("fit: BAR2 of VFs"));
    EXPECT_THAT(text, Not(HasSubstr("fit: class")));
    EXPECT_THAT(text, HasSubstr("gone: not plugged in"));
    EXPECT_EQ(made.buses.at(0).functions.at(0).bar2_size, 0u);
    EXPECT_EQ(made.buses.at(0).functions.at(1).bar2_size, 4u << 20);
}

TEST(KernelPlan, RefusesNothingToMakeAndDomainsThatEnd) {
    const auto empty = parse_machine(
        "  devices: [{ name: a, model: mock-accel, hotplug: true, plugged: "
        "false }]\n");
    EXPECT_FALSE(make_kernel_plan(empty.machines.at(0), {}));
    const auto two = parse_machine(std::string(kNuma) +
                                   "  devices: [{ name: a, model: mock-accel, numa_node: 0 },"
                                   " { name: b, model: mock-accel, numa_node: 1 }]\n");
    EXPECT_FALSE(make_kernel_plan(two.machines.at(0), {.first_domain = 0xffff}));
    EXPECT_TRUE(make_kernel_plan(two.machines.at(0), {.first_domain = 0xfffe}));
}

TEST(KernelScript, VfImagesAreOneStrideApart) {
    const auto model = parse_machine(
        "  devices: [{ name: g, model: mock-accel, vfs: { count: 2 } }]\n");
    const KernelPlan made = plan(model);
    const auto script = kernel_script(made, {{"g", "A"}, {"g-vf0", "BC"}, {"g-vf1", "D\0\0"}});
    ASSERT_TRUE(script);
    EXPECT_THAT(*script, HasSubstr("printf '\\101'\n    } >\"$tree/$at/bar0_image\""));
    EXPECT_THAT(*script, HasSubstr("printf '\\102\\103' &&\n        zeros 4094 &&\n        "
                                   "printf '\\104'\n    } >\"$tree/$at/vf_bar0_image\""));
}

TEST(KernelScript, NeedsRegistersOfEveryFunction) {
    const auto model = parse_machine(
        "  devices: [{ name: g, model: mock-accel, vfs: { count: 2 } }]\n");
    const KernelPlan made = plan(model);
    EXPECT_FALSE(kernel_script(made, {{"g", "A"}, {"g-vf0", "B"}}));
}

TEST(KernelScript, NvidiaTakesTheModulesOwnIds) {
    const auto model = parse_machine(
        "  devices: [{ name: g, model: mock-accel, memory: 16G, vfs: { count: "
        "2 } }]\n");
    const KernelPlan made = plan(model, {.driver = KernelDriver::kNvidia, .vfs = 1});
    const auto script = kernel_script(made, registers_for(model));
    ASSERT_TRUE(script);
    EXPECT_THAT(*script, HasSubstr("attribute driver nvidia"));
    EXPECT_THAT(*script, HasSubstr("attribute vgpu_memory 16384"));
    EXPECT_THAT(*script, Not(HasSubstr("attribute vendor")));
    EXPECT_THAT(*script, HasSubstr("vfs 0010:00:00.0 1\n"));
}

TEST(KernelMachine, MovesFunctionsAndKeepsIdentity) {
    const auto model = parse_machine(
        std::string(kNuma) +
        "  devices: [{ name: g, model: mock-accel, numa_node: 1, uuid: X, "
        "vfs: { count: 2 } }]\n");
    const KernelPlan made = plan(model);
    const topology::Machine machine = kernel_machine(made, {0, 1});
    const topology::DeviceSpec& device = machine.devices.at(0);
    EXPECT_EQ(kernel_parents(made).at("g"), "pci0010:00");
    EXPECT_TRUE(device.native_sriov);
    EXPECT_EQ(device.numa_node, 1u);
    EXPECT_EQ(device.functions.at(0).bdf.str(), "0010:00:00.0");
    EXPECT_EQ(device.functions.at(2).bdf.str(), "0010:01:00.1");
    EXPECT_EQ(device.functions.at(0).identifier.label, "X");
    EXPECT_TRUE(device.functions.at(0).bars.at(0).is_64bit);
    EXPECT_FALSE(machine.has_numa);
    // A kernel without that node.
    EXPECT_EQ(kernel_machine(made, {0}).devices.at(0).numa_node, std::nullopt);
}

}  // namespace
}  // namespace mimic::kernel_bus
