// SPDX-License-Identifier: Apache-2.0
// Registers of mock-accel, BAR0. Offsets below 0x30 are those of mock-device ("Device Registers
// (BAR0)"); the rest is ours. tools/regdump makes README.md's table and
// kernel/mock-accel/mock_accel_regs.h from this file.
#pragma once

#include "reg/map.h"

namespace mimic::mock_accel {

using reg::Access;
using reg::kPerDevice;
using reg::Register;

inline constexpr uint64_t kBarSizeBytes = 4096;

// MSI-X structures in BAR0, behind the registers. Room for 64 vectors; one and
// one a ring are used.
inline constexpr uint32_t kMsixTableOffset = 0x800;
inline constexpr uint32_t kMsixPbaOffset = 0xc00;

inline constexpr uint32_t kDeviceIdValue = 0x4d4f434b;  // "MOCK", most significant byte first
inline constexpr uint32_t kRevision = 0x00010000;       // 1.0
inline constexpr uint32_t kFwVersion = 0x00010000;      // 1.0
inline constexpr uint32_t kNoVfIndex = 0xffffffff;

inline constexpr const char* kMockDevice = "mock-device, Device Registers";
inline constexpr const char* kOwn = "README, Differences from mock-device";

inline constexpr Register DEVICE_ID{
    .name = "DEVICE_ID",
    .offset = 0x000,
    .doc = "Always 0x4D4F434B (\"MOCK\").",
    .spec = kMockDevice,
    .fields = {{"VALUE", 31, 0, Access::kRo, kDeviceIdValue, "The device's magic number."}}};

inline constexpr Register REVISION{
    .name = "REVISION",
    .offset = 0x004,
    .doc = "Hardware revision; 0x00010000 is 1.0.",
    .spec = kMockDevice,
    .fields = {{"VALUE", 31, 0, Access::kRo, kRevision, "Major in the upper half."}}};

inline constexpr Register UUID{
    .name = "UUID",
    .offset = 0x008,
    .count = 4,
    .stride = 4,
    .doc = "16 bytes of the UUID in the order of its printed form, or of LABEL's beginning.",
    .spec = kMockDevice,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Four bytes in memory order.", kPerDevice}}};

inline constexpr Register MEMORY_SIZE{
    .name = "MEMORY_SIZE",
    .offset = 0x020,
    .width = 64,
    .doc = "Device memory in bytes.",
    .spec = kMockDevice,
    .fields = {{"VALUE", 63, 0, Access::kRo, 0, "Bytes.", kPerDevice}}};

inline constexpr Register CAPABILITIES{
    .name = "CAPABILITIES",
    .offset = 0x028,
    .doc = "Feature flags.",
    .spec = kMockDevice,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Flags.", kPerDevice}}};

inline constexpr Register STATUS{
    .name = "STATUS",
    .offset = 0x02c,
    .doc = "Anything the driver wants to note; a change raises MSI-X vector 0.",
    .spec = kMockDevice,
    .hooks = reg::kWrite,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "No bit has a meaning to the device."}}};

inline constexpr Register FW_VERSION{
    .name = "FW_VERSION",
    .offset = 0x030,
    .doc = "Firmware version; 0x00010000 is 1.0.",
    .spec = kOwn,
    .fields = {{"VALUE", 31, 0, Access::kRo, kFwVersion, "Major in the upper half."}}};

inline constexpr Register TOTAL_VFS{
    .name = "TOTAL_VFS",
    .offset = 0x034,
    .doc = "PF: its VFs, static ones in this slot (0 to 7) or those of SR-IOV (1 to 64). VF: 0.",
    .spec = kOwn,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Count.", kPerDevice}}};

inline constexpr Register VF_INDEX{
    .name = "VF_INDEX",
    .offset = 0x038,
    .doc = "VF: index in its PF, from 0. PF: 0xFFFFFFFF.",
    .spec = kOwn,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Index.", kPerDevice}}};

inline constexpr Register NUM_VFS{
    .name = "NUM_VFS",
    .offset = 0x03c,
    .doc =
        "PF: VFs that the driver enabled; more than TOTAL_VFS is ignored. With SR-IOV: VFs that "
        "exist, writes are ignored. VF: 0, ignores writes.",
    .spec = kOwn,
    .hooks = reg::kWrite,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "Count."}}};

inline constexpr Register LABEL{
    .name = "LABEL",
    .offset = 0x040,
    .count = 16,
    .stride = 4,
    .doc = "64 bytes of NUL-padded ASCII: an identifier that is no UUID; else zeros.",
    .spec = kOwn,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Four bytes in memory order.", kPerDevice}}};

// --- DMA engine. README.md, "DMA engine", says how they work together. -----------------------

inline constexpr uint32_t kMaxRings = 8;
inline constexpr uint32_t kMaxRingOrder = 16;  // 65,536 entries
inline constexpr uint32_t kRingStride = 0x40;
inline constexpr const char* kEngine = "README, DMA engine";

inline constexpr Register RING_COUNT{
    .name = "RING_COUNT",
    .offset = 0x080,
    .doc =
        "Rings of the DMA engine, 0 to 8; registers of further rings read zero and ignore "
        "writes.",
    .spec = kEngine,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Count.", kPerDevice}}};

inline constexpr Register ENGINE_CAPS{
    .name = "ENGINE_CAPS",
    .offset = 0x084,
    .doc = "What the DMA engine can do.",
    .spec = kEngine,
    .fields = {
        {"MAX_RING_ORDER", 7, 0, Access::kRo, kMaxRingOrder,
         "Largest RING_ORDER: log2 of descriptors in a ring."},
        {"OPCODES", 15, 8, Access::kRo, 0x07, "Bit n: opcode n exists. 0 NOP, 1 COPY, 2 FILL."},
        {"DEVICE_MEMORY", 16, 16, Access::kRo, 0, "BAR2 is device memory.", kPerDevice}}};

inline constexpr Register LOCAL_MEMORY_SIZE{
    .name = "LOCAL_MEMORY_SIZE",
    .offset = 0x088,
    .width = 64,
    .doc = "Device memory that descriptors and BAR2 reach, in bytes; 0: no BAR2.",
    .spec = kEngine,
    .fields = {{"VALUE", 63, 0, Access::kRo, 0, "Bytes.", kPerDevice}}};

inline constexpr Register COUNTERS_CONTROL{
    .name = "COUNTERS_CONTROL",
    .offset = 0x090,
    .doc = "Acts on the counters of the DMA engine. Reads zero.",
    .spec = kEngine,
    .hooks = reg::kWrite,
    .fields = {{"CLEAR", 0, 0, Access::kWo, 0, "Writing one sets all counters to zero."}}};

inline constexpr Register DESCRIPTORS{.name = "DESCRIPTORS",
                                      .offset = 0x0a0,
                                      .width = 64,
                                      .doc = "Descriptors completed, failed ones included.",
                                      .spec = kEngine,
                                      .fields = {{"VALUE", 63, 0, Access::kRo, 0, "Count."}}};

inline constexpr Register BYTES_READ{
    .name = "BYTES_READ",
    .offset = 0x0a8,
    .width = 64,
    .doc = "Bytes that COPY has read; those of rings do not count.",
    .spec = kEngine,
    .fields = {{"VALUE", 63, 0, Access::kRo, 0, "Bytes."}}};

inline constexpr Register BYTES_WRITTEN{
    .name = "BYTES_WRITTEN",
    .offset = 0x0b0,
    .width = 64,
    .doc = "Bytes that COPY and FILL have written; those of rings do not count.",
    .spec = kEngine,
    .fields = {{"VALUE", 63, 0, Access::kRo, 0, "Bytes."}}};

inline constexpr Register ERRORS{.name = "ERRORS",
                                 .offset = 0x0b8,
                                 .width = 64,
                                 .doc = "Descriptors that failed, and rings that halted.",
                                 .spec = kEngine,
                                 .fields = {{"VALUE", 63, 0, Access::kRo, 0, "Count."}}};

inline constexpr Register DOORBELLS{.name = "DOORBELLS",
                                    .offset = 0x0c0,
                                    .width = 64,
                                    .doc = "Accepted writes of RING_TAIL.",
                                    .spec = kEngine,
                                    .fields = {{"VALUE", 63, 0, Access::kRo, 0, "Count."}}};

inline constexpr Register BAD_DOORBELLS{
    .name = "BAD_DOORBELLS",
    .offset = 0x0c8,
    .width = 64,
    .doc = "Ignored writes of RING_TAIL: out of range, or the ring was not enabled.",
    .spec = kEngine,
    .fields = {{"VALUE", 63, 0, Access::kRo, 0, "Count."}}};

inline constexpr Register INTERRUPTS{
    .name = "INTERRUPTS",
    .offset = 0x0d0,
    .width = 64,
    .doc = "Interrupts that rings asked for, delivered, masked or off.",
    .spec = kEngine,
    .fields = {{"VALUE", 63, 0, Access::kRo, 0, "Count."}}};

inline constexpr Register RING_BASE{
    .name = "RING_BASE",
    .offset = 0x100,
    .width = 64,
    .count = kMaxRings,
    .stride = kRingStride,
    .doc = "Bus address of the descriptors. Writes are ignored while ENABLE is set.",
    .spec = kEngine,
    .hooks = reg::kWrite,
    .fields = {{"ADDRESS", 63, 6, Access::kRw, 0, "The address; its low six bits are zero."}}};

inline constexpr Register COMPLETION_BASE{
    .name = "COMPLETION_BASE",
    .offset = 0x108,
    .width = 64,
    .count = kMaxRings,
    .stride = kRingStride,
    .doc = "Bus address of the completions. Writes are ignored while ENABLE is set.",
    .spec = kEngine,
    .hooks = reg::kWrite,
    .fields = {{"ADDRESS", 63, 6, Access::kRw, 0, "The address; its low six bits are zero."}}};

inline constexpr Register RING_ORDER{
    .name = "RING_ORDER",
    .offset = 0x110,
    .count = kMaxRings,
    .stride = kRingStride,
    .doc = "Size of both rings. Writes are ignored while ENABLE is set.",
    .spec = kEngine,
    .hooks = reg::kWrite,
    .fields = {{"ORDER", 4, 0, Access::kRw, 0, "log2 of entries; more than 16 becomes 16."}}};

inline constexpr Register RING_CONTROL{
    .name = "RING_CONTROL",
    .offset = 0x114,
    .count = kMaxRings,
    .stride = kRingStride,
    .doc = "Starts and stops the ring.",
    .spec = kEngine,
    .hooks = reg::kWrite,
    .fields = {{"ENABLE", 0, 0, Access::kRw, 0,
                "Setting it zeroes RING_HEAD, RING_TAIL and RING_STATUS; clearing it stops at "
                "once."},
               {"INTERRUPT_ENABLE", 1, 1, Access::kRw, 0, "Raise MSI-X vector 1 + i."}}};

inline constexpr Register RING_TAIL{
    .name = "RING_TAIL",
    .offset = 0x118,
    .count = kMaxRings,
    .stride = kRingStride,
    .doc = "Doorbell: producer index, counting on through the ring's end.",
    .spec = kEngine,
    .hooks = reg::kWrite,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "Index, modulo 2^32."}}};

inline constexpr Register RING_HEAD{
    .name = "RING_HEAD",
    .offset = 0x11c,
    .count = kMaxRings,
    .stride = kRingStride,
    .doc = "Consumer index, counting on through the ring's end.",
    .spec = kEngine,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Index, modulo 2^32."}}};

inline constexpr Register RING_STATUS{
    .name = "RING_STATUS",
    .offset = 0x120,
    .count = kMaxRings,
    .stride = kRingStride,
    .doc = "What went wrong since the ring was enabled.",
    .spec = kEngine,
    .fields = {{"HALTED", 0, 0, Access::kRo, 0,
                "Descriptors or completions could not be reached; clearing ENABLE clears it."},
               {"ERROR", 8, 8, Access::kW1c, 0, "A descriptor failed."},
               {"LAST_ERROR", 23, 16, Access::kRo, 0, "Status code of the last one that failed."}}};

inline constexpr auto kMap = reg::make_map<
    DEVICE_ID, REVISION, UUID, MEMORY_SIZE, CAPABILITIES, STATUS, FW_VERSION, TOTAL_VFS, VF_INDEX,
    NUM_VFS, LABEL, RING_COUNT, ENGINE_CAPS, LOCAL_MEMORY_SIZE, COUNTERS_CONTROL, DESCRIPTORS,
    BYTES_READ, BYTES_WRITTEN, ERRORS, DOORBELLS, BAD_DOORBELLS, INTERRUPTS, RING_BASE,
    COMPLETION_BASE, RING_ORDER, RING_CONTROL, RING_TAIL, RING_HEAD, RING_STATUS>(
    {.name = "mock_accel",
     .doc = "Registers of mock-accel.",
     .spec = "mock-device, extended as \"Differences from mock-device\" and \"DMA engine\" say",
     .bar = 0,
     .bar_size_bytes = kBarSizeBytes,
     .narrow = reg::Narrow::kByteMerge,
     .wide = reg::Wide::kHalves,
     .unmapped = reg::Unmapped::kZeros});
static_assert(kMap.valid());
static_assert(kMap.view().extent() <= kMsixTableOffset);

}  // namespace mimic::mock_accel
