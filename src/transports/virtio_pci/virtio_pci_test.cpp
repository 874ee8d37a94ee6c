// SPDX-License-Identifier: Apache-2.0
// The transport as a driver sees it: capabilities, registers, queues, interrupts, resets. Virtio
// 1.3, 4.1.
#include "virtio_pci/virtio_pci.h"

#include <gmock/gmock.h>

#include "pci/trace/trace_ring.h"
#include "reg/map_test.h"
#include "virtio_pci/registers.h"
#include "virtio_pci/state_map.h"
#include "virtio_pci/testing/echo_device.h"
#include "virtio_pci/testing/pci_guest.h"

MIMIC_MAP_TEST(VirtioPciCommon, mimic::virtio_pci::kCommonMap);
MIMIC_MAP_TEST(VirtioPciIsr, mimic::virtio_pci::kIsrMap);
MIMIC_MAP_TEST(VirtioPciNotify, mimic::virtio_pci::kNotifyMap<4>);
MIMIC_MAP_TEST(VirtioPciState, mimic::virtio_pci::kStateMap<2>);

namespace mimic::virtio_pci {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace pci::regs;

/// A device, its function and a guest.
struct Rig {
    explicit Rig(virtio::DeviceOptions options = EchoDevice::default_options()) {
        auto made = std::make_unique<EchoDevice>(std::move(options));
        device = made.get();
        auto created = create(std::move(made), {.class_code = 0x120000});
        MIMIC_CHECK(created.has_value());
        function = std::move(*created);
        guest.emplace(*function);
    }
    ~Rig() { guest.reset(); }

