// SPDX-License-Identifier: Apache-2.0
// Regions as a client sees them: what is told of them, accesses of all sizes, mapped areas, bursts,
// resets, power.
#include <sys/mman.h>

#include <cstring>

#include <gtest/gtest.h>

#include "pci/config/pci_regs.h"
#include "tests/protocol/device_host.h"

namespace mimic::test {
namespace {

using namespace vfio_user;
namespace regs = pci::regs;

class RegionTest : public ::testing::Test {
protected:
    DeviceHost host;
    std::unique_ptr<Client> client = host.client();
};

TEST_F(RegionTest, DeviceInfoIsWhatQemuNeeds) {
    const auto info = client->device_info();
    EXPECT_EQ(info.argsz, 16u);
    EXPECT_EQ(info.flags, kDeviceFlagReset | kDeviceFlagPci);
    EXPECT_EQ(info.num_regions, 9u);
    EXPECT_EQ(info.num_irqs, 5u);
}

TEST_F(RegionTest, RegionInfoOfEachIndex) {
    constexpr uint32_t kRw = kRegionFlagRead | kRegionFlagWrite;
    const struct {
        uint32_t flags;
        uint64_t size;
    } expected[] = {{kRw, kBar0Size},
                    {kRw | kRegionFlagMmap | kRegionFlagCaps, kBar1Size},
                    {kRw, kBar2Size},
                    {0, 0},
                    {kRw, 16},
                    {0, 0},
                    {kRegionFlagRead, kRomSize},
                    {kRw, 4096},
                    {0, 0}};
    for (uint32_t index = 0; index < kRegionCount; ++index) {
        const auto info = client->region_info(index);
        EXPECT_EQ(info.error, 0);
        EXPECT_EQ(info.body.index, index);
        EXPECT_EQ(info.body.flags, expected[index].flags) << index;
        EXPECT_EQ(info.body.size, expected[index].size) << index;
        EXPECT_EQ(static_cast<bool>(info.fd), index == 1);
    }
}

TEST_F(RegionTest, RegionInfoSaysHowMuchRoomSparseAreasNeed) {
    constexpr uint32_t kNeeded = 32 + 16 + 2 * 16;
    for (const uint32_t room : {32u, kNeeded - 1}) {
        const Reply reply = client->call(
            Request(Command::kDeviceGetRegionInfo, bytes_of(RegionInfoBody{room, 0, 1, 0, 0, 0})));
        const auto body = reply.as<RegionInfoBody>();
        EXPECT_EQ(reply.payload.size(), 32u);
        EXPECT_EQ(body.argsz, kNeeded);
        EXPECT_EQ(body.flags & kRegionFlagCaps, 0u);
        EXPECT_TRUE(reply.fds.empty());
    }
    for (const uint32_t room : {kNeeded, 4096u}) {
        const Reply reply = client->call(
            Request(Command::kDeviceGetRegionInfo, bytes_of(RegionInfoBody{room, 0, 1, 0, 0, 0})));
        EXPECT_EQ(reply.payload.size(), kNeeded);
        EXPECT_EQ(reply.as<RegionInfoBody>().argsz, kNeeded);
        EXPECT_EQ(reply.fds.size(), 1u);
    }
    const auto info = client->region_info(1);
    ASSERT_EQ(info.areas.size(), 2u);
    EXPECT_EQ(info.areas[0].offset, 0x1000u);
    EXPECT_EQ(info.areas[1].size, 0x1000u);
}

TEST_F(RegionTest, MappedAreaAndMessagesShowTheSameBytes) {
    const auto info = client->region_info(1);
    ASSERT_TRUE(info.fd);
    const auto& area = info.areas[0];
    void* mapped = ::mmap(nullptr, area.size, PROT_READ | PROT_WRITE, MAP_SHARED, info.fd.get(),
                          static_cast<off_t>(info.body.offset + area.offset));
    ASSERT_NE(mapped, MAP_FAILED);
    auto* words = static_cast<volatile uint32_t*>(mapped);
    words[4] = 0xfeedface;
    EXPECT_EQ(client->get(1, area.offset + 16), 0xfeedfaceu);
    ASSERT_EQ(client->put(1, area.offset + 20, 0x01020304u), 0);
    EXPECT_EQ(words[5], 0x01020304u);
    ::munmap(mapped, area.size);
}

TEST_F(RegionTest, ClientThatTakesNoDescriptorsIsOfferedNoMapping) {
    client.reset();
    ASSERT_TRUE(host.wait_idle());
    Client poor(host.path());
    ASSERT_EQ(poor.negotiate(0, R"({"capabilities":{"max_msg_fds":0}})"), 0);
    const auto info = poor.region_info(1);
    EXPECT_EQ(info.body.flags, kRegionFlagRead | kRegionFlagWrite);
    EXPECT_FALSE(info.fd);
}

TEST_F(RegionTest, IoFdsAreNone) {
    const Reply reply = client->call(
        Request(Command::kDeviceGetRegionIoFds, bytes_of(RegionIoFdsBody{4096, 0, 0, 0})));
    EXPECT_EQ(reply.error(), 0);
    EXPECT_EQ(reply.as<RegionIoFdsBody>().count, 0u);
    EXPECT_EQ(reply.payload.size(), 16u);
}

TEST_F(RegionTest, AccessesOfAllSizesReachTheDevice) {
    for (const size_t size : {1u, 2u, 4u, 8u, 3u, 64u, 2048u}) {
        Bytes out(size);
        for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>(i + size);
        ASSERT_EQ(client->write(0, 0, out), 0);
        Bytes in(size);
        ASSERT_EQ(client->read(0, 0, in), 0);
        EXPECT_EQ(in, out);
    }
    EXPECT_EQ(client->get<uint8_t>(2, kBar2Size - 1), static_cast<uint8_t>((kBar2Size - 1) * 7));
}

TEST_F(RegionTest, LargestTransferIsServedWhole) {
    Bytes data(kMaxDataXferSize);
    ASSERT_EQ(client->read(2, kBar2Size - data.size(), data), 0);
    EXPECT_EQ(data[1000], static_cast<uint8_t>(1000 * 7));
    ASSERT_EQ(client->write(2, 0, data), 0);
}

TEST_F(RegionTest, RomIsReadWhole) {
    Bytes rom(kRomSize);
    ASSERT_EQ(client->read(kRegionRom, 0, rom), 0);
    EXPECT_EQ(rom[0], 0x55);
    EXPECT_EQ(rom[0x1fff], 0xff);
}

TEST_F(RegionTest, PostedWritesAreDoneInOrderBeforeALaterRead) {
    for (uint32_t i = 1; i <= 5000; ++i) ASSERT_TRUE(client->post(0, kScratch, bytes_of(i)));
    EXPECT_EQ(client->get(0, kScratch), 5000u);
}

TEST_F(RegionTest, WriteMultiWritesAllOrNothing) {
    std::vector<WriteMultiEntry> entries;
    for (uint32_t i = 0; i < 200; ++i)
        entries.push_back({i * 8, 0, 8, {static_cast<uint8_t>(i), 1, 2, 3, 4, 5, 6, 7}});
    const auto body_of = [&] {
        Bytes body = bytes_of(uint64_t{entries.size()});
        for (const auto& entry : entries) body = body + bytes_of(entry);
        return body;
    };
    const Reply reply = client->call(Request(Command::kRegionWriteMulti, body_of()));
    EXPECT_EQ(reply.error(), 0);
    EXPECT_EQ(reply.as<uint64_t>(), 200u);
    EXPECT_EQ(client->get<uint64_t>(0, 199 * 8), 0x07060504030201c7u);

    entries[0].data[0] = 0xee;
    entries.push_back({0, kRegionRom, 4, {}});
    EXPECT_EQ(client->status(Request(Command::kRegionWriteMulti, body_of())), EINVAL);
    EXPECT_EQ(client->get<uint8_t>(0, 0), 0u);
    entries.pop_back();
    ASSERT_TRUE(client->raw().send(posted(Request(Command::kRegionWriteMulti, body_of()))));
    EXPECT_EQ(client->get<uint8_t>(0, 0), 0xeeu);
    EXPECT_EQ(client->status(Request(Command::kRegionWriteMulti, bytes_of(uint64_t{0}))), 0);
}

// --- Resets and power ------------------------------------------------------------------------

TEST_F(RegionTest, ResetMessageResetsTheFunction) {
    ASSERT_EQ(client->put(0, kScratch, 5u), 0);
    const auto count = client->get(0, kResets);
    ASSERT_EQ(client->reset(), 0);
    EXPECT_EQ(client->get(0, kScratch), 0u);
    EXPECT_EQ(client->get(0, kResets), count + 1);
    EXPECT_EQ(client->get(0, kLastReset), static_cast<uint32_t>(pci::ResetKind::kConventional));
    EXPECT_EQ(client->get<uint16_t>(kRegionConfig, regs::COMMAND), 0u);
    Request with_payload(Command::kDeviceReset, Bytes(8));
    EXPECT_EQ(client->status(with_payload), 0);
}

TEST_F(RegionTest, FlrThroughDevctlResetsTheFunction) {
    const uint32_t cap = find_capability(*client, regs::CAP_ID_PCIE);
    ASSERT_NE(cap, 0u);
    ASSERT_EQ(client->put(0, kScratch, 5u), 0);
    const auto devctl = client->get<uint16_t>(kRegionConfig, cap + regs::DEVCTL);
    ASSERT_EQ(client->put<uint16_t>(kRegionConfig, cap + regs::DEVCTL,
                                    static_cast<uint16_t>(devctl | regs::DEVCTL_INITIATE_FLR)),
              0);
    EXPECT_EQ(client->get(0, kScratch), 0u);
    EXPECT_EQ(client->get(0, kLastReset), static_cast<uint32_t>(pci::ResetKind::kFunctionLevel));
    EXPECT_EQ(client->get<uint16_t>(kRegionConfig, cap + regs::DEVCTL) & regs::DEVCTL_INITIATE_FLR,
              0u);
}

TEST_F(RegionTest, BarsReadOnesInD3HotAndComeBackReset) {
    const uint32_t cap = find_capability(*client, regs::CAP_ID_PM);
    ASSERT_NE(cap, 0u);
    ASSERT_EQ(client->put(0, kScratch, 5u), 0);
    ASSERT_EQ(client->put<uint16_t>(kRegionConfig, cap + regs::PMCSR, 3), 0);
    EXPECT_EQ(client->get(0, kScratch), UINT32_MAX);
    EXPECT_EQ(client->put(0, kScratch, 6u), 0);
    EXPECT_EQ(client->get<uint16_t>(kRegionConfig, 0), 0x1de5);
    ASSERT_EQ(client->put<uint16_t>(kRegionConfig, cap + regs::PMCSR, 0), 0);
    EXPECT_EQ(client->get(0, kScratch), 0u);
    EXPECT_EQ(client->get(0, kLastReset), static_cast<uint32_t>(pci::ResetKind::kPower));
}

// --- Interrupts over the wire ----------------------------------------------------------------

TEST_F(RegionTest, IrqInfoOfEachIndex) {
    const uint32_t counts[] = {1, kToyMsiVectors, kToyMsixVectors, 1, 1};
    for (uint32_t index = 0; index < kIrqCount; ++index) {
        const auto info = client->irq_info(index);
        EXPECT_EQ(info.argsz, 16u);
        EXPECT_EQ(info.index, index);
        EXPECT_EQ(info.count, counts[index]);
        EXPECT_EQ(info.flags, index == kIrqIntx ? 7u : 1u);
    }
}

TEST_F(RegionTest, MsixVectorsReachTheirEventfds) {
    std::vector<UniqueFd> events;
    std::vector<int> fds;
    for (uint32_t i = 0; i < kToyMsixVectors; ++i)
        fds.push_back(events.emplace_back(make_eventfd()).get());
    ASSERT_EQ(
        client->set_irqs(kIrqDataEventfd | kIrqActionTrigger, kIrqMsix, 0, kToyMsixVectors, fds),
        0);
    for (uint32_t i = 0; i < kToyMsixVectors; ++i) {
        ASSERT_EQ(client->put(0, kInterrupt, i), 0);
        for (uint32_t j = 0; j < kToyMsixVectors; ++j)
            EXPECT_EQ(take_events(fds[j]), i == j ? 1u : 0u);
    }
}

TEST_F(RegionTest, IntxAutomasksAndResamplesOverTheWire) {
    client->put<uint16_t>(kRegionConfig,
                          find_capability(*client, regs::CAP_ID_MSIX) + regs::MSIX_CONTROL, 0);
    const UniqueFd pin = make_eventfd();
    const UniqueFd resample = make_eventfd();
    ASSERT_EQ(client->set_irqs(kIrqDataEventfd | kIrqActionTrigger, kIrqIntx, 0, 1, {pin.get()}),
              0);
    ASSERT_EQ(
        client->set_irqs(kIrqDataEventfd | kIrqActionUnmask, kIrqIntx, 0, 1, {resample.get()}), 0);
    ASSERT_EQ(client->put(0, kInterrupt, kPinHigh), 0);
    EXPECT_EQ(take_events(pin.get()), 1u);
    const uint64_t one = 1;
    ASSERT_EQ(::write(resample.get(), &one, sizeof one), 8);
    EXPECT_EQ(wait_events(pin.get()), 1u);
    ASSERT_EQ(client->set_irqs(kIrqDataNone | kIrqActionUnmask, kIrqIntx, 0, 1), 0);
    EXPECT_EQ(take_events(pin.get()), 1u);
    ASSERT_EQ(client->put(0, kInterrupt, kPinLow), 0);
    ASSERT_EQ(client->set_irqs(kIrqDataNone | kIrqActionUnmask, kIrqIntx, 0, 1), 0);
    EXPECT_EQ(take_events(pin.get()), 0u);
}

}  // namespace
}  // namespace mimic::test
