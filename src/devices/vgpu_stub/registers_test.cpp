// SPDX-License-Identifier: Apache-2.0
// The original's registers: its listing is quoted where a value comes from it.
#include <array>

#include <gtest/gtest.h>

#include "devices/vgpu_stub/test_bench.h"
#include "reg/map_test.h"

MIMIC_MAP_TEST(VgpuStub, mimic::vgpu_stub::kMap);

namespace mimic::vgpu_stub {
namespace {

// The original vgpu-stub, Change 1: the comments behind the members of VGPUStubState.
TEST(VgpuRegistersTest, OffsetsAreTheSeeds) {
    EXPECT_EQ(DOORBELL.offset, 0x000U);          // 0x000: Write 1 to submit request
    EXPECT_EQ(STATUS.offset, 0x004U);            // 0x004: IDLE/BUSY/DONE/ERROR
    EXPECT_EQ(POOL_ID.offset, 0x008U);           // case 0x008: /* Pool ID */
    EXPECT_EQ(PRIORITY.offset, 0x00cU);          // case 0x00C: /* Priority */
    EXPECT_EQ(VM_ID.offset, 0x010U);             // case 0x010: /* VM ID */
    EXPECT_EQ(ERROR_CODE.offset, 0x014U);        // 0x014: Error code if STATUS==ERROR
    EXPECT_EQ(REQUEST_LEN.offset, 0x018U);       // 0x018: Guest writes request length
    EXPECT_EQ(RESPONSE_LEN.offset, 0x01cU);      // 0x01C: Host writes response length
    EXPECT_EQ(PROTO_VERSION.offset, 0x020U);     // case 0x020: /* Protocol version */
    EXPECT_EQ(CAPABILITIES.offset, 0x024U);      // case 0x024: /* Capabilities */
    EXPECT_EQ(INTERRUPT_CTRL.offset, 0x028U);    // 0x028: Interrupt control
    EXPECT_EQ(INTERRUPT_STATUS.offset, 0x02cU);  // 0x02C: Interrupt status
    EXPECT_EQ(REQUEST_ID.offset, 0x030U);        // 0x030: Request tracking ID
    EXPECT_EQ(TIMESTAMP_LO.offset, 0x034U);      // 0x034/0x038: Timestamp
    EXPECT_EQ(TIMESTAMP_HI.offset, 0x038U);
    EXPECT_EQ(SCRATCH.offset, 0x03cU);  // 0x03C: Scratch register
    EXPECT_EQ(REQUEST.offset, 0x040U);  // request_buffer[1024]: 0x040-0x43F
    EXPECT_EQ(REQUEST.offset + REQUEST.span_bytes(), 0x440U);
    EXPECT_EQ(RESPONSE.offset, 0x440U);  // response_buffer[1024]: 0x440-0x83F
    EXPECT_EQ(RESPONSE.offset + RESPONSE.span_bytes(), 0x840U);
}

TEST(VgpuRegistersTest, IdentityIsTheSeeds) {
    Bench bench;
    EXPECT_EQ(bench.config(0x00), 0x11111af4U);
    EXPECT_EQ(bench.config(0x08), 0x12000002U);  // class 0x1200, k->revision = 0x02
    EXPECT_EQ(bench.config(0x2c), 0x11001af4U);  // QEMU's default subsystem
    EXPECT_EQ(bench.config(0x3d, 1), 1U);        // config[PCI_INTERRUPT_PIN] = 1
    bench.set_config(0x10, 0xffffffff, 4);
    EXPECT_EQ(bench.config(0x10), 0xfffff000U);  // "vgpu-stub-mmio", 4096
}

// The original vgpu-stub, Change 7 and Test 2.
TEST(VgpuRegistersTest, ResetValuesAreTheSeeds) {
    Bench bench({.identity = {.vm_id = 200, .pool_id = 'B', .priority = 2}});
    EXPECT_EQ(bench.read(DOORBELL), 0U);
    EXPECT_EQ(bench.read(STATUS), 0U);
    EXPECT_EQ(bench.read(POOL_ID), uint32_t{'B'});
    EXPECT_EQ(bench.read(PRIORITY), 2U);
    EXPECT_EQ(bench.read(VM_ID), 200U);
    for (const auto& reg : {ERROR_CODE, REQUEST_LEN, RESPONSE_LEN, INTERRUPT_CTRL, INTERRUPT_STATUS,
                            REQUEST_ID, TIMESTAMP_LO, TIMESTAMP_HI, SCRATCH})
        EXPECT_EQ(bench.read(reg), 0U) << reg.name;
    EXPECT_EQ(bench.read(PROTO_VERSION), 0x00010000U);
    EXPECT_EQ(bench.read(CAPABILITIES), 0xfU);
    EXPECT_EQ(bench.read(REQUEST, 255), 0U);
    EXPECT_EQ(bench.read(RESPONSE, 255), 0U);
}

TEST(VgpuRegistersTest, DefaultsAreTheSeeds) {
    Bench bench;
    EXPECT_EQ(bench.read(POOL_ID), uint32_t{'A'});  // val = (uint32_t)'A'
    EXPECT_EQ(bench.read(PRIORITY), 1U);            // else val = 1
}

TEST(VgpuRegistersTest, WithoutExtensionsItIsTheSeeds) {
    Bench bench({.extensions = false});
    EXPECT_EQ(bench.read(CAPABILITIES), 1U);  // 0x00000001, basic request/response
    for (uint64_t offset = 0x840; offset < 0x1000; offset += 4) {
        bench.write_at(offset, 0xffffffff, 4);
        ASSERT_EQ(bench.read_at(offset, 4), 0U) << offset;
    }
    bench.write(INTERRUPT_CTRL, 0xffffffff);
    EXPECT_EQ(bench.read(INTERRUPT_CTRL), 1U);  // val & 0x01
    bench.put_request(bytes_of(16));
    bench.write(DOORBELL, 1);
    bench.queue().answer(0, VGPU_OK, bytes_of(32));
    EXPECT_EQ(bench.state(), State::kDone);
    EXPECT_EQ(bench.read(INTERRUPT_STATUS), 0U);
    EXPECT_TRUE(bench.slot.take().empty());
}

TEST(VgpuRegistersTest, WhatTheGuestMayWrite) {
    Bench bench;
    for (const auto& reg : {STATUS, POOL_ID, PRIORITY, VM_ID, ERROR_CODE, RESPONSE_LEN,
                            PROTO_VERSION, CAPABILITIES, TIMESTAMP_LO, TIMESTAMP_HI, RESPONSE}) {
        const uint32_t before = bench.read(reg);
        bench.write(reg, ~before);
        EXPECT_EQ(bench.read(reg), before) << reg.name;
    }
    bench.write(REQUEST_ID, 0xdeadbeef);
    EXPECT_EQ(bench.read(REQUEST_ID), 0xdeadbeefU);
    bench.write(SCRATCH, 0xcafef00d);
    EXPECT_EQ(bench.read(SCRATCH), 0xcafef00dU);
    bench.write(REQUEST, 0x01020304, 255);
    EXPECT_EQ(bench.read(REQUEST, 255), 0x01020304U);
    bench.write(INTERRUPT_CTRL, 0xffffffff);
    EXPECT_EQ(bench.read(INTERRUPT_CTRL), 3U);
}

// if (val <= 1024) s->request_len = val;
TEST(VgpuRegistersTest, LengthsBeyondTheirBuffersAreIgnored) {
    Bench bench;
    bench.write(REQUEST_LEN, 1024);
    bench.write(REQUEST_LEN, 1025);
    EXPECT_EQ(bench.read(REQUEST_LEN), 1024U);
    bench.write(REQUEST_LEN, 0xffffffff);
    EXPECT_EQ(bench.read(REQUEST_LEN), 1024U);
    bench.write(DMA_REQUEST_LEN, VGPU_MAX_MESSAGE);
    bench.write(DMA_REQUEST_LEN, VGPU_MAX_MESSAGE + 1);
    EXPECT_EQ(bench.read(DMA_REQUEST_LEN), VGPU_MAX_MESSAGE);
    bench.write(DMA_RESPONSE_SIZE, VGPU_MAX_MESSAGE);
    bench.write(DMA_RESPONSE_SIZE, 0xffffffff);
    EXPECT_EQ(bench.read(DMA_RESPONSE_SIZE), VGPU_MAX_MESSAGE);
}

// switch (addr) of the control registers, "if (size == 4 && ..)" of the buffers.
TEST(VgpuAccessSizeTest, ControlRegistersAnswerAtTheirOffsetInEachSize) {
    Bench bench;
    bench.write(SCRATCH, 0x11223344);
    EXPECT_EQ(bench.read_at(SCRATCH.offset, 1), 0x44U);
    EXPECT_EQ(bench.read_at(SCRATCH.offset, 2), 0x3344U);
    EXPECT_EQ(bench.read_at(SCRATCH.offset + 1, 1), 0U);
    EXPECT_EQ(bench.read_at(SCRATCH.offset + 2, 2), 0U);
    bench.write_at(SCRATCH.offset, 0x5a, 1);
    EXPECT_EQ(bench.read(SCRATCH), 0x5aU);  // s->scratch = val
    bench.write_at(SCRATCH.offset + 1, 0x77, 1);
    bench.write_at(SCRATCH.offset + 2, 0x7777, 2);
    EXPECT_EQ(bench.read(SCRATCH), 0x5aU);
    bench.write_at(REQUEST_LEN.offset, 16, 2);
    EXPECT_EQ(bench.read(REQUEST_LEN), 16U);
}

TEST(VgpuAccessSizeTest, EightBytesAreTwoWords) {
    Bench bench;
    bench.write_at(REQUEST.offset, 0x1122334455667788, 8);
    EXPECT_EQ(bench.read(REQUEST, 0), 0x55667788U);
    EXPECT_EQ(bench.read(REQUEST, 1), 0x11223344U);
    EXPECT_EQ(bench.read_at(REQUEST.offset, 8), 0x1122334455667788U);
    bench.write_at(DMA_REQUEST_LO.offset, 0x0102030405060708, 8);
    EXPECT_EQ(bench.read(DMA_REQUEST_HI), 0x01020304U);
    bench.write_at(REQUEST_LEN.offset - 4, 0x10'0000'0000, 8);  // not aligned to its size
    EXPECT_EQ(bench.read(REQUEST_LEN), 0U);
}

TEST(VgpuAccessSizeTest, BuffersTakeWordsOnly) {
    Bench bench;
    bench.write(REQUEST, 0x11223344);
    for (const size_t size : {1U, 2U}) {
        for (uint64_t at = 0; at < 4; at += size) {
            bench.write_at(REQUEST.offset + at, 0xffff, size);
            EXPECT_EQ(bench.read_at(REQUEST.offset + at, size), 0U) << size << " at " << at;
            EXPECT_EQ(bench.read_at(RESPONSE.offset + at, size), 0U);
        }
    }
    EXPECT_EQ(bench.read(REQUEST), 0x11223344U);
    for (uint64_t at = 1; at < 4; ++at) {
        bench.write_at(REQUEST.offset + at, 0xffffffff, 4);
        EXPECT_EQ(bench.read_at(REQUEST.offset + at, 4), 0U) << at;
    }
    EXPECT_EQ(bench.read(REQUEST), 0x11223344U);
}

TEST(VgpuAccessSizeTest, NoAccessIsTooOddOrTooLong) {
    Bench bench;
    bench.write(SCRATCH, 0x11223344);
    std::array<uint8_t, 4096> data{};
    for (const size_t size : {3U, 5U, 6U, 7U, 9U, 64U, 4096U}) {
        for (uint64_t at = 0; at + size <= 4096; at += 61) {
            bench.device->read_bar(0, at, std::span(data).first(size));
            bench.device->write_bar(0, at, std::span(data).first(size));
        }
    }
    bench.write(SCRATCH, 0x11223344);
    bench.device->read_bar(0, 0, data);
    EXPECT_EQ(data[SCRATCH.offset + 3], 0x11);
    EXPECT_EQ(bench.read_at(0x900, 4, kMsixBar), 0U);  // neither table nor PBA
}

TEST(VgpuOptionsTest, BadOptionsAreRefused) {
    const auto refused = [](void (*change)(Options&)) {
        Options options{.name = "vgpu0"};
        change(options);
        EXPECT_FALSE(VgpuStub::create(std::move(options)).has_value());
    };
    refused([](Options& o) { o.identity.pool_id = 'a'; });
    refused([](Options& o) { o.identity.pool_id = '\0'; });
    refused([](Options& o) { o.identity.priority = 3; });
    refused([](Options& o) { o.length_error = VGPU_ERROR_TIMEOUT; });
    refused([](Options& o) { o.class_code = 0x1000000; });
    refused([](Options& o) { o.vendor_id = 0xffff; });
    refused([](Options& o) { o.vfs.resize(65, {.name = "vf"}); });
    refused([](Options& o) { o.vfs.push_back({.name = "vf", .identity = {.priority = 3}}); });
}

}  // namespace
}  // namespace mimic::vgpu_stub
