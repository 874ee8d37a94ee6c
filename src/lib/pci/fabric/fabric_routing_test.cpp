// SPDX-License-Identifier: Apache-2.0
// Which function an access finds: configuration by bus and function, memory by windows and BARs,
// and that each change of routing counts at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pci/testing/fabric.h"

namespace mimic::pci {
namespace {

using T = TestTree;

class RoutingTest : public testing::Test {
protected:
    bool answers(uint32_t rid) { return guest.config(rid, 0) != ~0u; }
    void set_buses(uint32_t rid, uint8_t secondary, uint8_t subordinate) {
        guest.set_config<uint16_t>(rid, regs::SECONDARY_BUS,
                                   static_cast<uint16_t>(secondary | (subordinate << 8)));
    }

    TestTree tree;
    Guest& guest = tree.guest;
};

// --- Configuration ---------------------------------------------------------------------------

TEST_F(RoutingTest, EachLevelAnswersAtItsBus) {
    EXPECT_EQ(guest.config<uint16_t>(T::kRp0, regs::DEVICE_ID), 0x0100);
    EXPECT_EQ(guest.config<uint16_t>(T::kUp, regs::DEVICE_ID), 0x0100);
    EXPECT_EQ(guest.config<uint16_t>(T::kDown1, regs::DEVICE_ID), 0x0100);
    EXPECT_EQ(guest.config<uint16_t>(T::kPf, regs::DEVICE_ID), 0x0001);
    EXPECT_EQ(guest.config<uint16_t>(T::kB, regs::DEVICE_ID), 0x0001);
}

TEST_F(RoutingTest, NobodyReadsAsOnesAndIsCounted) {
    const uint64_t before = tree.fabric.counters().unsupported;
    for (const uint32_t rid :
         {0x000u, 0x009u, 0x101u, 0x108u, 0x200u, 0x901u, 0xa10u, 0xd00u, 0x1100u, 0x1f00u}) {
        EXPECT_FALSE(answers(rid)) << rid;
    }
    EXPECT_EQ(tree.fabric.counters().unsupported, before + 10);
}

TEST_F(RoutingTest, BusesBeyondTheConfigurationSpaceReadAsOnes) {
    set_buses(T::kRp2, 32, 255);
    EXPECT_FALSE(answers(32 << 8));
    EXPECT_EQ(guest.config(0xffff'ffff, 0), ~0u);
    guest.set_config(0xffff'ffff, 0, 0u);
    uint32_t value = 0;
    tree.fabric.config_read(~uint64_t{0}, {reinterpret_cast<uint8_t*>(&value), 4});
    EXPECT_EQ(value, ~0u);
}

TEST_F(RoutingTest, AccessesOfAnySizeAndAlignmentWork) {
    EXPECT_EQ(guest.config<uint64_t>(T::kA, 0),
              0x0000'0000'0001'1de5u | (uint64_t{guest.config(T::kA, 4)} << 32));
    EXPECT_EQ(guest.config<uint16_t>(T::kA, 1), 0x011d);
    EXPECT_EQ(guest.config<uint32_t>(T::kA, 1) & 0xff'ffff, 0x00011du);
    guest.set_config<uint64_t>(T::kA, regs::BAR0 + 8, 0x0000'0050'1230'0000);
    EXPECT_EQ(tree.a->bar_address(2), 0x50'1230'0000u);
    guest.set_config<uint32_t>(T::kA, regs::BAR0 + 10, 0x0051'4560);  // unaligned, over two BARs
    EXPECT_EQ(tree.a->bar_address(2) >> 32, 0x51u);
}

TEST_F(RoutingTest, AccessBeyondAFunctionStaysInIt) {
    const uint32_t sentinel = tree.down1->config().u32(0);
    EXPECT_EQ(guest.config<uint64_t>(T::kDown0, 0xffc) >> 32, 0xffff'ffffu);
    // Not even into function 1 of the same device.
    guest.set_config<uint64_t>(T::kDown1 - 1, 0xffc, ~uint64_t{0});
    EXPECT_EQ(tree.down1->config().u32(0), sentinel);
    EXPECT_EQ(tree.down1->config().u16(regs::COMMAND),
              regs::COMMAND_MEMORY_SPACE | regs::COMMAND_BUS_MASTER);
}

TEST_F(RoutingTest, OnlyDeviceZeroIsBelowALink) {
    TestTree other;  // rp1 forwards to functions 0 to 7 only, as ARI forwarding is off
    for (uint32_t devfn = 1; devfn < 256; ++devfn) {
        EXPECT_EQ(other.guest.config(0x900 + devfn, 0), ~0u) << devfn;
    }
}

TEST_F(RoutingTest, OverlappingBusesGoToTheFirstPort) {
    set_buses(T::kRp1, 1, 16);
    EXPECT_TRUE(answers(T::kPf)) << "rp0's";
    EXPECT_EQ(guest.config<uint16_t>(T::kPf, regs::DEVICE_ID), 0x0001);
}

TEST_F(RoutingTest, InvertedBusesHideWhatIsBelow) {
    set_buses(T::kRp1, 16, 9);
    for (uint32_t bus = 1; bus < 32; ++bus) {
        EXPECT_EQ(answers(bus << 8), bus == 1) << bus;
    }
    EXPECT_TRUE(answers(T::kPf));
}

TEST_F(RoutingTest, BusNumbersThatLoopEnd) {
    set_buses(T::kUp, 9, 16);     // as its own bus
    set_buses(T::kDown0, 9, 16);  // and again
    EXPECT_TRUE(answers(T::kUp)) << "the first that has the number";
    for (uint32_t rid = 0xa00; rid < 0x1100; rid += 8) (void)answers(rid);
    set_buses(T::kRp1, 0, 255);
    EXPECT_TRUE(answers(T::kRp1));
    set_buses(T::kRp1, 9, 16);
    EXPECT_TRUE(answers(T::kUp));
}

TEST_F(RoutingTest, RenumberedBusesMoveAtOnce) {
    ASSERT_TRUE(answers(T::kB));
    set_buses(T::kDown1, 14, 14);
    EXPECT_FALSE(answers(T::kB));
    EXPECT_EQ(guest.config<uint16_t>(0xe00, regs::DEVICE_ID), 0x0001);
}

TEST_F(RoutingTest, PortInD3OrResetHidesWhatIsBelow) {
    const uint32_t pmcsr = tree.up->config().find_capability(regs::CAP_ID_PM) + regs::PMCSR;
    guest.set_config<uint16_t>(T::kUp, pmcsr, 3);
    EXPECT_TRUE(answers(T::kUp));
    EXPECT_FALSE(answers(T::kDown0));
    EXPECT_FALSE(answers(T::kA));
    guest.set_config<uint16_t>(T::kUp, pmcsr, 0);
    EXPECT_TRUE(answers(T::kA));
    guest.set_bits(T::kDown0, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_BUS_RESET);
    EXPECT_FALSE(answers(T::kA));
    EXPECT_TRUE(answers(T::kB));
    guest.clear_bits(T::kDown0, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_BUS_RESET);
    EXPECT_TRUE(answers(T::kA));
}

// --- Memory ----------------------------------------------------------------------------------

TEST_F(RoutingTest, MemoryBehindNestedWindowsAnswers) {
    guest.store<uint32_t>(T::kABar0 + TestDevice::kRegisters, 0x1234'5678);
    guest.store<uint64_t>(T::kBBar2 + 8, 0x1122'3344'5566'7788);
    EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), 0x1234'5678u);
    EXPECT_EQ(guest.load<uint64_t>(T::kBBar2 + 8), 0x1122'3344'5566'7788u);
    EXPECT_EQ(tree.a->writes, 1u);
    EXPECT_EQ(tree.b->writes, 1u);
}

TEST_F(RoutingTest, AddressesOfNobodyReadAsOnes) {
    for (const uint64_t at : {uint64_t{0}, T::kABar0 + 0x1'0000, kWindow32 + kWindow32Size - 4,
                              T::kABar2 + 0x10'0000, ~uint64_t{0} - 3}) {
        EXPECT_EQ(guest.load(at), ~0u) << at;
        guest.store<uint32_t>(at, 0);
    }
    EXPECT_EQ(tree.a->writes + tree.b->writes + tree.pf->writes, 0u);
}

TEST_F(RoutingTest, AccessAcrossTheEndOfABarIsNobodysAsAWhole) {
    EXPECT_EQ(guest.load<uint32_t>(T::kABar0 + 0xffff - 3), 0u);
    EXPECT_EQ(guest.load<uint32_t>(T::kABar0 + 0xffff - 2), ~0u);
    guest.store<uint64_t>(T::kABar0 + 0xfffc, 0);
    EXPECT_EQ(tree.a->writes, 0u);
}

TEST_F(RoutingTest, BarOutsideItsWindowDoesNotAnswer) {
    guest.set_config(T::kA, regs::BAR0, static_cast<uint32_t>(T::kBBar0));
    EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), ~0u);
    guest.store<uint32_t>(T::kBBar0 + TestDevice::kRegisters, 5);
    EXPECT_EQ(tree.a->writes, 0u);
    EXPECT_EQ(tree.b->writes, 1u);
}

// Whoever moves a BAR: the function tells its slot, also of what did not come through the fabric.
TEST_F(RoutingTest, RouteOfTheLastAccessIsForgottenWhenItsFunctionChanges) {
    const auto put = [&](uint32_t offset, std::vector<uint8_t> bytes) {
        tree.a->config_write(offset, bytes);
    };
    ASSERT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), 0u);
    put(regs::COMMAND, {0, 0});
    EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), ~0u);
    put(regs::COMMAND, {regs::COMMAND_MEMORY_SPACE, 0});
    EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), 0u);
    const uint32_t pm = tree.a->config().find_capability(regs::CAP_ID_PM);
    put(pm + regs::PMCSR, {3, 0});  // D3hot
    EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), ~0u);
    put(pm + regs::PMCSR, {0, 0});
    EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), 0u);
    tree.a->reset(ResetKind::kFunctionLevel);
    EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), ~0u);
}

