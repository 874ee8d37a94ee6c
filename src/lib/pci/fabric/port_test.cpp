// SPDX-License-Identifier: Apache-2.0
// Registers of a port, without a fabric: bus numbers, windows, slot events, root errors.
#include "pci/fabric/port.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pci/testing/function.h"

namespace mimic::pci {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Watcher final : public Port::Observer {
public:
    int resets = 0;
    int link_changes = 0;

private:
    void on_secondary_reset(Port&) override { ++resets; }
    void on_link_control(Port&) override { ++link_changes; }
};

class BridgeTest : public testing::Test {
protected:
    BridgeTest() { make({.name = "rp", .slot = 7, .hot_plug = true}); }
    ~BridgeTest() override { bridge->detach(); }

    void make(const PortOptions& options) {
        if (bridge) bridge->detach();
        bridge = std::move(*Port::create(options));
        bridge->set_observer(&watcher);
        bridge->attach(slot);
    }
    template <typename T>
    void put(uint32_t offset, T value) {
        bridge->config_write(offset, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
    }
    template <typename T = uint16_t>
    T get(uint32_t offset) {
        T value{};
        bridge->config_read(offset, {reinterpret_cast<uint8_t*>(&value), sizeof value});
        return value;
    }
    void enable_msi() {
        const uint32_t cap = bridge->config().find_capability(regs::CAP_ID_MSI);
        put<uint16_t>(cap + regs::MSI_CONTROL, regs::MSI_CONTROL_ENABLE);
        put<uint16_t>(regs::COMMAND, regs::COMMAND_BUS_MASTER | regs::COMMAND_MEMORY_SPACE);
    }
    uint32_t pcie() const { return bridge->pcie_capability(); }
    uint32_t aer() const { return bridge->config().find_extended_capability(regs::EXT_CAP_ID_AER); }

    FakeSlot slot;
    Watcher watcher;
    std::unique_ptr<Port> bridge;
};

TEST_F(BridgeTest, CreateRefusesWhatIsNoPort) {
    EXPECT_FALSE(Port::create({.name = "x", .type = PciePortType::kEndpoint}));
    EXPECT_FALSE(Port::create({.name = "x", .type = PciePortType::kUpstreamPort, .slot = 1}));
    EXPECT_FALSE(Port::create({.name = "x", .hot_plug = true}));
    EXPECT_FALSE(Port::create({.name = "x", .link_width = 3}));
    EXPECT_FALSE(Port::create({.name = "x", .slot = 8192}));
    EXPECT_FALSE(Port::create({.name = "x", .vendor_id = 0xffff}));
}

// --- Header ----------------------------------------------------------------------------------

TEST_F(BridgeTest, HeaderIsOfType1) {
    EXPECT_EQ(get<uint8_t>(regs::HEADER_TYPE), 1);
    EXPECT_EQ(get<uint32_t>(regs::REVISION_ID) >> 8, 0x060400u);
    EXPECT_EQ(get<uint8_t>(0x1c), 0) << "no I/O window";
    EXPECT_EQ(get<uint32_t>(regs::BRIDGE_EXPANSION_ROM), 0u);
}

TEST_F(BridgeTest, ForwardsSecondaryToSubordinate) {
    put<uint32_t>(regs::PRIMARY_BUS, 0x00'07'05'00);
    EXPECT_FALSE(bridge->forwards_bus(4));
    EXPECT_TRUE(bridge->forwards_bus(5));
    EXPECT_TRUE(bridge->forwards_bus(7));
    EXPECT_FALSE(bridge->forwards_bus(8));
}

TEST_F(BridgeTest, InvertedOrZeroBusNumbersForwardNothing) {
    put<uint32_t>(regs::PRIMARY_BUS, 0x00'05'07'00);
    for (uint32_t bus = 0; bus < 256; ++bus) EXPECT_FALSE(bridge->forwards_bus(bus)) << bus;
    put<uint32_t>(regs::PRIMARY_BUS, 0x00'ff'00'00);
    for (uint32_t bus = 0; bus < 256; ++bus) EXPECT_FALSE(bridge->forwards_bus(bus)) << bus;
}

TEST_F(BridgeTest, BytesOfBusNumbersCountOneByOne) {
    put<uint8_t>(regs::SUBORDINATE_BUS, 9);
    put<uint8_t>(regs::SECONDARY_BUS, 9);
    EXPECT_TRUE(bridge->forwards_bus(9));
}

TEST_F(BridgeTest, MemoryWindowIsOfWholeMegabytes) {
    put<uint16_t>(regs::COMMAND, regs::COMMAND_MEMORY_SPACE);
    put<uint16_t>(regs::MEMORY_BASE, 0x8010);
    put<uint16_t>(regs::MEMORY_LIMIT, 0x8020);
    EXPECT_FALSE(bridge->forwards_memory(0x800f'ffff));
    EXPECT_TRUE(bridge->forwards_memory(0x8010'0000));
    EXPECT_TRUE(bridge->forwards_memory(0x802f'ffff));
    EXPECT_FALSE(bridge->forwards_memory(0x8030'0000));
    EXPECT_FALSE(bridge->forwards_memory(0x1'8010'0000)) << "it has 32 bits";
}

TEST_F(BridgeTest, PrefetchableWindowHas64Bits) {
    put<uint16_t>(regs::COMMAND, regs::COMMAND_MEMORY_SPACE);
    put<uint16_t>(regs::MEMORY_BASE, 0xfff0);  // closed
    put<uint16_t>(regs::PREFETCHABLE_BASE, 0xfff0);
    put<uint16_t>(regs::PREFETCHABLE_LIMIT, 0x0000);
    put<uint32_t>(regs::PREFETCHABLE_BASE_UPPER, 0x3f);
    put<uint32_t>(regs::PREFETCHABLE_LIMIT_UPPER, 0x40);
    EXPECT_EQ(get(regs::PREFETCHABLE_BASE), 0xfff1) << "64-bit, as it says";
    EXPECT_FALSE(bridge->forwards_memory(0x3f'ffef'ffff));
    EXPECT_TRUE(bridge->forwards_memory(0x3f'fff0'0000));
    EXPECT_TRUE(bridge->forwards_memory(0x40'000f'ffff));
    EXPECT_FALSE(bridge->forwards_memory(0x40'0010'0000));
}

TEST_F(BridgeTest, WindowWithLimitBelowBaseIsClosed) {
    put<uint16_t>(regs::COMMAND, regs::COMMAND_MEMORY_SPACE);
    put<uint16_t>(regs::MEMORY_BASE, 0x8020);
    put<uint16_t>(regs::MEMORY_LIMIT, 0x8010);
    put<uint16_t>(regs::PREFETCHABLE_BASE, 0x20);
    for (const uint64_t at : {0x8010'0000u, 0x801f'ffffu, 0x8020'0000u, 0x0u}) {
        EXPECT_FALSE(bridge->forwards_memory(at)) << at;
    }
}

TEST_F(BridgeTest, MemorySpaceOffAndD3CloseWindows) {
    put<uint32_t>(regs::MEMORY_BASE, 0x8010'8010);
    EXPECT_FALSE(bridge->forwards_memory(0x8010'0000));
    put<uint16_t>(regs::COMMAND, regs::COMMAND_MEMORY_SPACE);
    EXPECT_TRUE(bridge->forwards_memory(0x8010'0000));
    put<uint16_t>(bridge->config().find_capability(regs::CAP_ID_PM) + regs::PMCSR, 3);
    EXPECT_FALSE(bridge->forwards_memory(0x8010'0000));
}

TEST_F(BridgeTest, D3KeepsBusNumbersAndWindows) {
    put<uint32_t>(regs::PRIMARY_BUS, 0x00'07'05'00);
    const uint32_t pmcsr = bridge->config().find_capability(regs::CAP_ID_PM) + regs::PMCSR;
    put<uint16_t>(pmcsr, 3);
    put<uint16_t>(pmcsr, 0);
    EXPECT_TRUE(bridge->forwards_bus(6));
}

TEST_F(BridgeTest, ResetForgetsBusNumbersAndWindows) {
    put<uint32_t>(regs::PRIMARY_BUS, 0x00'07'05'00);
    put<uint32_t>(regs::MEMORY_BASE, 0x8010'8010);
    bridge->reset(ResetKind::kConventional);
    put<uint16_t>(regs::COMMAND, regs::COMMAND_MEMORY_SPACE);
    EXPECT_FALSE(bridge->forwards_bus(5));
    EXPECT_FALSE(bridge->forwards_memory(0x8010'0000));
}

TEST_F(BridgeTest, RisingEdgeOfBusResetResetsOnce) {
    put<uint16_t>(regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_BUS_RESET);
    put<uint16_t>(regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_BUS_RESET | regs::BRIDGE_CONTROL_SERR);
    EXPECT_EQ(watcher.resets, 1);
    EXPECT_TRUE(bridge->secondary_reset_asserted());
    put<uint16_t>(regs::BRIDGE_CONTROL, 0);
    EXPECT_FALSE(bridge->secondary_reset_asserted());
    put<uint16_t>(regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_BUS_RESET);
    EXPECT_EQ(watcher.resets, 2);
}

TEST_F(BridgeTest, LinkDisableIsReportedWhenItChanges) {
    put<uint16_t>(pcie() + regs::LNKCTL, regs::LNKCTL_LINK_DISABLE);
    put<uint16_t>(pcie() + regs::LNKCTL, regs::LNKCTL_LINK_DISABLE | regs::LNKCTL_RCB);
    EXPECT_EQ(watcher.link_changes, 1);
    EXPECT_TRUE(bridge->link_disabled());
    put<uint16_t>(pcie() + regs::LNKCTL, 0);
    EXPECT_EQ(watcher.link_changes, 2);
}

TEST_F(BridgeTest, UpstreamPortsHaveNoLinkDisable) {
    make({.name = "up", .type = PciePortType::kUpstreamPort});
    put<uint16_t>(pcie() + regs::LNKCTL, regs::LNKCTL_LINK_DISABLE);
    EXPECT_FALSE(bridge->link_disabled());
    EXPECT_EQ(watcher.link_changes, 0);
}

TEST_F(BridgeTest, BarsAreNone) {
    put<uint32_t>(regs::BAR0, ~0u);
    put<uint32_t>(regs::BAR0 + 4, ~0u);
    EXPECT_EQ(get<uint64_t>(regs::BAR0), 0u);
}

// --- Slot ------------------------------------------------------------------------------------

class SlotTest : public BridgeTest {
protected:
    static constexpr uint16_t kAll = regs::SLTCTL_EVENTS | regs::SLTCTL_DLL_STATE_CHANGED |
                                     regs::SLTCTL_HOT_PLUG_INTERRUPT;
    uint16_t status() { return get(pcie() + regs::SLTSTA); }
    void clear(uint16_t events) { put<uint16_t>(pcie() + regs::SLTSTA, events); }
    void control(uint16_t value) { put<uint16_t>(pcie() + regs::SLTCTL, value); }
};

TEST_F(SlotTest, NumberAndAbilitiesAreInSlotCapabilities) {
    const auto capabilities = get<uint32_t>(pcie() + regs::SLTCAP);
    EXPECT_EQ(capabilities >> regs::SLTCAP_SLOT_NUMBER_SHIFT, 7u);
    EXPECT_TRUE(capabilities & regs::SLTCAP_HOT_PLUG);
    EXPECT_TRUE(capabilities & regs::SLTCAP_SURPRISE);
}

TEST_F(SlotTest, PresenceShowsAndSetsItsEvent) {
    bridge->set_presence(true);
    EXPECT_EQ(status(), regs::SLTSTA_PRESENCE | regs::SLTSTA_PRESENCE_CHANGED);
    clear(regs::SLTSTA_PRESENCE_CHANGED);
    EXPECT_EQ(status(), regs::SLTSTA_PRESENCE);
    bridge->set_presence(true);
    EXPECT_EQ(status(), regs::SLTSTA_PRESENCE) << "no change, no event";
    bridge->set_presence(false);
    EXPECT_EQ(status(), regs::SLTSTA_PRESENCE_CHANGED);
}

TEST_F(SlotTest, LinkShowsAndSetsItsEvent) {
    bridge->set_link_active(true);
    EXPECT_TRUE(get(pcie() + regs::LNKSTA) & regs::LNKSTA_DLL_ACTIVE);
    EXPECT_EQ(status(), regs::SLTSTA_DLL_STATE_CHANGED);
}

TEST_F(SlotTest, SlotWithoutHotPlugHasPresenceButNoEvents) {
    make({.name = "rp", .slot = 7});
    bridge->set_presence(true);
    bridge->set_link_active(true);
    EXPECT_EQ(status(), regs::SLTSTA_PRESENCE);
}

TEST_F(SlotTest, EventInterruptsWhereEnabled) {
    enable_msi();
    bridge->set_presence(true);
    EXPECT_THAT(slot.take(), IsEmpty());
    clear(0xffff);
    control(kAll);
    bridge->set_presence(false);
    EXPECT_THAT(slot.take(), ElementsAre("msi 0"));
}

TEST_F(SlotTest, EachEventHasAnEnable) {
    enable_msi();
    control(regs::SLTCTL_HOT_PLUG_INTERRUPT | regs::SLTCTL_DLL_STATE_CHANGED);
    bridge->set_presence(true);
    EXPECT_THAT(slot.take(), IsEmpty());
    bridge->set_link_active(true);
    EXPECT_THAT(slot.take(), ElementsAre("msi 0"));
}

// 6.7.3.4: a message for each rise of the AND of enables and events, none while it stays.
TEST_F(SlotTest, OnlyTheRiseOfTheLevelInterrupts) {
    enable_msi();
    control(kAll);
    bridge->set_presence(true);
    bridge->set_link_active(true);
    EXPECT_THAT(slot.take(), ElementsAre("msi 0"));
    clear(regs::SLTSTA_PRESENCE_CHANGED);  // the other remains
    bridge->set_presence(false);
    EXPECT_THAT(slot.take(), IsEmpty());
    clear(0xffff);
    bridge->set_presence(true);
    EXPECT_THAT(slot.take(), ElementsAre("msi 0"));
}

TEST_F(SlotTest, EnablingWithAnEventWaitingInterrupts) {
    enable_msi();
    bridge->set_presence(true);
    control(kAll);
    EXPECT_THAT(slot.take(), ElementsAre("msi 0"));
    control(kAll & ~regs::SLTCTL_HOT_PLUG_INTERRUPT);
    control(kAll);
    EXPECT_THAT(slot.take(), ElementsAre("msi 0"));
}

TEST_F(SlotTest, ResetKeepsWhatIsInTheSlot) {
    bridge->set_presence(true);
    bridge->set_link_active(true);
    bridge->reset(ResetKind::kConventional);
    EXPECT_EQ(status(), regs::SLTSTA_PRESENCE) << "and no events";
    EXPECT_TRUE(get(pcie() + regs::LNKSTA) & regs::LNKSTA_DLL_ACTIVE);
    bridge->set_presence(false);
    EXPECT_EQ(status(), regs::SLTSTA_PRESENCE_CHANGED);
}

// --- Root errors -----------------------------------------------------------------------------

class RootErrorTest : public BridgeTest {
protected:
    uint32_t status() { return get<uint32_t>(aer() + regs::AER_ROOT_STATUS); }
    uint32_t source() { return get<uint32_t>(aer() + regs::AER_ROOT_SOURCE); }
    void command(uint32_t value) { put<uint32_t>(aer() + regs::AER_ROOT_COMMAND, value); }
};

TEST_F(RootErrorTest, CorrectableErrorsKeepTheFirstSource) {
    bridge->receive_error(ErrorMessage::kCorrectable, 0x100);
    EXPECT_EQ(status(), regs::AER_ROOT_STATUS_CORRECTABLE);
    bridge->receive_error(ErrorMessage::kCorrectable, 0x200);
    EXPECT_EQ(status(),
              regs::AER_ROOT_STATUS_CORRECTABLE | regs::AER_ROOT_STATUS_MULTIPLE_CORRECTABLE);
    EXPECT_EQ(source(), 0x100u);
}

TEST_F(RootErrorTest, UncorrectableErrorsShareASource) {
    bridge->receive_error(ErrorMessage::kNonFatal, 0x100);
    bridge->receive_error(ErrorMessage::kFatal, 0x200);
    EXPECT_EQ(status(), regs::AER_ROOT_STATUS_UNCORRECTABLE | regs::AER_ROOT_STATUS_NON_FATAL |
                            regs::AER_ROOT_STATUS_FATAL |
                            regs::AER_ROOT_STATUS_MULTIPLE_UNCORRECTABLE)
        << "the first was not fatal";
    EXPECT_EQ(source(), 0x0100'0000u);
}

TEST_F(RootErrorTest, FirstFatalSaysSo) {
    bridge->receive_error(ErrorMessage::kFatal, 0x200);
    EXPECT_EQ(status(), regs::AER_ROOT_STATUS_UNCORRECTABLE | regs::AER_ROOT_STATUS_FATAL |
                            regs::AER_ROOT_STATUS_FIRST_FATAL);
}

TEST_F(RootErrorTest, BothSourcesStandSideBySide) {
    bridge->receive_error(ErrorMessage::kCorrectable, 0x101);
    bridge->receive_error(ErrorMessage::kFatal, 0x202);
    EXPECT_EQ(source(), 0x0202'0101u);
}

TEST_F(RootErrorTest, EachKindInterruptsWhereItsEnableIsSet) {
    enable_msi();
    bridge->receive_error(ErrorMessage::kCorrectable, 0x100);
    EXPECT_THAT(slot.take(), IsEmpty());
    command(1);
    EXPECT_THAT(slot.take(), ElementsAre("msi 0")) << "it waited for the enable";
    put<uint32_t>(aer() + regs::AER_ROOT_STATUS, ~0u);
    bridge->receive_error(ErrorMessage::kNonFatal, 0x100);
    EXPECT_THAT(slot.take(), IsEmpty());
    command(2);
    EXPECT_THAT(slot.take(), ElementsAre("msi 0"));
    command(4);
    bridge->receive_error(ErrorMessage::kFatal, 0x100);
    EXPECT_THAT(slot.take(), ElementsAre("msi 0"));
}

TEST_F(RootErrorTest, OneInterruptUntilTheStatusIsCleared) {
    enable_msi();
    command(7);
    bridge->receive_error(ErrorMessage::kCorrectable, 0x100);
    bridge->receive_error(ErrorMessage::kCorrectable, 0x100);
    EXPECT_THAT(slot.take(), ElementsAre("msi 0"));
    put<uint32_t>(aer() + regs::AER_ROOT_STATUS, ~0u);
    bridge->receive_error(ErrorMessage::kCorrectable, 0x100);
    EXPECT_THAT(slot.take(), ElementsAre("msi 0"));
}

TEST_F(RootErrorTest, DownstreamPortsHaveNoRootRegisters) {
    make({.name = "down", .type = PciePortType::kDownstreamPort});
    const std::vector<uint8_t> zeros(4096);
    std::vector<uint8_t> before = zeros;
    std::vector<uint8_t> after = zeros;
    bridge->config_read(0, before);
    bridge->receive_error(ErrorMessage::kFatal, 0x100);
    bridge->config_read(0, after);
    EXPECT_EQ(before, after);
    EXPECT_NE(before, zeros);
}

}  // namespace
}  // namespace mimic::pci
