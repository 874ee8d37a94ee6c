// SPDX-License-Identifier: Apache-2.0
// Registers of the adder, the toy device of docs/add-a-device.md.
#pragma once

#include "reg/map.h"

namespace adder {

using mimic::reg::Access;
using mimic::reg::Register;

inline constexpr const char* kSpec = "docs/add-a-device.md";
inline constexpr uint32_t kIdValue = 0x41444452;  // "ADDR"

inline constexpr Register ID{
    .name = "ID",
    .offset = 0x00,
    .doc = "Always 0x41444452 (\"ADDR\").",
    .spec = kSpec,
    .fields = {{"VALUE", 31, 0, Access::kRo, kIdValue, "The device's magic number."}}};

inline constexpr Register COUNT{
    .name = "COUNT",
    .offset = 0x04,
    .doc = "How many 32-bit words to add.",
    .spec = kSpec,
    .fields = {{"VALUE", 15, 0, Access::kRw, 0, "Words, 1 to 1024; others are an error."}}};

inline constexpr Register SOURCE{
    .name = "SOURCE",
    .offset = 0x08,
    .width = 64,
    .doc = "Where the words are in guest memory.",
    .spec = kSpec,
    .fields = {{"ADDRESS", 63, 0, Access::kRw, 0, "Bus address, in bytes."}}};

inline constexpr Register CTRL{
    .name = "CTRL",
    .offset = 0x10,
    .doc = "Writing START begins an addition.",
    .spec = kSpec,
    .hooks = mimic::reg::kWrite,
    .fields = {{"START", 0, 0, Access::kWo, 0, "Begins an addition; ignored while BUSY."}}};

inline constexpr Register STATUS{
    .name = "STATUS",
    .offset = 0x14,
    .doc = "How the last addition went.",
    .spec = kSpec,
    .fields = {{"BUSY", 0, 0, Access::kRo, 0, "An addition is under way."},
               {"DONE", 1, 1, Access::kW1c, 0, "One has ended."},
               {"ERROR", 2, 2, Access::kW1c, 0, "It failed: bad COUNT or SOURCE."}}};

inline constexpr Register SUM{
    .name = "SUM",
    .offset = 0x18,
    .width = 64,
    .doc = "Result of the last addition that did not fail.",
    .spec = kSpec,
    .fields = {{"VALUE", 63, 0, Access::kRo, 0, "The sum, modulo 2^64."}}};

inline constexpr uint64_t kBarSizeBytes = 4096;
inline constexpr uint32_t kMsixTableOffset = 0x800;
inline constexpr uint32_t kMsixPbaOffset = 0xc00;

inline constexpr auto kMap = mimic::reg::make_map<ID, COUNT, SOURCE, CTRL, STATUS, SUM>(
    {.name = "adder",
     .doc = "Registers of the adder.",
     .spec = kSpec,
     .bar = 0,
     .bar_size_bytes = kBarSizeBytes,
     .narrow = mimic::reg::Narrow::kByteMerge,
     .wide = mimic::reg::Wide::kHalves,
     .unmapped = mimic::reg::Unmapped::kZeros});
static_assert(kMap.valid());

}  // namespace adder