TEST_F(RoutingTest, BarAtZeroAnswersOnlyInAWindowAtZero) {
    guest.set_config(T::kPf, regs::BAR0, 0u);
    EXPECT_EQ(guest.load(TestDevice::kRegisters), ~0u);
    guest.set_config(T::kRp0, regs::MEMORY_BASE, 0u);
    EXPECT_EQ(guest.load(TestDevice::kRegisters), 0u);
}

TEST_F(RoutingTest, OverlappingBarsAnswerOnce) {
    guest.set_config(T::kPf, regs::BAR0 + 8, T::kPfBar0);  // BAR2 over BAR0
    guest.store<uint32_t>(T::kPfBar0 + TestDevice::kRegisters, 1);
    EXPECT_EQ(tree.pf->writes, 1u);
    EXPECT_EQ(guest.load(T::kPfBar0 + TestDevice::kRegisters), 1u);
}

TEST_F(RoutingTest, OverlappingWindowsGoToTheFirstPort) {
    guest.open_port(T::kRp0, 0, 64, 0, 4);  // over rp1's
    EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), ~0u);
    EXPECT_EQ(guest.load(T::kPfBar0 + TestDevice::kRegisters), 0u);
}

TEST_F(RoutingTest, ClosedWindowHidesWhatIsBelowAtOnce) {
    ASSERT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), 0u);
    guest.set_config<uint32_t>(T::kUp, regs::MEMORY_BASE, 0x0000'fff0);
    EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), ~0u);
    EXPECT_EQ(guest.load(T::kABar2), 0u) << "the prefetchable window is open";
}

