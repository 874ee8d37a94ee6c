// SPDX-License-Identifier: Apache-2.0
// Saved state, what tools see, and the VFs of a PF.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/vgpu_stub/test_bench.h"
#include "pci/function/sriov.h"

namespace mimic::vgpu_stub {
namespace {

using testing::HasSubstr;

reg::Snapshot snapshot_of(const Bench& bench) {
    return bench.device->register_blocks().at(0).registers->snapshot();
}

TEST(VgpuStateTest, GoesOnInAnother) {
    Bench first;
    first.put_request(bytes_of(100));
    first.write(REQUEST_ID, 5);
    first.write(SCRATCH, 0x1234);
    first.write(INTERRUPT_CTRL, 1);
    first.write(DOORBELL, 1);
    EXPECT_TRUE(first.device->at_work());
    first.queue().answer(0, VGPU_OK, bytes_of(50, 3));
    EXPECT_FALSE(first.device->at_work());
    const reg::Snapshot saved = snapshot_of(first);
    Bench second;
    ASSERT_TRUE(second.device->restore_registers({&saved, 1}).has_value());
    EXPECT_EQ(second.state(), State::kDone);
    EXPECT_EQ(second.response(), bytes_of(50, 3));
    second.write(DOORBELL, 1);
    ASSERT_EQ(second.queue().asked().size(), 1U);
    EXPECT_EQ(second.queue().asked()[0].request, bytes_of(100));
    EXPECT_EQ(second.queue().asked()[0].tag, 5U);
}

TEST(VgpuStateTest, ARingGoesOnWhereItWas) {
    Bench first;
    const auto add_memory = [](Bench& bench) { bench.slot.memory.add(0, 0x10000); };
    add_memory(first);
    first.write(RING_LO, 0x1000);
    first.write(COMPLETION_LO, 0x2000);
    first.write(RING_SIZE, 4);
    first.write(RING_CTRL, 1);
    RingEntry entry{};
    entry.request_address = 0x3000;
    entry.request_length = 64;
    entry.response_address = 0x4000;
    entry.response_size = 64;
    for (uint64_t i = 0; i < 3; ++i) first.slot.memory.put(0x1000 + 64 * i, entry);
    first.write(RING_TAIL, 3);
    EXPECT_TRUE(first.device->at_work());
    const reg::Snapshot early = snapshot_of(first);
    while (first.queue().answer(0, VGPU_OK, bytes_of(32))) {
    }
    first.slot.time.run();
    EXPECT_FALSE(first.device->at_work());
    const reg::Snapshot saved = snapshot_of(first);
    Bench second;
    add_memory(second);
    const Status refused = second.device->restore_registers({&early, 1});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), std::errc::not_supported);
    EXPECT_THAT(refused.error().message(), HasSubstr("3 entries in flight"));
    ASSERT_TRUE(second.device->restore_registers({&saved, 1}).has_value());
    second.write(COMPLETION_HEAD, 3);
    entry.cookie = 99;
    second.slot.memory.put(0x1000 + 64 * 3, entry);
    second.write(RING_TAIL, 4);
    second.queue().answer(0, VGPU_OK, bytes_of(32));
    second.slot.time.run();
    const auto completion = second.slot.memory.get<RingCompletion>(0x2000 + 32 * 3);
    EXPECT_EQ(completion.cookie, 99U);
    EXPECT_EQ(completion.sequence, 4U);
}

TEST(VgpuStateTest, WhatCannotBeIsRefused) {
    Bench bench;
    const reg::Snapshot good = snapshot_of(bench);
    const auto refused = [&](const char* name, uint64_t value) {
        reg::Snapshot bad = good;
        ASSERT_TRUE(bad.values.contains(name)) << name;
        bad.values[name] = value;
        EXPECT_FALSE(bench.device->restore_registers({&bad, 1}).has_value()) << name;
    };
    refused("STATUS", 1);
    refused("STATUS", 4);
    refused("REQUEST_LEN", 1025);
    refused("RESPONSE_LEN", VGPU_MAX_MESSAGE + 1);
    refused("DMA_REQUEST_LEN", VGPU_MAX_MESSAGE + 1);
    refused("DMA_RESPONSE_SIZE", VGPU_MAX_MESSAGE + 1);
    refused("RING_SIZE", 3);
    refused("RING_CTRL", 1);
    refused("RING_STATUS", 1);
    refused("RING_STATUS", 3);
    refused("VM_ID", 7);
    EXPECT_FALSE(bench.device->restore_registers({}).has_value());
    EXPECT_TRUE(bench.device->restore_registers({&good, 1}).has_value());
}

TEST(VgpuStateTest, DoorbellsAreKnown) {
    Bench bench;
    const auto& device = *bench.device;
    EXPECT_EQ(device.doorbell_interrupt(0, DOORBELL.offset), kRegisterVector);
    EXPECT_EQ(device.doorbell_interrupt(0, DMA_DOORBELL.offset), kRegisterVector);
    EXPECT_EQ(device.doorbell_interrupt(0, RING_TAIL.offset), kRingVector);
    EXPECT_EQ(device.doorbell_interrupt(0, STATUS.offset), std::nullopt);
    EXPECT_EQ(device.doorbell_interrupt(1, DOORBELL.offset), std::nullopt);
}

// --- Native SR-IOV ---------------------------------------------------------------------------

