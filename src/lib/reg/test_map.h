// SPDX-License-Identifier: Apache-2.0
// A map of a device that does not exist, with every shape of register: for the tests of this
// folder.
#pragma once

#include "reg/map.h"

namespace mimic::reg::test {

inline constexpr const char* kSpec = "test_map.h";

inline constexpr Register CTRL{.name = "CTRL",
                               .offset = 0x00,
                               .doc = "Every access kind.",
                               .spec = kSpec,
                               .hooks = kWrite,
                               .fields = {{"RW", 7, 0, Access::kRw, 0xa5, "Read and write."},
                                          {"RO", 11, 8, Access::kRo, 3, "Read only."},
                                          {"WO", 15, 12, Access::kWo, 0, "Write only."},
                                          {"W1C", 19, 16, Access::kW1c, 0xf, "Write one to clear."},
                                          {"W1S", 23, 20, Access::kW1s, 0, "Write one to set."},
                                          {"RC", 27, 24, Access::kRc, 6, "Read to clear."},
                                          {"RSVD", 31, 28, Access::kNone, 0, "Reserved."}}};

inline constexpr Register TIMER{.name = "TIMER",
                                .offset = 0x04,
                                .doc = "Made by the device when read.",
                                .spec = kSpec,
                                .hooks = kRead,
                                .fields = {{"TICKS", 23, 0, Access::kRo, 0, "Time."}}};

inline constexpr Register ADDRESS{
    .name = "ADDRESS",
    .offset = 0x08,
    .width = 64,
    .doc = "64 bits with a hook.",
    .spec = kSpec,
    .hooks = kWrite,
    .fields = {{"VALUE", 63, 0, Access::kRw, 0x1122334455667788, "An address."}}};

inline constexpr Register SERIAL{
    .name = "SERIAL",
    .offset = 0x10,
    .count = 4,
    .stride = 4,
    .doc = "Array that the device fills.",
    .spec = kSpec,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Four bytes of it.", kPerDevice}}};

inline constexpr Register PORT{.name = "PORT",
                               .offset = 0x22,
                               .width = 16,
                               .doc = "16 bits.",
                               .spec = kSpec,
                               .fields = {{"VALUE", 15, 0, Access::kRw, 0, "A port."}}};

inline constexpr Register MODE{.name = "MODE",
                               .offset = 0x24,
                               .width = 8,
                               .doc = "8 bits.",
                               .spec = kSpec,
                               .fields = {{"VALUE", 5, 2, Access::kRw, 9, "A mode."}}};

inline constexpr Register BASE{.name = "BASE",
                               .offset = 0x00,
                               .width = 64,
                               .doc = "Ring address.",
                               .spec = kSpec,
                               .fields = {{"ADDR", 63, 12, Access::kRw, 0, "Page number."}}};

inline constexpr Register DOORBELL{.name = "DOORBELL",
                                   .offset = 0x08,
                                   .count = 2,
                                   .stride = 4,
                                   .doc = "Rings.",
                                   .spec = kSpec,
                                   .hooks = kWrite,
                                   .fields = {{"TAIL", 15, 0, Access::kWo, 0, "New tail."}}};

inline constexpr Block QUEUE{.name = "QUEUE",
                             .offsets = {0x100, 0x400},
                             .count = 3,
                             .stride = 0x20,
                             .doc = "Queue pairs.",
                             .spec = kSpec,
                             .registers = {&BASE, &DOORBELL}};

constexpr MapOptions options(Narrow narrow, Wide wide, Unmapped unmapped) {
    return {.name = "test",
            .doc = "Test registers.",
            .spec = kSpec,
            .bar_size_bytes = 4096,
            .narrow = narrow,
            .wide = wide,
            .unmapped = unmapped};
}

template <Narrow NarrowPolicy, Wide WidePolicy, Unmapped UnmappedPolicy>
inline constexpr auto kMapOf = make_map<CTRL, TIMER, ADDRESS, SERIAL, PORT, MODE, QUEUE>(
    options(NarrowPolicy, WidePolicy, UnmappedPolicy));

inline constexpr auto kNatural =
    kMapOf<Narrow::kNaturalOnly, Wide::kCommitOnHigh, Unmapped::kZeros>;
inline constexpr auto kMerge = kMapOf<Narrow::kByteMerge, Wide::kHalves, Unmapped::kOnes>;
inline constexpr auto kWhole = kMapOf<Narrow::kNaturalOnly, Wide::kWholeOnly, Unmapped::kOnes>;
static_assert(kNatural.valid() && kMerge.valid() && kWhole.valid());

}  // namespace mimic::reg::test
