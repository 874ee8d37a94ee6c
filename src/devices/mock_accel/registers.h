// SPDX-License-Identifier: Apache-2.0
// Registers of mock-accel, BAR0. Offsets below 0x30 are those of seed 001 ("Device Registers
// (BAR0)"); the rest is ours. tools/regdump makes README.md's table and
// kernel/mock-accel/mock_accel_regs.h from this file.
#pragma once

#include "reg/map.h"

namespace mimic::mock_accel {

using reg::Access;
using reg::kPerDevice;
using reg::Register;

inline constexpr uint64_t kBarSizeBytes = 4096;

// MSI-X structures in BAR0, behind the registers. Room for 64 vectors; one is used.
inline constexpr uint32_t kMsixTableOffset = 0x800;
inline constexpr uint32_t kMsixPbaOffset = 0xc00;

inline constexpr uint32_t kDeviceIdValue = 0x4d4f434b;  // "MOCK", most significant byte first
inline constexpr uint32_t kNoVfIndex = 0xffffffff;

inline constexpr const char* kSeed = "seed 001, Device Registers";
inline constexpr const char* kOwn = "README, Seed 001 differences";

inline constexpr Register DEVICE_ID{
    .name = "DEVICE_ID",
    .offset = 0x000,
    .doc = "Always 0x4D4F434B (\"MOCK\").",
    .spec = kSeed,
    .fields = {{"VALUE", 31, 0, Access::kRo, kDeviceIdValue, "The device's magic number."}}};

inline constexpr Register REVISION{
    .name = "REVISION",
    .offset = 0x004,
    .doc = "Hardware revision; 0x00010000 is 1.0.",
    .spec = kSeed,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0x00010000, "Major in the upper half."}}};

inline constexpr Register UUID{
    .name = "UUID",
    .offset = 0x008,
    .count = 4,
    .stride = 4,
    .doc = "16 bytes of the UUID in the order of its printed form, or of LABEL's beginning.",
    .spec = kSeed,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Four bytes in memory order.", kPerDevice}}};

inline constexpr Register MEMORY_SIZE{
    .name = "MEMORY_SIZE",
    .offset = 0x020,
    .width = 64,
    .doc = "Device memory in bytes.",
    .spec = kSeed,
    .fields = {{"VALUE", 63, 0, Access::kRo, 0, "Bytes.", kPerDevice}}};

inline constexpr Register CAPABILITIES{
    .name = "CAPABILITIES",
    .offset = 0x028,
    .doc = "Feature flags.",
    .spec = kSeed,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Flags.", kPerDevice}}};

inline constexpr Register STATUS{
    .name = "STATUS",
    .offset = 0x02c,
    .doc = "Anything the driver wants to note; a change raises MSI-X vector 0.",
    .spec = kSeed,
    .hooks = reg::kWrite,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "No bit has a meaning to the device."}}};

inline constexpr Register FW_VERSION{
    .name = "FW_VERSION",
    .offset = 0x030,
    .doc = "Firmware version; 0x00010000 is 1.0.",
    .spec = kOwn,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0x00010000, "Major in the upper half."}}};

inline constexpr Register TOTAL_VFS{
    .name = "TOTAL_VFS",
    .offset = 0x034,
    .doc = "PF: static VFs in this slot, 0 to 7. VF: 0.",
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
        "PF: VFs that the driver enabled; more than TOTAL_VFS is ignored. VF: 0, ignores writes.",
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

inline constexpr auto kMap = reg::make_map<DEVICE_ID, REVISION, UUID, MEMORY_SIZE, CAPABILITIES,
                                           STATUS, FW_VERSION, TOTAL_VFS, VF_INDEX, NUM_VFS, LABEL>(
    {.name = "mock_accel",
     .doc = "Registers of mock-accel.",
     .spec = "seed 001, extended as \"Seed 001 differences\" says",
     .bar = 0,
     .bar_size_bytes = kBarSizeBytes,
     .narrow = reg::Narrow::kByteMerge,
     .wide = reg::Wide::kHalves,
     .unmapped = reg::Unmapped::kZeros});
static_assert(kMap.valid());
static_assert(kMap.view().extent() <= kMsixTableOffset);

}  // namespace mimic::mock_accel
