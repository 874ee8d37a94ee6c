// SPDX-License-Identifier: Apache-2.0
// From dumps to topology files: placement, sizes, losses, and hierarchies that lie.
#include "clone/clone.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clone/test_samples.h"
#include "topology/topology.h"

namespace mimic::clone {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

std::string all_of(const std::vector<std::string>& lines) {
    std::string out;
    for (const std::string& line : lines) out += line + "\n";
    return out;
}

Cloned clone_of(const std::string& text, const CloneOptions& options = {}) {
    const auto dump = parse_dump(text);
    if (!dump) {
        ADD_FAILURE() << problem_text(dump.error(), "dump");
        return {};
    }
    const auto made = make_clone(*dump, options);
    if (!made) {
        ADD_FAILURE() << problem_text(made.error(), "dump");
        return {};
    }
    return *made;
}

topology::Machine machine_of(const Cloned& cloned) {
    const auto model = topology::parse(cloned.yaml, "clone.yaml");
    if (!model) {
        ADD_FAILURE() << model.error().str();
        return {};
    }
    return model->machines.at(0);
}

std::string problem_of(const std::string& text, const CloneOptions& options = {}) {
    const auto dump = parse_dump(text);
    if (!dump) return "not even a dump: " + problem_text(dump.error(), "dump");
    const auto made = make_clone(*dump, options);
    return made ? "" : problem_text(made.error(), "dump");
}

TEST(Clone, NvmeIsAnEndpoint) {
    const topology::Machine machine = machine_of(clone_of(sample("nvme")));
    ASSERT_EQ(machine.devices.size(), 1U);
    const topology::Device& device = machine.devices[0];
    EXPECT_EQ(device.name, "nvme0");
    EXPECT_FALSE(device.on_fabric);
    EXPECT_EQ(device.link, (topology::Link{3, 4}));
    EXPECT_EQ(device.functions[0].vendor_id, 0x144d);
    EXPECT_EQ(device.functions[0].class_code, 0x010802U);
    ASSERT_EQ(device.functions[0].bars.size(), 1U);
    EXPECT_EQ(device.functions[0].bars[0].size, 16384U);
    EXPECT_EQ(device.functions[0].replica->config, parse_dump(sample("nvme"))->functions[0].config);
}

TEST(Clone, GpuWithSriovIsOnAFabric) {
    const topology::Machine machine = machine_of(clone_of(sample("gpu")));
    const topology::Device& device = machine.devices.at(0);
    EXPECT_TRUE(device.on_fabric);
    EXPECT_EQ(device.functions[0].replica->total_vfs, 16U);
    EXPECT_EQ(device.functions[0].replica->rom_size, 512U << 10);
    EXPECT_GE(machine.fabrics.at(0).memory64_bar_size, 48ULL << 30);
    EXPECT_GE(machine.fabrics.at(0).memory32_bar_size, 17ULL << 20);
}

TEST(Clone, NicHasTwoFunctionsAndTheVfsImage) {
    const Cloned cloned = clone_of(sample("nic"));
    EXPECT_EQ(cloned.functions, 2U);
    const topology::Machine machine = machine_of(cloned);
    const topology::Device& device = machine.devices.at(0);
    ASSERT_EQ(device.functions.size(), 2U);
    EXPECT_EQ(device.functions[1].name, "nic0-f1");
    EXPECT_EQ(device.functions[1].bdf.str(), "10000:01:00.1");
    EXPECT_EQ(device.functions[0].replica->vf_config.size(), 4096U);
    EXPECT_TRUE(device.functions[1].replica->vf_config.empty());
    EXPECT_EQ(device.vf_buses(), 0U);  // 1 + 128 + 63 * 2 = 255
}

TEST(Clone, SwitchBecomesAFabric) {
    const Cloned cloned = clone_of(sample("switch"));
    EXPECT_EQ(cloned.ports, 4U);
    const topology::Machine machine = machine_of(cloned);
    ASSERT_EQ(machine.switches.size(), 1U);
    EXPECT_FALSE(machine.switches[0].config.empty());
    EXPECT_FALSE(machine.switches[0].port_config.empty());
    ASSERT_EQ(machine.devices.size(), 2U);
    EXPECT_EQ(machine.devices[0].slot, 8U);
    EXPECT_TRUE(machine.devices[0].hotplug);
    EXPECT_FALSE(machine.devices[1].hotplug);
    EXPECT_THAT(all_of(cloned.losses), HasSubstr("3c:10.0: a port with nothing below it"));
}

TEST(Clone, OnlyTakesOneDevice) {
    const Cloned cloned = clone_of(sample("switch"), {.only = {{0, 0x3e, 0, 0}}});
    EXPECT_EQ(cloned.functions, 1U);
    EXPECT_EQ(cloned.ports, 0U);
    EXPECT_FALSE(machine_of(cloned).devices.at(0).on_fabric);
    EXPECT_THAT(problem_of(sample("gpu"), {.only = {{0, 1, 0, 0}}}),
                HasSubstr("no device 01:00.0"));
}

TEST(Clone, AttachCanBeSaid) {
    EXPECT_TRUE(
        machine_of(clone_of(sample("nvme"), {.attach = Attach::kFabric})).devices[0].on_fabric);
    const Cloned gpu = clone_of(sample("gpu"), {.attach = Attach::kEndpoint});
    EXPECT_FALSE(machine_of(gpu).devices[0].on_fabric);
    EXPECT_THAT(all_of(gpu.losses), HasSubstr("QEMU hides both of an endpoint"));
}

TEST(Clone, ListsWhatIsLostInTheFileToo) {
    const Cloned cloned = clone_of(sample("gpu"));
    for (const char* const what : {"[bb0] Resizable BAR", "the contents of its ROM", "no VF is in",
                                   "carries no INTx", "[600] Vendor Specific"}) {
        EXPECT_THAT(all_of(cloned.losses), HasSubstr(what));
        EXPECT_THAT(cloned.yaml, HasSubstr(what));
    }
    EXPECT_THAT(all_of(cloned.losses), Not(HasSubstr("Advanced Error")));
}

TEST(Clone, SizesThatAreMissingAreAssumedAndSaid) {
    std::string text = sample("nvme");
    for (size_t at; (at = text.find(" [size=16K]")) != std::string::npos;) text.erase(at, 11);
    const Cloned cloned = clone_of(text);
    EXPECT_THAT(all_of(cloned.losses), HasSubstr("size of BAR0 is not in the dump: 16K assumed"));
}

TEST(Clone, AssumedBarHoldsTheMsixTable) {
    TestFunction device = endpoint("01:00.0");
    device.put(0x10, 0xfe00'0000).put(6, 0x10, 2).put(0x34, 0x40, 1);
    device.put(0x40, 0x07ff'0011).put(0x44, 0x10000).put(0x48, 0x20000);
    EXPECT_THAT(all_of(clone_of(device.dump()).losses), HasSubstr("256K assumed"));
}

TEST(Clone, TreeTextIsCompared) {
    const Cloned cloned = clone_of(sample("nvme") + "\n-[0000:00]-+-01.0-[01]----00.0\n");
    EXPECT_THAT(all_of(cloned.losses), HasSubstr("00:01.0: in the tree on line"));
}

TEST(Clone, ChipsetAndConventionalBridgesAreLeftOut) {
    const std::string text = endpoint("00:00.0").put(0x08, 0x0600'0000).dump() +
                             port("00:1e.0", 7, 5, 5).dump() + endpoint("05:00.0").dump() +
                             endpoint("00:02.0").dump();
    const Cloned cloned = clone_of(text);
    EXPECT_EQ(cloned.functions, 1U);
    EXPECT_THAT(all_of(cloned.losses), HasSubstr("00:00.0: a part of the chipset"));
    EXPECT_THAT(all_of(cloned.losses), HasSubstr("05:00.0: below a bridge that is left out"));
}

TEST(Clone, HierarchiesThatLieAreRefused) {
    EXPECT_THAT(problem_of(port("01:00.0", 4, 1, 5).dump() + endpoint("02:00.0").dump()),
                HasSubstr("dump:1: bridge 01:00.0 says that buses 01 to 05"));
    EXPECT_THAT(problem_of(port("00:01.0", 4, 2, 2).dump() + port("00:02.0", 4, 2, 2).dump()),
                HasSubstr("both say that bus 02 is below them"));
    EXPECT_THAT(problem_of(port("00:01.0", 4, 5, 2).dump()), HasSubstr("buses 05 to 02"));
    EXPECT_THAT(problem_of(endpoint("01:00.0", 0xffff'ffff).dump()), HasSubstr("means no device"));
    EXPECT_THAT(problem_of(endpoint("01:00.0").put(0x0e, 5, 1).dump()), HasSubstr("header type"));
    EXPECT_THAT(problem_of(port("00:01.0", 4, 2, 2).dump()), HasSubstr("nothing that can be"));
}

TEST(Clone, SizesThatNoBarHasAreRefused) {
    TestFunction device = endpoint("01:00.0").put(0x10, 0x8000'0000).put(0x14, 0x0000'e001);
    device.text = "\tRegion 0: Memory at 0 (32-bit, non-prefetchable) [size=8]\n";
    EXPECT_THAT(problem_of(device.dump()), HasSubstr("dump:2: BAR0 of 01:00.0 has 8"));
    device.text = "\tRegion 1: I/O ports at e000 [size=8K]\n";
    EXPECT_THAT(problem_of(device.dump()), HasSubstr("dump:2: BAR1 of 01:00.0 has 8K"));
    TestFunction wide = endpoint("01:00.0").put(0x10, 4);
    wide.text = "\tRegion 0: Memory at 0 (64-bit, non-prefetchable) [size=8388608T]\n";
    EXPECT_THAT(problem_of(wide.dump()), HasSubstr("dump:2: BAR0 of 01:00.0 has"));
}

TEST(Clone, MachinesThatCannotBeAreRefusedWithWords) {
    std::string text;
    for (unsigned i = 0; i < 8; ++i) {
        TestFunction device = endpoint(fmt::format("{:02x}:00.0", i + 1)).put(0x14, 0).put(0x10, 4);
        device.text = "\tRegion 0: Memory at 0 (64-bit, non-prefetchable) [size=256G]\n";
        text += device.dump();
    }
    EXPECT_THAT(problem_of(text), HasSubstr("the machine cannot be made"));
}

// Each byte of the headers and lists of a sample changed: a clone or a problem, and no more.
TEST(Clone, FlippedBytesEnd) {
    auto dump = parse_dump(sample("nic"));
    ASSERT_TRUE(dump);
    for (auto& function : dump->functions) {
        for (const size_t first : std::array<size_t, 3>{0, 0x40, 0x160}) {
            for (size_t at = first; at < first + 0x40; ++at) {
                const uint8_t old = function.config[at];
                for (const uint8_t value : std::array<uint8_t, 3>{0, 0xff, 0x50}) {
                    function.config[at] = value;
                    const auto made = make_clone(*dump, {});
                    EXPECT_TRUE(made.has_value() || !made.error().empty());
                }
                function.config[at] = old;
            }
        }
    }
}

}  // namespace
}  // namespace mimic::clone
