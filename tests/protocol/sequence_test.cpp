// SPDX-License-Identifier: Apache-2.0
// What real clients send, in their order: QEMU 11.1 (facts 2.2, 2.3, 2.6), rust-vmm (1.7),
// libvfio-user's sample client and the expectations of its test suite (3.4). Written from the fact
// sheet; no code of theirs.
#include <gtest/gtest.h>

#include "pci/config/pci_regs.h"
#include "tests/protocol/device_host.h"

namespace mimic::test {
namespace {

using namespace vfio_user;
namespace regs = pci::regs;

constexpr uint32_t kTriggerEvent = kIrqDataEventfd | kIrqActionTrigger;
constexpr uint32_t kDisable = kIrqDataNone | kIrqActionTrigger;
constexpr std::string_view kQemuJson =
    R"({"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,)"
    R"("max_dma_maps":65535,"pgsizes":4096,)"
    R"("migration":{"max_bitmap_size":268435456,"pgsize":4096},"write_multiple":true}})";

class QemuSequence : public ::testing::Test {
protected:
    // Steps 1 to 3: connect, memory, what is there.
    void connect_and_ask() {
        ASSERT_EQ(qemu.negotiate(0, kQemuJson), 0);
        EXPECT_EQ(qemu.server_minor(), 0);
        EXPECT_LE(qemu.server_json().size() + 1, 193u);
        ASSERT_TRUE(qemu.raw().send(posted(map_request(0, 0x8000000, ram.get()))));
        ASSERT_EQ(qemu.dma_map(0xfffc0000, 0x40000, -1, 0, kDmaRead), 0);
        const auto info = qemu.device_info();
        ASSERT_GE(info.num_regions, 8u);
        ASSERT_GE(info.num_irqs, 3u);
        for (const uint32_t index : {0u, 1u, 2u, 3u, 4u, 5u, 7u}) {
            const auto region = qemu.region_info(index);
            ASSERT_EQ(region.error, 0);
            EXPECT_EQ(region.body.size & (region.body.size - 1), 0u)
                << "QEMU asserts that sizes are powers of two";
        }
        EXPECT_EQ(qemu.irq_info(kIrqErr).count, 1u);
    }
    // Steps 4 to 7: config space, sizing, interrupts.
    void read_config() {
        Bytes config(4096);
        ASSERT_EQ(qemu.read(kRegionConfig, 0, config), 0);
        const auto rom = qemu.get(kRegionConfig, regs::EXPANSION_ROM);
        ASSERT_EQ(qemu.put(kRegionConfig, regs::EXPANSION_ROM, 0xfffff800u), 0);
        EXPECT_EQ(qemu.get(kRegionConfig, regs::EXPANSION_ROM) & 0xfffff800u,
                  ~uint32_t{kRomSize - 1});
        ASSERT_EQ(qemu.put(kRegionConfig, regs::EXPANSION_ROM, rom), 0);
        for (uint32_t bar = 0; bar < 6; ++bar) (void)qemu.get(kRegionConfig, regs::BAR0 + 4 * bar);
        const uint32_t msix = find_capability(qemu, regs::CAP_ID_MSIX);
        EXPECT_EQ(qemu.get<uint16_t>(kRegionConfig, msix + 2) & 0x7ff, kToyMsixVectors - 1);
        EXPECT_EQ(qemu.get(kRegionConfig, msix + 4), kMsixTable);
        EXPECT_EQ(qemu.get(kRegionConfig, msix + 8), kMsixPba);
        EXPECT_EQ(qemu.irq_info(kIrqMsix).count, kToyMsixVectors);
        ASSERT_EQ(qemu.get<uint8_t>(kRegionConfig, 0x3d), 1);
        ASSERT_EQ(qemu.set_irqs(kTriggerEvent, kIrqIntx, 0, 1, {intx.get()}), 0);
        ASSERT_EQ(qemu.set_irqs(kTriggerEvent, kIrqErr, 0, 1, {err.get()}), 0);
    }
    // Step 8: machine reset.
    void machine_reset() {
        ASSERT_EQ(qemu.set_irqs(kDisable, kIrqIntx, 0, 0), 0);
        const auto command = qemu.get<uint16_t>(kRegionConfig, regs::COMMAND);
        ASSERT_EQ(qemu.put<uint16_t>(kRegionConfig, regs::COMMAND, command & 0xfff8), 0);
        (void)qemu.get<uint16_t>(kRegionConfig,
                                 find_capability(qemu, regs::CAP_ID_PM) + regs::PMCSR);
        ASSERT_EQ(qemu.reset(), 0);
        ASSERT_EQ(qemu.get<uint8_t>(kRegionConfig, 0x3d), 1);
        ASSERT_EQ(qemu.set_irqs(kTriggerEvent, kIrqIntx, 0, 1, {intx.get()}), 0);
        for (uint32_t bar = 0; bar < 6; ++bar)
            ASSERT_EQ(qemu.put(kRegionConfig, regs::BAR0 + 4 * bar, 0u), 0);
    }
    // Step 9: the firmware moves memory about, also under shadow RAM.
    void churn_memory() {
        ASSERT_EQ(qemu.dma_unmap(0, 0x8000000), 0);
        ASSERT_EQ(qemu.dma_map(0, 0xc0000, ram.get()), 0);
        ASSERT_EQ(qemu.dma_map(0xc0000, 0x20000, -1, 0, kDmaRead), 0);
        ASSERT_EQ(qemu.dma_map(0xe0000, 0x20000, -1, 0, kDmaRead), 0);
        ASSERT_EQ(qemu.dma_map(0x100000, 0x7f00000, ram.get(), 0x100000), 0);
        ASSERT_EQ(qemu.dma_unmap(0xc0000, 0x20000), 0);
        ASSERT_EQ(qemu.dma_map(0xc0000, 0x20000, ram.get(), 0xc0000, kDmaRead), 0);
        ASSERT_EQ(qemu.dma_map(0xfe000000, 0x2000), 0);  // a mapped BAR area, peer to peer
    }
    // 2.3: the driver enables MSI-X.
    void enable_vectors() {
        enable_device(qemu);
        enable_msix(qemu);
        ASSERT_EQ(qemu.set_irqs(kDisable, kIrqIntx, 0, 0), 0);
        ASSERT_EQ(qemu.set_irqs(kTriggerEvent, kIrqMsix, 0, 1), 0);
        for (uint32_t vector = 0; vector < 3; ++vector)
            ASSERT_EQ(qemu.set_irqs(kTriggerEvent, kIrqMsix, vector, 1, {vectors[vector].get()}),
                      0);
    }