TEST_F(RoutingTest, MemorySpaceOffAtEachLevelHidesTheBarAtOnce) {
    for (const uint32_t rid : {T::kRp1, T::kUp, T::kDown0, T::kA}) {
        ASSERT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), 0u);
        guest.clear_bits(rid, regs::COMMAND, regs::COMMAND_MEMORY_SPACE);
        EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), ~0u) << rid;
        guest.set_bits(rid, regs::COMMAND, regs::COMMAND_MEMORY_SPACE);
    }
}

TEST_F(RoutingTest, D3HotAtEachLevelHidesTheBarAtOnce) {
    for (const uint32_t rid : {T::kRp1, T::kUp, T::kDown0, T::kA}) {
        const uint32_t cap = rid == T::kA ? tree.a->config().find_capability(regs::CAP_ID_PM)
                                          : tree.up->config().find_capability(regs::CAP_ID_PM);
        ASSERT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), 0u);
        guest.set_config<uint16_t>(rid, cap + regs::PMCSR, 3);
        EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), ~0u) << rid;
        guest.set_config<uint16_t>(rid, cap + regs::PMCSR, 0);
    }
}

TEST_F(RoutingTest, LinkDownHidesTheBarAtOnce) {
    ASSERT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), 0u);
    ASSERT_TRUE(tree.fabric.set_link("a", false));
    EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), ~0u);
    EXPECT_EQ(guest.load(T::kBBar0 + TestDevice::kRegisters), 0u);
}

