// SPDX-License-Identifier: Apache-2.0
// From dumps to topology files: placement, sizes, losses, and hierarchies that lie.
#include "dump/clone.h"
#include "devices/all_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dump/test_samples.h"
#include "topology/topology.h"

namespace mimic::dump {
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
    CloneOptions with_models = options;
    with_models.models = devices::all_models();
    const auto made = make_clone(*dump, with_models);
    if (!made) {
        ADD_FAILURE() << problem_text(made.error(), "dump");
        return {};
    }
    return *made;
}

topology::Machine machine_of(const Cloned& cloned) {
    const auto model = topology::parse(cloned.yaml, "clone.yaml", devices::all_models());
    if (!model) {
        ADD_FAILURE() << model.error().str();
        return {};
    }
    return model->machines.at(0);
}

std::string problem_of(const std::string& text, const CloneOptions& options = {}) {
    const auto dump = parse_dump(text);
    if (!dump) return "not even a dump: " + problem_text(dump.error(), "dump");
    CloneOptions with_models = options;
    with_models.models = devices::all_models();
    const auto made = make_clone(*dump, with_models);
    return made ? "" : problem_text(made.error(), "dump");
}

TEST(Clone, NvmeIsAnEndpoint) {
    const topology::Machine machine = machine_of(clone_of(sample("nvme")));
    ASSERT_EQ(machine.devices.size(), 1U);
    const topology::DeviceSpec& device = machine.devices[0];
    EXPECT_EQ(device.name, "nvme0");
    EXPECT_FALSE(device.on_fabric);
    EXPECT_EQ(device.link, (topology::Link{3, 4}));
    EXPECT_EQ(device.functions[0].vendor_id, 0x144d);
    EXPECT_EQ(device.functions[0].class_code, 0x010802U);
    ASSERT_EQ(device.functions[0].bars.size(), 1U);
    EXPECT_EQ(device.functions[0].bars[0].size, 16384U);
    EXPECT_EQ(device.functions[0].clone->config, parse_dump(sample("nvme"))->functions[0].config);
}

TEST(Clone, GpuWithSriovIsOnAFabric) {
    const topology::Machine machine = machine_of(clone_of(sample("gpu")));
    const topology::DeviceSpec& device = machine.devices.at(0);
    EXPECT_TRUE(device.on_fabric);
    EXPECT_EQ(device.functions[0].clone->total_vfs, 16U);
    EXPECT_EQ(device.functions[0].clone->rom_size, 512U << 10);
    EXPECT_GE(machine.fabrics.at(0).memory64_bar_size, 48ULL << 30);
    EXPECT_GE(machine.fabrics.at(0).memory32_bar_size, 17ULL << 20);
}