    std::unique_ptr<pci::Function> function;
    EchoDevice* device = nullptr;
    std::optional<PciGuest> guest;
};

const std::vector<uint8_t> kHello = {'h', 'e', 'l', 'l', 'o'};

TEST(VirtioPci, IdsSayAModernDevice) {
    Rig rig;
    EXPECT_EQ(rig.guest->read_config(VENDOR_ID, 2), 0x1af4u);
    EXPECT_EQ(rig.guest->read_config(DEVICE_ID, 2), 0x1067u);
    EXPECT_GE(rig.guest->read_config(REVISION_ID, 1), 1u);
    EXPECT_EQ(rig.guest->read_config(CLASS_CODE + 2, 1), 0x12u);
}

TEST(VirtioPci, EachStructureHasACapability) {
    Rig rig;
    EXPECT_GE(rig.guest->place(Structure::kCommon).length, 60u);
    EXPECT_EQ(rig.guest->place(Structure::kIsr).length, 1u);
    EXPECT_EQ(rig.guest->place(Structure::kDevice).length, 16u);
    EXPECT_EQ(rig.guest->place(Structure::kNotify).length, 12u);
    EXPECT_NE(rig.guest->place(Structure::kPciConfig).capability, 0u);
    for (const auto type :
         {Structure::kCommon, Structure::kIsr, Structure::kDevice, Structure::kNotify}) {
        const auto& place = rig.guest->place(type);
        EXPECT_LE(place.offset + place.length, rig.function->bars()[place.bar].size);
    }
}

TEST(VirtioPci, NothingCanBeMapped) {
    Rig rig;
    for (const pci::Bar& bar : rig.function->bars()) EXPECT_TRUE(bar.areas.empty());
}

TEST(VirtioPci, ADriverStartsItAndGetsItsAnswer) {
    for (const bool packed : {false, true}) {
        Rig rig;
        ASSERT_TRUE(rig.guest->start({.packed = packed}));
        EXPECT_EQ(rig.device->starts, 1u);
        EXPECT_THAT(rig.guest->request(0, kHello), testing::Optional(kHello));
        EXPECT_THAT(rig.guest->request(2, kHello), testing::Optional(kHello));
    }
}

TEST(VirtioPci, FeaturesComeAndGoByHalves) {
    Rig rig;
    EXPECT_EQ(rig.guest->offered(), rig.device->offered_features());
    rig.guest->set_common(0x00, 4, 2);
    EXPECT_EQ(rig.guest->common(0x04, 4), 0u);
    rig.guest->accept(0x1'2345'6789);
    EXPECT_EQ(rig.device->driver_features(), 0x1'2345'6789u);
    rig.guest->set_common(0x08, 4, 7);
    rig.guest->set_common(0x0c, 4, 0xffff'ffff);
    EXPECT_EQ(rig.device->driver_features(), 0x1'2345'6789u);
}

TEST(VirtioPci, FeaturesThatAreNotOfferedAreRefused) {
    Rig rig;
    EXPECT_FALSE(rig.guest->start({.features = uint64_t{1} << 1}));
    EXPECT_FALSE(rig.guest->start({.features = virtio::feature(virtio::kNotificationData)}));
}

TEST(VirtioPci, TheQueueThatIsSelectedShows) {
    Rig rig;
    EXPECT_EQ(rig.guest->common(0x12, 2), 3u);
    rig.guest->set_common(0x16, 2, 2);
    EXPECT_EQ(rig.guest->common(0x18, 2), 16u);
    EXPECT_EQ(rig.guest->common(0x1e, 2), 2u);
    EXPECT_EQ(rig.guest->common(0x1a, 2), 0xffffu);
    rig.guest->set_common(0x18, 2, 8);
    rig.guest->set_address(0x20, 0x1234'5678'9abc'def0);
    rig.guest->set_common(0x16, 2, 0);
    EXPECT_EQ(rig.guest->common(0x18, 2), 64u);
    EXPECT_EQ(rig.guest->common(0x20, 8), 0u);
    rig.guest->set_common(0x16, 2, 2);
    EXPECT_EQ(rig.guest->common(0x18, 2), 8u);
    EXPECT_EQ(rig.guest->common(0x20, 4), 0x9abc'def0u);
    EXPECT_EQ(rig.guest->common(0x24, 4), 0x1234'5678u);
}

TEST(VirtioPci, AQueueThatThereIsNotReadsAsNone) {
    Rig rig;
    rig.guest->set_common(0x16, 2, 3);
    EXPECT_EQ(rig.guest->common(0x18, 2), 0u);
    rig.guest->set_common(0x1a, 2, 1);
    EXPECT_EQ(rig.guest->common(0x1a, 2), 0xffffu);
    rig.guest->set_common(0x1c, 2, 1);
    EXPECT_EQ(rig.guest->common(0x1c, 2), 0u);
    rig.guest->set_common(0x16, 2, 0xffff);
    EXPECT_EQ(rig.guest->common(0x18, 2), 0u);
}

TEST(VirtioPci, VectorsOutOfRangeAreRefused) {
    Rig rig;
    rig.guest->set_common(0x10, 2, 4);  // there are 4: 0 to 3
    EXPECT_EQ(rig.guest->common(0x10, 2), 0xffffu);
    rig.guest->set_common(0x10, 2, 3);
    EXPECT_EQ(rig.guest->common(0x10, 2), 3u);
    rig.guest->set_common(0x16, 2, 1);
    rig.guest->set_common(0x1a, 2, 0x100);
    EXPECT_EQ(rig.guest->common(0x1a, 2), 0xffffu);
}

TEST(VirtioPci, AnEnabledQueueKeepsItsAddresses) {
    Rig rig;
    ASSERT_TRUE(rig.guest->start());
    rig.guest->set_common(0x16, 2, 1);
    EXPECT_EQ(rig.guest->common(0x1c, 2), 1u);
    const uint64_t before = rig.guest->common(0x20, 8);
    rig.guest->set_address(0x20, 0x1000);
    rig.guest->set_common(0x18, 2, 4);
    rig.guest->set_common(0x1c, 2, 0);
    EXPECT_EQ(rig.guest->common(0x20, 8), before);
    EXPECT_EQ(rig.guest->common(0x18, 2), 16u);
    EXPECT_EQ(rig.guest->common(0x1c, 2), 1u);
    EXPECT_THAT(rig.guest->request(1, kHello), testing::Optional(kHello));
}

TEST(VirtioPci, EachQueueHasItsVector) {
    Rig rig;
    ASSERT_TRUE(rig.guest->start());
    ASSERT_TRUE(rig.guest->request(0, kHello));
    EXPECT_THAT(rig.guest->slot().take_vectors(), ElementsAre(1));
    ASSERT_TRUE(rig.guest->request(2, kHello));
    EXPECT_THAT(rig.guest->slot().take_vectors(), ElementsAre(3));
    rig.device->config_changed();
    EXPECT_THAT(rig.guest->slot().take_vectors(), ElementsAre(0));
    EXPECT_EQ(rig.guest->isr(), 0);  // only of INTx
}

TEST(VirtioPci, WithoutAVectorThereIsNoInterrupt) {
    Rig rig;
    ASSERT_TRUE(rig.guest->start());
    rig.guest->set_common(0x16, 2, 0);
    rig.guest->set_common(0x1a, 2, kNoVector);
    ASSERT_TRUE(rig.guest->request(0, kHello));
    EXPECT_THAT(rig.guest->slot().take(), IsEmpty());
}

TEST(VirtioPci, WithoutMsixThePinSaysSoUntilTheIsrIsRead) {
    Rig rig;
    ASSERT_TRUE(rig.guest->start({.msix = false}));
    ASSERT_TRUE(rig.guest->request(0, kHello));
    EXPECT_THAT(rig.guest->slot().take(), ElementsAre("pin 1"));
    rig.device->config_changed();
    EXPECT_THAT(rig.guest->slot().take(), IsEmpty());
    EXPECT_EQ(rig.guest->isr(), kIsrQueue | kIsrConfig);
    EXPECT_THAT(rig.guest->slot().take(), ElementsAre("pin 0"));
    EXPECT_EQ(rig.guest->isr(), 0);
    EXPECT_THAT(rig.guest->slot().take(), IsEmpty());
}

TEST(VirtioPci, AResetTakesThePinBack) {
    Rig rig;
    ASSERT_TRUE(rig.guest->start({.msix = false}));
    ASSERT_TRUE(rig.guest->request(0, kHello));
    rig.guest->slot().take();
    rig.guest->set_status(0);
    EXPECT_THAT(rig.guest->slot().take(), ElementsAre("pin 0"));
    EXPECT_EQ(rig.guest->isr(), 0);
}

TEST(VirtioPci, ConfigurationIsTheDevices) {
    Rig rig;
    rig.guest->write(Structure::kDevice, 4, 4, 0x44332211);
    EXPECT_EQ(rig.device->config[4], 0x11);
    EXPECT_EQ(rig.device->config[7], 0x44);
    EXPECT_EQ(rig.guest->read(Structure::kDevice, 5, 1), 0x22u);
    EXPECT_EQ(rig.guest->read(Structure::kDevice, 16, 4), 0u);
    rig.guest->write(Structure::kDevice, 12, 8, ~uint64_t{0});
    EXPECT_EQ(rig.device->config[15], 0xff);
}

TEST(VirtioPci, TheGenerationCountsChanges) {
    Rig rig;
    const uint64_t before = rig.guest->common(0x15, 1);
    rig.device->config_changed();
    EXPECT_NE(rig.guest->common(0x15, 1), before);
}

TEST(VirtioPci, AStatusOfZeroResetsAll) {
    Rig rig;
    ASSERT_TRUE(rig.guest->start());
    rig.guest->set_status(0);
    EXPECT_EQ(rig.guest->status(), 0);
    EXPECT_EQ(rig.device->driver_features(), 0u);
    EXPECT_EQ(rig.guest->common(0x10, 2), kNoVector);
    rig.guest->set_common(0x16, 2, 1);
    EXPECT_EQ(rig.guest->common(0x18, 2), 64u);
    EXPECT_EQ(rig.guest->common(0x1c, 2), 0u);
    EXPECT_EQ(rig.guest->common(0x20, 8), 0u);
    ASSERT_TRUE(rig.guest->start());
    EXPECT_THAT(rig.guest->request(0, kHello), testing::Optional(kHello));
}

TEST(VirtioPci, AQueueIsResetAlone) {
    Rig rig;
    ASSERT_TRUE(rig.guest->start());
    rig.guest->set_common(0x16, 2, 1);
    rig.guest->set_common(0x3a, 2, 1);
    EXPECT_EQ(rig.guest->common(0x3a, 2), 0u);
    EXPECT_EQ(rig.guest->common(0x1c, 2), 0u);
    EXPECT_EQ(rig.guest->common(0x18, 2), 64u);
    EXPECT_EQ(rig.device->queue_resets, 1u);
    EXPECT_THAT(rig.guest->request(0, kHello), testing::Optional(kHello));
    rig.guest->make_queue(1);
    EXPECT_THAT(rig.guest->request(1, kHello), testing::Optional(kHello));
}

TEST(VirtioPci, ABrokenQueueNeedsAResetAndSaysSo) {
    Rig rig;
    ASSERT_TRUE(rig.guest->start());
    // More buffers than the ring has entries.
    rig.guest->memory().put<uint16_t>(rig.guest->queue(0).addresses().driver + 2, 1000);
    rig.guest->kick(0);
    EXPECT_EQ(rig.guest->status() & virtio::kNeedsReset, virtio::kNeedsReset);
    EXPECT_THAT(rig.guest->slot().take_vectors(), ElementsAre(0));
    ASSERT_TRUE(rig.guest->start());
    EXPECT_THAT(rig.guest->request(0, kHello), testing::Optional(kHello));
}

TEST(VirtioPci, EveryResetOfTheFunctionResetsTheDevice) {
    for (const auto kind :
         {pci::ResetKind::kFunctionLevel, pci::ResetKind::kConventional, pci::ResetKind::kPower}) {
        Rig rig;
        rig.device->held = true;
        ASSERT_TRUE(rig.guest->start());
        rig.guest->request(0, kHello);
        EXPECT_TRUE(rig.function->at_work());
        rig.function->reset(kind);
        EXPECT_FALSE(rig.function->at_work());
        EXPECT_EQ(rig.device->status(), 0);
        EXPECT_EQ(rig.guest->common(0x10, 2), kNoVector);
    }
}

TEST(VirtioPci, WithoutBusMasteringNoBufferIsTouched) {
    Rig rig;
    ASSERT_TRUE(rig.guest->start());
    rig.guest->write_config(COMMAND, 2, COMMAND_MEMORY_SPACE);
    EXPECT_EQ(rig.guest->request(0, kHello), std::nullopt);
    EXPECT_THAT(rig.guest->slot().take_vectors(), IsEmpty());
    rig.guest->write_config(COMMAND, 2, COMMAND_MEMORY_SPACE | COMMAND_BUS_MASTER);
    rig.guest->kick(0);
    EXPECT_TRUE(rig.guest->queue(0).take());
}

TEST(VirtioPci, KicksAreDoorbells) {
    Rig rig;
    ASSERT_TRUE(rig.guest->start());
    EXPECT_EQ(rig.function->doorbell_interrupt(0, kNotifyOffset + 8), 3u);
    EXPECT_EQ(rig.function->doorbell_interrupt(0, kNotifyOffset + 12), std::nullopt);
    EXPECT_EQ(rig.function->doorbell_interrupt(0, kCommonOffset), std::nullopt);
    const auto blocks = rig.function->register_blocks();
    EXPECT_EQ(blocks[2].offset, kNotifyOffset);
    EXPECT_TRUE(blocks[2].registers->snapshot().values.contains("QUEUE_NOTIFY[2]"));
}

TEST(VirtioPci, ToolsSeeTheRegistersByName) {
    Rig rig;
    ASSERT_TRUE(rig.guest->start());
    const auto blocks = rig.function->register_blocks();
    ASSERT_EQ(blocks.size(), 4u);
    const auto values = blocks[0].registers->snapshot().values;
    EXPECT_EQ(values.at("NUM_QUEUES"), 3u);
    EXPECT_EQ(values.at("DEVICE_STATUS"), 0xfu);
    EXPECT_EQ(values.at("QUEUE_ENABLE"), 1u);
    ASSERT_TRUE(rig.guest->request(1, kHello));
    rig.function->register_blocks();
    const auto state = blocks[3].registers->snapshot().values;
    EXPECT_EQ(state.at("DRIVER_FEATURES"), rig.device->driver_features());
    EXPECT_EQ(state.at("QUEUE[1].SIZE"), 16u);
    EXPECT_EQ(state.at("QUEUE[1].VECTOR"), 2u);
    EXPECT_EQ(state.at("QUEUE[1].NEXT_AVAILABLE"), 1u);
    EXPECT_EQ(state.at("QUEUE[0].NEXT_AVAILABLE"), 0u);
    EXPECT_EQ(state.at("QUEUE[1].DESC"), rig.guest->queue(1).addresses().descriptors);
}

TEST(VirtioPci, AnotherFunctionGoesOnFromASavedState) {
    for (const bool packed : {false, true}) {
        Rig rig;
        ASSERT_TRUE(rig.guest->start({.packed = packed}));
        for (int i = 0; i < 20; ++i) ASSERT_TRUE(rig.guest->request(1, kHello));
        std::vector<reg::Snapshot> saved;
        for (const auto& block : rig.function->register_blocks())
            saved.push_back(block.registers->snapshot());
        rig.device->reset();
        EXPECT_EQ(rig.guest->request(1, kHello), std::nullopt);
        rig.guest->slot().take_vectors();

        ASSERT_TRUE(rig.function->restore_registers(saved));
        EXPECT_EQ(rig.guest->status(), 0xf);
        EXPECT_TRUE(rig.device->is_live());
        rig.guest->kick(1);  // the buffer from before
        EXPECT_TRUE(rig.guest->queue(1).take());
        EXPECT_THAT(rig.guest->request(1, kHello), testing::Optional(kHello));
        EXPECT_THAT(rig.guest->slot().take_vectors(), ElementsAre(2, 2));
    }
}

TEST(VirtioPci, ASavedStateThatDoesNotFitIsRefused) {
    Rig rig;
    std::vector<reg::Snapshot> saved;
    for (const auto& block : rig.function->register_blocks())
        saved.push_back(block.registers->snapshot());
    EXPECT_FALSE(rig.function->restore_registers(std::span(saved).first(3)));
    auto options = EchoDevice::default_options();
    options.queue_sizes = {64, 64, 16, 16, 16};
    Rig other(options);
    EXPECT_FALSE(other.function->restore_registers(saved));
}

TEST(VirtioPci, QueuesWorkWhileATraceKeepsTheBytesOfDma) {
    Rig rig;
    const VirtualTime clock;
    pci::TraceRing ring(pci::kMinTraceBytes, clock);
    ring.set_dma_bytes(64);
    rig.function->set_tracer(&ring);
    ASSERT_TRUE(rig.guest->start());
    EXPECT_THAT(rig.guest->request(0, kHello), testing::Optional(kHello));
    EXPECT_EQ(rig.guest->status() & virtio::kNeedsReset, 0);
    rig.function->set_tracer(nullptr);
}

TEST(VirtioPci, WhatDoesNotFitIsRefused) {
    auto options = EchoDevice::default_options();
    options.virtio_id = 0x40;
    EXPECT_FALSE(create(std::make_unique<EchoDevice>(options), {}));
    options = EchoDevice::default_options();
    options.queue_sizes.assign(kMaxQueues + 1, 8);
    EXPECT_FALSE(create(std::make_unique<EchoDevice>(options), {}));
    options.queue_sizes.assign(kMaxQueues, 8);
    EXPECT_TRUE(create(std::make_unique<EchoDevice>(options), {}));
    options.config_size = kMaxConfigBytes + 1;
    EXPECT_FALSE(create(std::make_unique<EchoDevice>(options), {}));
}

}  // namespace
}  // namespace mimic::virtio_pci
