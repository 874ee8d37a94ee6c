// SPDX-License-Identifier: Apache-2.0
// Mistakes in a register table and in its use that must not compile. Not linked into any program:
// compile_fail_test.cmake compiles it once for each value of MIMIC_CASE and looks for the message
// named there.
#include "reg/bank.h"

using namespace mimic::reg;

#ifndef MIMIC_CASE
#define MIMIC_CASE 0  // no mistake
#endif

inline constexpr Register CTRL{
    .name = "CTRL",
    .offset = MIMIC_CASE == 1 ? 0x02 : 0x00,
    .doc = "Control.",
    .spec = "none",
    .hooks = kWrite,
    .fields = {{"ENABLE", 0, 0, Access::kRw, MIMIC_CASE == 7 ? 2 : 0, "Enables."},
               {"MODE", 4, MIMIC_CASE == 3 ? 0 : 1, Access::kRw, 0, "Mode."}}};
inline constexpr Register STATUS{.name = "STATUS",
                                 .offset = MIMIC_CASE == 2 ? 0x00 : 0x04,
                                 .doc = MIMIC_CASE == 8 ? "" : "Status.",
                                 .spec = "none",
                                 .fields = {{"BUSY", 0, 0, Access::kRo, 0, "Busy."}}};
inline constexpr Register WINDOW{.name = "WINDOW",
                                 .offset = 0x08,
                                 .count = MIMIC_CASE == 9 ? 2 : 1,
                                 .stride = MIMIC_CASE == 9 ? 0x1000 : 0,
                                 .doc = "Window.",
                                 .spec = "none",
                                 .fields = {{"VALUE", 31, 0, Access::kRw, 0, "Any."}}};
inline constexpr Register FOREIGN{.name = "FOREIGN",
                                  .offset = 0x00,
                                  .doc = "Of another map.",
                                  .spec = "none",
                                  .fields = {{"VALUE", 31, 0, Access::kRw, 0, "Any."}}};
#if MIMIC_CASE == 10
inline constexpr auto kMap = make_map<STATUS, CTRL, WINDOW>(
#else
inline constexpr auto kMap = make_map<CTRL, STATUS, WINDOW>(
#endif
    {.name = "case", .doc = "Case.", .spec = "none", .bar_size_bytes = 4096});
static_assert(kMap.problem != Problem::kMisaligned, "misaligned");
static_assert(kMap.problem != Problem::kOverlap && kMap.problem != Problem::kNotSorted, "order");
static_assert(kMap.problem != Problem::kFieldOverlap, "field overlap");
static_assert(kMap.problem != Problem::kFieldReset, "field reset");
static_assert(kMap.problem != Problem::kProse, "prose");
static_assert(kMap.problem != Problem::kOutsideBar && kMap.problem != Problem::kTooLarge, "bar");

void use(Bank<kMap>& bank) {
    bank.on_write<CTRL>([](const WriteEvent&) {});
    (void)bank.get<CTRL, "ENABLE">();
#if MIMIC_CASE == 4
    (void)bank.get<CTRL, "ENABEL">();
#elif MIMIC_CASE == 5
    bank.on_write<STATUS>([](const WriteEvent&) {});
#elif MIMIC_CASE == 6
        (void)bank.get<FOREIGN, "VALUE">();
#elif MIMIC_CASE == 11
        bank.on_read<CTRL>([](const ReadEvent& event) { return event.stored; });
#endif
}
