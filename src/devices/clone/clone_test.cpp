// SPDX-License-Identifier: Apache-2.0
// A clone of a made-up NIC: what its image says is there and works as far as it can, and what a
// guest writes stays in bounds.
#include "devices/clone/clone.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pci/config/pci_regs.h"
#include "pci/function/sriov.h"

namespace mimic::clone {
namespace {

using namespace pci::regs;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint32_t kPm = 0x40, kMsix = 0x50, kPcie = 0x70, kVpd = 0xe0, kSriov = 0x160;

void put16(std::vector<uint8_t>& image, size_t at, uint32_t value) {
    image.at(at) = static_cast<uint8_t>(value);
    image.at(at + 1) = static_cast<uint8_t>(value >> 8);
}

void put32(std::vector<uint8_t>& image, size_t at, uint32_t value) {
    put16(image, at, value);
    put16(image, at + 2, value >> 16);
}

std::vector<uint8_t> nic_image() {
    std::vector<uint8_t> image(4096, 0);
    put32(image, VENDOR_ID, 0x1563'8086);
    put32(image, COMMAND, 0x0010'0406);
    put32(image, REVISION_ID, 0x0200'0001);
    put32(image, BAR0, 0xfe80'000c);
    put32(image, SUBSYSTEM_VENDOR_ID, 0x001a'8086);
    image[CAPABILITIES_POINTER] = kPm;
    image[INTERRUPT_PIN] = 1;
    put32(image, kPm, 0x4823'0000U | kMsix << 8 | CAP_ID_PM);
    put32(image, kPm + PMCSR, 0x0000'2103);
    put32(image, kMsix, 0x8003'0000U | kPcie << 8 | CAP_ID_MSIX);
    put32(image, kMsix + MSIX_TABLE, 0x0000);
    put32(image, kMsix + MSIX_PBA, 0x1000);
    put32(image, kPcie, 0x0002'0000U | kVpd << 8 | CAP_ID_PCIE);
    put32(image, kPcie + DEVCAP, 0x1000'8cc2);
    put32(image, kPcie + DEVCTL, 0x000f'2936);
    put32(image, kPcie + LNKCAP, 0x0043'4c43);
    put32(image, kPcie + LNKSTA - 2, 0x1043'0040);
    put32(image, kVpd, 0x8000'0003);
    put32(image, 0x100, 0x1601'0003);  // serial number, then SR-IOV
    put32(image, 0x104, 0x1234'5678);
    put32(image, kSriov, 0x1801'0010);
    put32(image, kSriov + SRIOV_INITIAL_VFS, 0x0040'0040);
    put32(image, kSriov + SRIOV_FIRST_VF_OFFSET, 0x0002'0080);
    put16(image, kSriov + SRIOV_VF_DEVICE_ID, 0x1565);
    put32(image, kSriov + SRIOV_SUPPORTED_PAGE_SIZES, 0x553);
    put32(image, kSriov + SRIOV_VF_BAR0, 0x0000'000c);
    put32(image, 0x180, 0x1a01'0018);  // no such: it overlaps SR-IOV
    put32(image, 0x1a0, 0x0001'0018);  // latency tolerance
    put32(image, 0x1a4, 0x1003'1003);
    put32(image, 0x400, 0xcafe'f00d);  // between capabilities
    return image;
}

Options nic() {
    Options options{.name = "nic0", .image = nic_image(), .rom_bytes = 65536};
    options.bars[0] = {.type = pci::BarType::kMemory64, .prefetchable = true, .size = 16384};
    options.vf_bars[0] = {.type = pci::BarType::kMemory64, .prefetchable = true, .size = 4096};
    return options;
}

std::unique_ptr<Clone> make(const Options& options) {
    auto made = Clone::create(options);
    EXPECT_TRUE(made) << made.error().message();
    return made ? std::move(*made) : nullptr;
}

template <typename T>
void write(Clone& device, uint32_t at, T value) {
    device.config_write(at, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
}

// Without the lie about SR-IOV's length.
Options honest_nic() {
    Options options = nic();
    put32(options.image, kSriov, 0x1a01'0010);
    put32(options.image, 0x180, 0);
    return options;
}

TEST(Clone, HasTheIdsAndValuesOfItsImage) {
    const auto device = make(honest_nic());
    const auto& config = device->config();
    EXPECT_EQ(config.u32(VENDOR_ID), 0x1563'8086U);
    EXPECT_EQ(config.u32(REVISION_ID), 0x0200'0001U);
    EXPECT_EQ(config.u32(SUBSYSTEM_VENDOR_ID), 0x001a'8086U);
    EXPECT_EQ(config.u8(INTERRUPT_PIN), 1);
    EXPECT_EQ(config.u16(kPm + PMC), 0x4823);
    EXPECT_EQ(config.u32(kPcie + DEVCAP), 0x1000'8cc2U);
    EXPECT_EQ(config.u32(kPcie + LNKCAP), 0x0043'4c43U);
    EXPECT_EQ(config.u16(kPcie + LNKSTA), 0x1043);
    EXPECT_EQ(config.u32(0x104), 0x1234'5678U);
    EXPECT_EQ(config.u32(0x400), 0xcafe'f00dU);
    EXPECT_EQ(config.find_extended_capability(0x18), 0x1a0U);
    EXPECT_THAT(device->copied(), IsEmpty());
}

TEST(Clone, BeginsWithEnablesStatusAndAddressesClear) {
    const auto device = make(honest_nic());
    const auto& config = device->config();
    EXPECT_EQ(config.u16(COMMAND), 0);
    EXPECT_EQ(config.u32(BAR0), 0xcU);
    EXPECT_EQ(config.u16(kPm + PMCSR), 0x2000);
    EXPECT_EQ(config.u16(kMsix + MSIX_CONTROL), 3);
    EXPECT_EQ(config.u16(kPcie + DEVCTL), 0x2936);  // as firmware left it
    EXPECT_EQ(config.u16(kPcie + DEVSTA), 0);
}

TEST(Clone, ControlsCanBeSetAndConstantsNot) {
    const auto device = make(honest_nic());
    write<uint32_t>(*device, 0x1a4, 0xffff'ffff);
    EXPECT_EQ(device->config().u32(0x1a4), 0x1fff'1fffU);
    write<uint32_t>(*device, 0x104, 0);
    EXPECT_EQ(device->config().u32(0x104), 0x1234'5678U);
    write<uint32_t>(*device, 0x400, 0);
    EXPECT_EQ(device->config().u32(0x400), 0xcafe'f00dU);
    write<uint64_t>(*device, BAR0, ~0ULL);
    EXPECT_EQ(device->config().u32(BAR0), 0xffff'c00cU);
}

TEST(Clone, FunctionLevelResetClearsWhatWasWritten) {
    const auto device = make(honest_nic());
    const uint64_t value = 0x1122'3344'5566'7788;
    device->write_bar(0, 0x3ffc, {reinterpret_cast<const uint8_t*>(&value), 4});
    write<uint16_t>(*device, COMMAND, COMMAND_MEMORY_SPACE);
    EXPECT_EQ(device->memory().pages(), 1U);
    write<uint16_t>(*device, kPcie + DEVCTL, DEVCTL_INITIATE_FLR);
    EXPECT_EQ(device->config().u16(COMMAND), 0);
    EXPECT_EQ(device->memory().pages(), 0U);
}

TEST(Clone, VpdAnswersAtOnceAndReadsZero) {
    const auto device = make(honest_nic());
    write<uint16_t>(*device, kVpd + 2, 0x0010);
    EXPECT_EQ(device->config().u16(kVpd + 2), 0x8010);
    EXPECT_EQ(device->config().u32(kVpd + 4), 0U);
    write<uint16_t>(*device, kVpd + 2, 0x8010);
    EXPECT_EQ(device->config().u16(kVpd + 2), 0x0010);
}

TEST(Clone, MsixTableIsInItsBar) {
    const auto device = make(honest_nic());
    const uint32_t entry[4] = {0xfee0'0000, 0, 0x4021, 0};
    device->write_bar(0, 16, {reinterpret_cast<const uint8_t*>(entry), 16});
    EXPECT_EQ(device->msix_message(1).data, 0x4021U);
    EXPECT_EQ(device->memory().pages(), 0U);
}

TEST(Clone, RomIsZerosOfItsSize) {
    const auto device = make(honest_nic());
    ASSERT_EQ(device->rom().size(), 65536U);
    EXPECT_EQ(device->rom()[65535], 0);
}

TEST(Clone, MakesVfsAtTheOffsetsOfTheImage) {
    Options options = honest_nic();
    options.vf_image.assign(4096, 0);
    put32(options.vf_image, VENDOR_ID, 0xffff'ffff);
    put32(options.vf_image, COMMAND, 0x0010'0000);
    put32(options.vf_image, REVISION_ID, 0x0200'0000);
    options.vf_image[CAPABILITIES_POINTER] = 0x70;
    put32(options.vf_image, 0x70, 0x0002'0011);
    put32(options.vf_image, 0x78, 0x0800);
    const auto device = make(options);
    write<uint16_t>(*device, kSriov + SRIOV_NUM_VFS, 3);
    write<uint16_t>(*device, kSriov + SRIOV_CONTROL,
                    SRIOV_CONTROL_VF_ENABLE | SRIOV_CONTROL_ARI_HIERARCHY);
    ASSERT_NE(device->sriov(), nullptr);
    ASSERT_EQ(device->sriov()->num_vfs(), 3U);
    EXPECT_EQ(device->sriov()->routing_id_offset(2), 0x84U);
    pci::Function& vf = *device->sriov()->vf(2);
    EXPECT_EQ(vf.name(), "nic0-vf2");
    EXPECT_EQ(vf.config().u32(VENDOR_ID), 0xffff'ffffU);
    EXPECT_EQ(vf.msix_vectors(), 3U);
    write<uint16_t>(*device, kSriov + SRIOV_CONTROL, 0);
    EXPECT_EQ(device->sriov()->num_vfs(), 0U);
}

TEST(Clone, VfWithoutAnImageHasPciExpressOnly) {
    const auto device = make(honest_nic());
    write<uint16_t>(*device, kSriov + SRIOV_NUM_VFS, 1);
    write<uint16_t>(*device, kSriov + SRIOV_CONTROL, SRIOV_CONTROL_VF_ENABLE);
    ASSERT_EQ(device->sriov()->num_vfs(), 1U);
    const auto& config = device->sriov()->vf(0)->config();
    EXPECT_EQ(config.find_capability(CAP_ID_PCIE), kPcie);
    EXPECT_EQ(config.find_capability(CAP_ID_MSIX), 0U);
}

TEST(Clone, CapabilityThatCutsAnotherOffMakesItACopy) {
    const auto device = make(nic());
    ASSERT_EQ(device->copied().size(), 1U);
    EXPECT_THAT(device->copied()[0], HasSubstr("SR-IOV at 0x160: it has 32 bytes, not 64"));
    EXPECT_EQ(device->sriov(), nullptr);
    EXPECT_EQ(device->config().find_extended_capability(0x18), 0x180U);
}

TEST(Clone, MsixTableOutsideItsBarMakesItACopy) {
    Options options = honest_nic();
    put32(options.image, kMsix + MSIX_TABLE, 0x10'0000);
    const auto device = make(options);
    ASSERT_EQ(device->copied().size(), 1U);
    EXPECT_EQ(device->msix_vectors(), 0U);
    EXPECT_EQ(device->config().u16(kMsix + MSIX_CONTROL) & 0x8000, 0);
}

TEST(Clone, RefusesWhatNoFunctionIs) {
    const auto refused = [](auto change) {
        Options options = honest_nic();
        change(options);
        return !Clone::create(options).has_value();
    };
    EXPECT_TRUE(refused([](Options& o) { o.image.clear(); }));
    EXPECT_TRUE(refused([](Options& o) { o.image.resize(100); }));
    EXPECT_TRUE(refused([](Options& o) { put16(o.image, VENDOR_ID, 0xffff); }));
    EXPECT_TRUE(refused([](Options& o) { o.image[HEADER_TYPE] = 1; }));
    EXPECT_TRUE(refused([](Options& o) { o.rom_bytes = 3000; }));
    EXPECT_TRUE(refused([](Options& o) { o.bars[0].size = 12288; }));
    EXPECT_TRUE(refused([](Options& o) { o.bars[5] = o.bars[0]; }));
}

// Whatever the capability lists are, a clone is made or refused, and a guest may write all of it.
TEST(Clone, LoopsAndLiesInTheListsEnd) {
    for (uint32_t at = 0x34; at < 0x1b0; ++at) {
        for (const int value : {0x00, 0x04, 0x3c, 0x40, 0x50, 0xfc, 0xff}) {
            Options options = honest_nic();
            options.image[at] = static_cast<uint8_t>(value);
            const auto device = Clone::create(options);
            if (!device) continue;
            for (uint32_t to = 0; to < 0x200; to += 4) write<uint32_t>(**device, to, 0xffff'ffff);
        }
    }
}

TEST(BarMemory, TakesNoMoreThanItMay) {
    BarMemory memory(2 * BarMemory::kPageBytes);
    const std::array<uint8_t, 3> data{1, 2, 3};
    std::array<uint8_t, 4> back{9, 9, 9, 9};
    memory.write(0, 4095, data);  // two pages
    memory.write(1, 1ULL << 40, data);
    EXPECT_EQ(memory.pages(), 2U);
    EXPECT_EQ(memory.lost_writes(), 1U);
    memory.read(0, 4094, back);
    EXPECT_THAT(back, testing::ElementsAre(0, 1, 2, 3));
    memory.read(1, 1ULL << 40, back);
    EXPECT_THAT(back, testing::Each(0));
    memory.clear();
    EXPECT_EQ(memory.pages(), 0U);
}

}  // namespace
}  // namespace mimic::clone