TEST(Clone, NicHasTwoFunctionsAndTheVfsImage) {
    const Cloned cloned = clone_of(sample("nic"));
    EXPECT_EQ(cloned.functions, 2U);
    const topology::Machine machine = machine_of(cloned);
    const topology::DeviceSpec& device = machine.devices.at(0);
    ASSERT_EQ(device.functions.size(), 2U);
    EXPECT_EQ(device.functions[1].name, "nic0-f1");
    EXPECT_EQ(device.functions[1].bdf.str(), "10000:01:00.1");
    EXPECT_EQ(device.functions[0].clone->vf_config.size(), 4096U);
    EXPECT_TRUE(device.functions[1].clone->vf_config.empty());
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
    const Cloned gpu = clone_of(sample("gpu"), {.attach = Attach::kRootPort});
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

TEST(Clone, BridgesThatLieAreLeftOut) {
    const std::string good = endpoint("02:00.0").dump();
    const auto losses = [&good](const std::string& bad) {
        const Cloned cloned = clone_of(bad + good);
        EXPECT_EQ(cloned.functions, 1U);
        return all_of(cloned.losses);
    };
    EXPECT_THAT(losses(port("01:00.0", 4, 1, 5).dump()),
                HasSubstr("01:00.0: a bridge that says that buses 01 to 05 are below it"));
    EXPECT_THAT(losses(port("00:01.0", 4, 2, 2).dump() + port("00:02.0", 4, 2, 2).dump()),
                HasSubstr("00:02.0: a bridge that says, as 00:01.0 does, that bus 02 is below"));
    EXPECT_THAT(losses(port("00:01.0", 4, 5, 2).dump()), HasSubstr("buses 05 to 02"));
    EXPECT_THAT(losses(port("00:01.0", 4, 0, 0).dump()), HasSubstr("nobody gave bus numbers"));
    EXPECT_THAT(losses(endpoint("01:00.0").put(0x0e, 5, 1).dump()), HasSubstr("header type 0x05"));
    EXPECT_THAT(losses(endpoint("01:00.0", 0x1234'0000).dump()), HasSubstr("vendor id 0000"));
}

// Bridges that all say "bus 0" on bus 0 would be below themselves, and each below each.
TEST(Clone, BridgesBelowThemselvesEnd) {
    std::string text = endpoint("00:1f.0").dump();
    for (unsigned i = 1; i < 9; ++i) text += port(fmt::format("00:{:02x}.0", i), 7, 0, 0).dump();
    for (unsigned i = 9; i < 16; ++i) text += port(fmt::format("00:{:02x}.0", i), 4, 0, 9).dump();
    EXPECT_EQ(clone_of(text).functions, 1U);
}

TEST(Clone, ASleepingDeviceIsOneLoss) {
    const Cloned cloned = clone_of(test_case("all-ff-with-region"));
    EXPECT_EQ(cloned.functions, 1U);
    EXPECT_THAT(all_of(cloned.losses), HasSubstr("02:00.0: its bytes are all ff: it was asleep"));
    EXPECT_THAT(problem_of(test_case("all-ff-with-region"), {.only = {{0, 2, 0, 0}}}),
                HasSubstr("dump:21: 02:00.0: its bytes are all ff"));
}

TEST(Clone, SizesThatNoBarHasAreLosses) {
    TestFunction device = endpoint("01:00.0").put(0x10, 0x8000'0000).put(0x14, 0x0000'e001);
    const auto losses = [&device](const std::string& text) {
        device.text = text;
        const Cloned cloned = clone_of(device.dump());
        EXPECT_EQ(cloned.functions, 1U);
        return all_of(cloned.losses);
    };
    EXPECT_THAT(losses("\tRegion 0: Memory at 0 (32-bit, non-prefetchable) [size=8]\n"),
                HasSubstr("01:00.0: BAR0 has 8 of memory"));
    EXPECT_THAT(losses("\tRegion 1: I/O ports at e000 [size=8K]\n"),
                HasSubstr("01:00.0: BAR1 has 8K of I/O; a BAR of its kind has 4 to 256: left out"));
    EXPECT_THAT(losses("\tRegion 0: Memory at 0 (32-bit, non-prefetchable) [size=960K]\n"),
                HasSubstr("[size=960K] of BAR0: no power of two"));
    EXPECT_THAT(losses("\tRegion 0: Memory at 0 (32-bit, non-prefetchable) [size=4G]\n"),
                HasSubstr("its address 0x80000000 in the bytes is no multiple: not believed"));
    TestFunction wide = endpoint("01:00.0").put(0x10, 4);
    wide.text = "\tRegion 0: Memory at 0 (64-bit, non-prefetchable) [size=8388607T]\n";
    EXPECT_EQ(clone_of(wide.dump()).functions, 1U);
    wide.text = "\tRegion 0: Memory at 0 (64-bit, non-prefetchable) [size=8388608T]\n";
    EXPECT_THAT(all_of(clone_of(wide.dump()).losses), HasSubstr("BAR0 has 8192P"));
    const topology::Machine io = machine_of(clone_of(test_case("io-bar-1k")));
    ASSERT_EQ(io.devices.at(0).functions[0].bars.size(), 1U);
    EXPECT_EQ(io.devices[0].functions[0].bars[0].size, 1U << 20);
}

TEST(Clone, BytesTellTheKindOfABar) {
    TestFunction device = endpoint("01:00.0").put(0x10, 0xf000'000c).put(0x18, 0x0000'0004);
    for (const char* const kind : {"32-bit, non-prefetchable", "64-bit, non-prefetchable",
                                   "32-bit, prefetchable", "type 3, prefetchable"}) {
        device.text = fmt::format("\tRegion 0: Memory at f0000000 ({}) [size=16K]\n", kind);
        const Cloned cloned = clone_of(device.dump());
        EXPECT_THAT(all_of(cloned.losses), HasSubstr("BAR0 is of another kind in the text"));
        const topology::BarSpec bar = machine_of(cloned).devices.at(0).functions[0].bars.at(0);
        EXPECT_TRUE(bar.is_64bit && bar.prefetchable) << kind;
        EXPECT_EQ(bar.size, 16384U);
    }
}

TEST(Clone, TextWithoutARegisterIsLeftOut) {
    const auto lost = [](const std::string& text, size_t bars) {
        const Cloned cloned = clone_of(text);
        const topology::Machine machine = machine_of(cloned);
        EXPECT_EQ(machine.devices.at(0).functions.at(0).bars.size(), bars);
        EXPECT_EQ(machine.devices.at(0).functions.at(0).clone->rom_size, 0U);
        return all_of(cloned.losses);
    };
    EXPECT_THAT(lost(test_case("enhanced-allocation"), 0),
                HasSubstr("region 0 of the text has no register behind it (it is of Enhanced"));
    EXPECT_THAT(lost(test_case("rom-shadow-virtual"), 1),
                HasSubstr("its ROM at 000c0000 is the copy that firmware left in memory"));
    const std::string ide = lost(test_case("ide-legacy-virtual"), 1);
    for (unsigned i = 0; i < 4; ++i) {
        EXPECT_THAT(ide, HasSubstr(fmt::format("region {} of the text has no register", i)));
    }
    // What lspci 3.14 prints of legacy ports, of enhanced allocation and of a ROM.
    TestFunction device = endpoint("01:00.0");
    device.text =
        "\tRegion 0: I/O ports at 01f0 [size=8]\n"
        "\tRegion 2: Memory at <unassigned> (64-bit, prefetchable) [size=8M]\n"
        "\tRegion 4: Memory at 80000000 (32-bit, non-prefetchable) [enhanced] [size=8M]\n"
        "\tRegion 5: Memory at 80000000 (32-bit, non-prefetchable) [size=8M]\n"
        "\tExpansion ROM at fe000000 [virtual] [disabled] [size=64K]\n";
    const std::string all = lost(device.dump(), 0);
    for (const unsigned i : {0U, 2U, 4U, 5U}) {
        EXPECT_THAT(all, HasSubstr(fmt::format("region {} of the text has no register", i)));
    }
    EXPECT_THAT(all, HasSubstr("its ROM is in the text only"));
}

TEST(Clone, RegistersWithoutAnAddressAreBelieved) {
    TestFunction device = endpoint("01:00.0").put(0x10, 0xc).put(0x18, 0x1);
    device.text =
        "\tRegion 0: Memory at 92400000 (32-bit, non-prefetchable) [virtual] [size=64K]\n"
        "\tRegion 2: I/O ports at <unassigned> [disabled] [size=32]\n"
        "\tRegion 3: Memory at <unassigned> (32-bit, non-prefetchable) [disabled] [size=4K]\n"
        "\tExpansion ROM at <unassigned> [disabled] [size=64K]\n";
    const Cloned cloned = clone_of(device.dump());
    const auto function = machine_of(cloned).devices.at(0).functions.at(0);
    ASSERT_EQ(function.bars.size(), 3U);
    EXPECT_TRUE(function.bars[0].is_64bit && function.bars[0].prefetchable);
    EXPECT_EQ(function.bars[0].size, 65536U);
    EXPECT_TRUE(function.bars[1].is_io);
    EXPECT_EQ(function.bars[2].size, 4096U);
    EXPECT_EQ(function.clone->rom_size, 65536U);
    EXPECT_THAT(all_of(cloned.losses), Not(HasSubstr("region")));
}

TEST(Clone, LowestFunctionThatIsLeftBecomesFunction0) {
    const Cloned cloned = clone_of(test_case("function-0-is-chipset"));
    EXPECT_EQ(cloned.functions, 1U);
    EXPECT_THAT(all_of(cloned.losses), HasSubstr("00:1f.0: a part of the chipset"));
    EXPECT_THAT(all_of(cloned.losses),
                HasSubstr("00:1f.2: function 0 of its device is not cloned"));
    EXPECT_EQ(machine_of(cloned).devices.at(0).functions.at(0).class_code, 0x010601U);
    // Of three, with ARI's list.
    std::string text;
    for (const unsigned number : {2U, 3U, 6U}) {
        TestFunction one = endpoint(fmt::format("01:00.{}", number));
        one.bytes.resize(4096);
        one.put(0x100, 0x0001'000e).put(0x104, 0x0000'0400);
        text += one.dump();
    }
    const Cloned three = clone_of(text);
    const auto functions = machine_of(three).devices.at(0).functions;
    ASSERT_EQ(functions.size(), 3U);
    const std::array<unsigned, 3> numbers{0, 3, 6};
    const std::array<unsigned, 3> next{3, 6, 0};
    for (size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(functions[i].number, numbers[i]);
        EXPECT_EQ(functions[i].clone->config[0x105], next[i]);
    }
    EXPECT_THAT(all_of(three.losses), HasSubstr("ARI: its next function is 3, not 4"));
}

TEST(Clone, SaysWhyNothingIsLeft) {
    EXPECT_THAT(problem_of(test_case("only-a-root-port")),
                HasSubstr("dump:1: 00:01.0: a port with nothing below it: left out"));
    EXPECT_THAT(problem_of(test_case("vf-alone")), HasSubstr("3b:02.0: a virtual function, whose"));
    EXPECT_THAT(problem_of(endpoint("01:00.0", 0xffff'ffff).put(0x0e, 1, 1).dump()),
                HasSubstr("vendor id ffff in its bytes, which means no device"));
    EXPECT_THAT(problem_of(test_case("utf16")), HasSubstr("UTF-16"));
    EXPECT_THAT(problem_of(port("01:00.0", 5, 2, 4).dump()),
                HasSubstr("dump:1: 01:00.0: a switch with no device below it"));
    EXPECT_THAT(problem_of(sample("nic"), {.only = {{0, 0x5e, 0x10, 0}}}),
                HasSubstr("a VF of 5e:00.0, which makes its own"));
}

TEST(Clone, ConfigurationSpaceOf256BytesIsCloned) {
    std::string text = sample("nvme");
    const size_t at = text.find("\n100: ");
    text = text.substr(0, at + 1) + text.substr(text.rfind("\nff0: ") + 1 + 5 + 48);
    const Cloned cloned = clone_of(text);
    EXPECT_EQ(machine_of(cloned).devices.at(0).functions[0].clone->config.size(), 256U);
    EXPECT_THAT(all_of(cloned.losses), HasSubstr("[100] Advanced Error Reporting: in the text"));
}

TEST(Clone, PortsThatNoPortOfMimicsCanLookLikeAreReplaced) {
    TestFunction short_port = port("00:01.0", 4, 1, 1);
    short_port.put(0x40, 0x0041'5010).put(0x50, 0x0000'0009).put(0x52, 0xb0, 1);
    const Cloned cloned = clone_of(short_port.dump() + endpoint("01:00.0").dump());
    EXPECT_EQ(cloned.functions, 1U);
    EXPECT_EQ(cloned.ports, 0U);
    EXPECT_THAT(all_of(cloned.losses), HasSubstr("a port of Mimic's in its place"));
}

TEST(Clone, PortsSayWhatTheyKeep) {
    TestFunction root = port("00:01.0", 4, 1, 1);
    root.put(0x40, 0x0142'8010).put(0x80, 0x0003'0001);
    const Cloned cloned = clone_of(root.dump() + endpoint("01:00.0").dump());
    EXPECT_EQ(cloned.ports, 1U);
    EXPECT_THAT(all_of(cloned.losses), HasSubstr("[80] Power Management: NoSoftRst-"));
    EXPECT_THAT(all_of(cloned.losses), HasSubstr("its prefetchable window has not 64 bits"));
}

TEST(Clone, FunctionsWithoutAddressesOnAFabricMakeAnEndpoint) {
    const std::string text = endpoint("01:00.0").dump() +
                             endpoint("01:00.1").put(0x08, 0x0000'0000).dump();
    const Cloned cloned = clone_of(text, {.attach = Attach::kFabric});
    EXPECT_FALSE(machine_of(cloned).devices.at(0).on_fabric);
    EXPECT_THAT(all_of(cloned.losses), HasSubstr("01:00.1: class 0000 gets no addresses"));
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
                    const auto made = make_clone(*dump, {.models = devices::all_models()});
                    EXPECT_TRUE(made.has_value() || !made.error().empty());
                }
                function.config[at] = old;
            }
        }
    }
}

}  // namespace
}  // namespace mimic::dump