    DeviceHost host;
    Client qemu{host.path()};
    UniqueFd ram = make_memfd(0x8000000);
    UniqueFd intx = make_eventfd();
    UniqueFd err = make_eventfd();
    std::vector<UniqueFd> vectors = [] {
        std::vector<UniqueFd> made;
        for (int i = 0; i < 3; ++i) made.push_back(make_eventfd());
        return made;
    }();
};

TEST_F(QemuSequence, RealizeResetMemoryChurnDriverAndUnplug) {
    ASSERT_NO_FATAL_FAILURE(connect_and_ask());
    ASSERT_NO_FATAL_FAILURE(read_config());
    ASSERT_NO_FATAL_FAILURE(machine_reset());
    ASSERT_NO_FATAL_FAILURE(churn_memory());
    ASSERT_NO_FATAL_FAILURE(enable_vectors());
    ASSERT_TRUE(qemu.post(0, kInterrupt, bytes_of(2u)));
    EXPECT_EQ(run_dma(qemu, kStartWrite, 0x200000, 64), kDmaDone);
    EXPECT_EQ(take_events(vectors[2].get()), 1u);
    EXPECT_EQ(run_dma(qemu, kStartRead, 0xc0000, 64), kDmaDone);

    // Unplug (2.6), then plug in again at the same socket.
    ASSERT_EQ(qemu.dma_unmap(0xfe000000, 0x2000), 0);
    ASSERT_EQ(qemu.set_irqs(kTriggerEvent, kIrqErr, 0, 1), 0);
    ASSERT_EQ(qemu.set_irqs(kDisable, kIrqMsix, 0, 0), 0);
    ASSERT_EQ(qemu.get<uint8_t>(kRegionConfig, 0x3d), 1);
    ASSERT_EQ(qemu.set_irqs(kTriggerEvent, kIrqIntx, 0, 1, {intx.get()}), 0);
    ASSERT_EQ(qemu.set_irqs(kDisable, kIrqIntx, 0, 0), 0);
    qemu.raw().close();
    Client again(host.path());
    EXPECT_EQ(again.negotiate(0, kQemuJson), 0);
    EXPECT_EQ(host.counters().errors, 0u);
}

TEST_F(QemuSequence, KvmSetsUpResamplingAndBackAgain) {
    ASSERT_NO_FATAL_FAILURE(connect_and_ask());
    enable_device(qemu);
    const UniqueFd resample = make_eventfd();
    for (int change = 0; change < 3; ++change) {  // repeats whenever interrupt routing changes
        ASSERT_EQ(qemu.set_irqs(kTriggerEvent, kIrqIntx, 0, 1, {intx.get()}), 0);
        ASSERT_EQ(qemu.set_irqs(kIrqDataNone | kIrqActionMask, kIrqIntx, 0, 1), 0);
        ASSERT_EQ(
            qemu.set_irqs(kIrqDataEventfd | kIrqActionUnmask, kIrqIntx, 0, 1, {resample.get()}), 0);
        ASSERT_EQ(qemu.set_irqs(kIrqDataNone | kIrqActionUnmask, kIrqIntx, 0, 1), 0);
        ASSERT_EQ(qemu.put(0, kInterrupt, kPinHigh), 0);
        EXPECT_EQ(take_events(intx.get()), 1u);
        const uint64_t one = 1;
        ASSERT_EQ(::write(resample.get(), &one, sizeof one), 8);
        EXPECT_EQ(wait_events(intx.get()), 1u);
        ASSERT_EQ(qemu.put(0, kInterrupt, kPinLow), 0);
        ASSERT_EQ(qemu.set_irqs(kDisable, kIrqIntx, 0, 0), 0);
    }
}

// --- rust-vmm and cloud-hypervisor -----------------------------------------------------------

TEST(RustVmmSequence, EveryReplyHasTheSizeThatIsRead) {
    DeviceHost host;
    Client rust(host.path());
    ASSERT_EQ(rust.negotiate(1, R"({"capabilities":{"max_msg_fds":1,"max_data_xfer_size":1048576,)"
                                R"("migration":{"pgsize":4096}}})"),
              0);
    EXPECT_EQ(rust.server_minor(), 1);
    const UniqueFd ram = make_memfd(0x10000);
    const auto size_of = [&](Request request) {
        return rust.call(std::move(request)).payload.size();
    };
    Request get_info(Command::kDeviceGetInfo, bytes_of(DeviceInfoBody{32, 0, 0, 0}));
    EXPECT_EQ(size_of(get_info), 16u);
    for (uint32_t index = 0; index < rust.device_info().num_regions; ++index) {
        const auto info = rust.region_info(index);
        EXPECT_EQ(info.error, 0);
        EXPECT_EQ(
            info.body.argsz,
            32 + ((info.body.flags & kRegionFlagCaps) != 0 ? 16 + 16 * info.areas.size() : 0));
    }
    for (uint32_t index = 0; index < kIrqCount; ++index)
        EXPECT_EQ(
            size_of(Request(Command::kDeviceGetIrqInfo, bytes_of(IrqInfoBody{16, 0, index, 0}))),
            16u);
    EXPECT_EQ(size_of(map_request(0, 0x10000, ram.get())), 0u);
    EXPECT_EQ(size_of(read_request(kRegionConfig, 0, 4)), 20u);
    EXPECT_EQ(size_of(write_request(kRegionConfig, 4, Bytes(2))), 16u);
    EXPECT_EQ(size_of(read_request(5, 0, 4)), 20u);  // even where it fails
    // Batches of 16 descriptors whatever was negotiated.
    std::vector<UniqueFd> events;
    std::vector<int> fds;
    for (uint32_t i = 0; i < kToyMsixVectors; ++i)
        fds.push_back(events.emplace_back(make_eventfd()).get());
    EXPECT_EQ(rust.set_irqs(kTriggerEvent, kIrqMsix, 0, kToyMsixVectors, fds), 0);
    Request retry = read_request(kRegionConfig, 0, 4);  // ids may repeat
    for (int i = 0; i < 2; ++i) {
        retry.header.id = 7;
        ASSERT_TRUE(rust.raw().send(retry));
        EXPECT_EQ(rust.raw().receive()->header.id, 7);
    }
    EXPECT_EQ(size_of(unmap_request(0, 0x10000)), 24u);
    EXPECT_EQ(rust.reset(), 0);
}

// --- libvfio-user ----------------------------------------------------------------------------

TEST(LibvfioUserSequence, SampleClientUpToMigration) {
    DeviceHost host;
    Client lib(host.path());
    ASSERT_EQ(lib.negotiate(2, R"({"capabilities":{"max_msg_fds":8,"max_data_xfer_size":1048576,)"
                               R"("migration":{"pgsize":4096}}})"),
              0);
    EXPECT_EQ(lib.server_minor(), 2);
    const Reply bogus = lib.call(read_request(0xdeadbeef, 0, 4));
    EXPECT_EQ(bogus.error(), EINVAL);
    EXPECT_TRUE(bogus.payload.empty());
    EXPECT_EQ(lib.device_info().num_regions, 9u);
    for (uint32_t index = 0; index < 9; ++index) {
        const auto info = lib.region_info(index);
        EXPECT_EQ(info.error, 0);
        if (index == 1) {
            EXPECT_TRUE(info.fd);
            EXPECT_EQ(info.areas.size(), 2u);
        }
    }
    EXPECT_EQ(lib.get(kRegionConfig, 0), 0x7e571de5u);
    EXPECT_EQ(lib.reset(), 0);
    const UniqueFd memory = make_memfd(0x10000);
    for (uint64_t i = 0; i < 16; ++i)
        ASSERT_EQ(lib.dma_map(0x1000 * i, 0x1000, memory.get(), 0x1000 * i), 0);
    for (uint32_t index = 0; index < 5; ++index) EXPECT_EQ(lib.irq_info(index).index, index);
    const UniqueFd irq = make_eventfd();
    ASSERT_EQ(lib.set_irqs(kTriggerEvent, kIrqIntx, 0, 1, {irq.get()}), 0);
    const Request log_start(Command::kDeviceFeature,
                            bytes_of(DeviceFeatureBody{8, 6 | kFeatureSet}));
    EXPECT_EQ(lib.status(log_start), ENOTTY);
    enable_device(lib);
    ASSERT_EQ(lib.put(0, kInterrupt, kPinHigh), 0);
    EXPECT_EQ(wait_events(irq.get()), 1u);
    for (uint64_t i = 0; i < 8; ++i) ASSERT_EQ(lib.dma_unmap(0x1000 * i, 0x1000), 0);
    EXPECT_EQ(lib.dma_unmap(0, 0, kUnmapAll), 0);
    EXPECT_EQ(lib.dma_unmap(0x8000, 0x1000), ENOENT);
}

// Expectations of its test/py suite that hold over the wire; the tables of bad fields hold the
// rest.
TEST(LibvfioUserSequence, NegotiationOfItsTestSuite) {
    DeviceHost host;
    for (const std::string_view good :
         {"", "{}", R"({"capabilities":{}})", R"({"capabilities":{"max_msg_fds":8}})",
          R"({"capabilities":{"twin_socket":{"supported":true}}})"}) {
        Client client(host.path());
        Request version = version_request(1, good);
        if (good.empty()) {
            version.payload.resize(4);
            version.header.size = 20;
        }
        const Reply reply = client.call(version);
        ASSERT_EQ(reply.error(), 0) << good;
        EXPECT_EQ(reply.as<VersionBody>().minor, 1);
        client.raw().close();
        ASSERT_TRUE(host.wait_idle());
    }
}

}  // namespace
}  // namespace mimic::test