Options pf_options(uint32_t vfs) {
    Options out{.name = "vgpu0", .identity = {.vm_id = 100}};
    for (uint32_t i = 0; i < vfs; ++i) {
        Options& vf = out.vfs.emplace_back();
        vf.name = fmt::format("vgpu0-vf{}", i);
        vf.identity = {.vm_id = 101 + i,
                       .pool_id = static_cast<char>('A' + i % 2),
                       .priority = static_cast<uint8_t>(i % 3)};
        vf.make_queue = [](TaskRunner&) -> Result<std::unique_ptr<compute::Queue>> {
            return std::make_unique<compute::ScriptedQueue>();
        };
    }
    return out;
}

struct VgpuSriovTest : testing::Test {
    void enable(uint16_t count) {
        bench.set_config(sriov + pci::regs::SRIOV_NUM_VFS, count, 2);
        bench.set_config(sriov + pci::regs::SRIOV_CONTROL, 0x19, 2);  // VF Enable, VF MSE, ARI
    }
    void disable() { bench.set_config(sriov + pci::regs::SRIOV_CONTROL, 0, 2); }
    VgpuStub& vf(uint32_t index) {
        return dynamic_cast<VgpuStub&>(*bench.device->sriov()->vf(index));
    }
    uint32_t extended_capability(uint32_t id) {
        for (uint32_t at = 0x100; at != 0; at = bench.config(at) >> 20)
            if ((bench.config(at) & 0xffff) == id) return at;
        return 0;
    }
    static uint32_t read(VgpuStub& device, const reg::Register& reg) {
        uint32_t value = 0;
        device.read_bar(0, reg.offset, {reinterpret_cast<uint8_t*>(&value), 4});
        return value;
    }
    static void write(VgpuStub& device, const reg::Register& reg, uint32_t value) {
        device.write_bar(0, reg.offset, {reinterpret_cast<const uint8_t*>(&value), 4});
    }

    /// VF `index`, plugged in: a fabric does that.
    VgpuStub& attached(uint32_t index, pci::FakeSlot& slot) {
        vf(index).attach(slot);
        return vf(index);
    }

    Bench bench{pf_options(64)};
    uint32_t sriov = extended_capability(pci::regs::EXT_CAP_ID_SRIOV);
};

TEST_F(VgpuSriovTest, EachVfIsADeviceOfItsOwn) {
    ASSERT_NE(sriov, 0U);
    EXPECT_EQ(bench.config(sriov + pci::regs::SRIOV_TOTAL_VFS, 2), 64U);
    EXPECT_EQ(bench.config(sriov + pci::regs::SRIOV_VF_DEVICE_ID, 2), 0x1111U);
    enable(64);
    ASSERT_EQ(bench.device->sriov()->num_vfs(), 64U);
    for (uint32_t i = 0; i < 64; ++i) {
        EXPECT_EQ(read(vf(i), VM_ID), 101 + i);
        EXPECT_EQ(read(vf(i), POOL_ID), 'A' + i % 2);
        EXPECT_EQ(read(vf(i), PRIORITY), i % 3);
        EXPECT_EQ(vf(i).msix_vectors(), kVectors);
        EXPECT_EQ(vf(i).options().interrupt_pin, 0);
    }
    pci::FakeSlot slot;
    VgpuStub& third = attached(3, slot);
    write(third, REQUEST_LEN, 16);
    write(third, DOORBELL, 1);
    EXPECT_EQ(read(third, STATUS), 1U);
    EXPECT_EQ(read(vf(4), STATUS), 0U);
    EXPECT_EQ(bench.state(), State::kIdle);
    dynamic_cast<compute::ScriptedQueue&>(*third.queue()).answer(0, VGPU_OK, bytes_of(32));
    EXPECT_EQ(read(third, STATUS), 2U);
    EXPECT_EQ(read(third, RESPONSE_LEN), 32U);
    third.detach();
}

TEST_F(VgpuSriovTest, AVfThatGoesTakesItsRequestWithIt) {
    enable(2);
    pci::FakeSlot slot;
    VgpuStub& gone = attached(1, slot);
    write(gone, REQUEST_LEN, 16);
    write(gone, DOORBELL, 1);
    const auto done = dynamic_cast<compute::ScriptedQueue&>(*gone.queue()).asked()[0].done;
    disable();
    EXPECT_EQ(bench.device->sriov()->num_vfs(), 0U);
    bench.slot.time.run();  // it ends now
    done({VGPU_OK, bytes_of(32)});
    enable(2);
    EXPECT_EQ(read(vf(1), STATUS), 0U);
    // One that nobody has plugged in answers, too.
    write(vf(1), REQUEST_LEN, 16);
    write(vf(1), DOORBELL, 1);
    EXPECT_EQ(read(vf(1), ERROR_CODE), 3U);
    write(vf(1), RING_SIZE, 4);
    write(vf(1), RING_CTRL, 1);
    write(vf(1), RING_TAIL, 1);
    EXPECT_EQ(read(vf(1), RING_STATUS), 2U);
}

TEST_F(VgpuSriovTest, ResetOfThePfEndsThem) {
    enable(64);
    bench.device->reset(pci::ResetKind::kFunctionLevel);
    EXPECT_EQ(bench.device->sriov()->num_vfs(), 0U);
    bench.slot.time.run();
}

}  // namespace
}  // namespace mimic::vgpu_stub