TEST_F(RoutingTest, MovedBarMovesAtOnce) {
    ASSERT_EQ(guest.load(T::kPfBar0 + TestDevice::kRegisters), 0u);
    guest.set_config(T::kPf, regs::BAR0, static_cast<uint32_t>(T::kPfBar0 + 0x10'0000));
    EXPECT_EQ(guest.load(T::kPfBar0 + TestDevice::kRegisters), ~0u);
    EXPECT_EQ(guest.load(T::kPfBar0 + 0x10'0000 + TestDevice::kRegisters), 0u);
}

TEST_F(RoutingTest, FlrHidesTheBarAtOnce) {
    ASSERT_EQ(guest.load(T::kPfBar0 + TestDevice::kRegisters), 0u);
    guest.set_bits(T::kPf, tree.pf->pcie_capability() + regs::DEVCTL, regs::DEVCTL_INITIATE_FLR);
    EXPECT_EQ(guest.load(T::kPfBar0 + TestDevice::kRegisters), ~0u);
}

TEST_F(RoutingTest, DeviceThatMovesItsOwnBarWhileItIsWrittenIsSafe) {
    tree.pf->on_bar_write = [&] {
        guest.set_config(T::kPf, regs::BAR0, 0u);
        (void)guest.load(T::kABar0 + TestDevice::kRegisters);
    };
    guest.store<uint32_t>(T::kPfBar0 + TestDevice::kRegisters, 1);
    EXPECT_EQ(guest.load(T::kPfBar0 + TestDevice::kRegisters), ~0u);
    EXPECT_EQ(guest.load(T::kABar0 + TestDevice::kRegisters), 0u);
}

// --- Large trees -----------------------------------------------------------------------------

TEST(LargeTree, SixtyLevelsDeep) {
    FakeHost host;
    Fabric fabric(256);
    Guest guest(fabric);
    auto above = fabric.add_bridge(nullptr, 8, {.name = "rp"}, 1, 255);
    ASSERT_TRUE(above);
    std::vector<uint32_t> ports = {0x008};
    uint8_t bus = 1;
    for (int level = 0; level < 60; ++level) {
        auto up = fabric.add_bridge(
            *above, 0, {.name = fmt::format("up{}", level), .type = PciePortType::kUpstreamPort},
            static_cast<uint8_t>(bus + 1), 255);
        ASSERT_TRUE(up);
        ports.push_back(bus++ << 8);
        above = fabric.add_bridge(
            *up, 0, {.name = fmt::format("down{}", level), .type = PciePortType::kDownstreamPort},
            static_cast<uint8_t>(bus + 1), 255);
        ASSERT_TRUE(above);
        ports.push_back(bus++ << 8);
    }
    auto device = TestDevice::create({});
    TestDevice& leaf = *device;
    ASSERT_TRUE(fabric.add_function(*above, 0, std::move(device)));
    fabric.attach(host);
    for (const uint32_t port : ports) guest.open_port(port, 0, 1, 0, 1);
    const uint32_t rid = uint32_t{bus} << 8;
    guest.open_device(rid, kWindow32, kWindow64);
    guest.open_msix(leaf, rid, kWindow32, 3);
    guest.store<uint32_t>(kWindow32 + TestDevice::kRegisters, 9);
    EXPECT_EQ(leaf.writes, 1u);
    leaf.raise_msix(0);
    EXPECT_THAT(host.take(), testing::ElementsAre(3));
    guest.clear_bits(ports[50], regs::COMMAND, regs::COMMAND_BUS_MASTER);
    leaf.raise_msix(0);
    EXPECT_TRUE(host.take().empty());
    fabric.reset();
    EXPECT_EQ(guest.config<uint16_t>(rid, regs::DEVICE_ID), 0x0001) << "bus numbers are back";
}

TEST(LargeTree, AllBusesInUse) {
    FakeHost host;
    Fabric fabric(256);
    Guest guest(fabric);
    for (uint32_t i = 0; i < 255; ++i) {
        auto port = fabric.add_bridge(nullptr, static_cast<uint8_t>(i),
                                      {.name = fmt::format("rp{}", i)}, static_cast<uint8_t>(i + 1),
                                      static_cast<uint8_t>(i + 1));
        ASSERT_TRUE(port);
        ASSERT_TRUE(
            fabric.add_function(*port, 0, TestDevice::create({.name = fmt::format("dev{}", i)})));
    }
    fabric.attach(host);
    for (uint32_t bus = 1; bus < 256; ++bus) {
        EXPECT_EQ(guest.config<uint16_t>(bus << 8, regs::DEVICE_ID), 0x0001) << bus;
        EXPECT_EQ(guest.config((bus << 8) + 1, 0), ~0u) << bus;
    }
    fabric.detach();
    host.run();
}

}  // namespace
}  // namespace mimic::pci
