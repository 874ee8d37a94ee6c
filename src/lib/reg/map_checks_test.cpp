// SPDX-License-Identifier: Apache-2.0
// Each rule of map_checks.h, broken once. Most tests of this file run in the compiler.
#include "reg/map_checks.h"

#include <gtest/gtest.h>

#include "reg/map.h"

namespace mimic::reg {
namespace {

constexpr Register good() {
    return {.name = "R", .offset = 8, .width = 32, .doc = "Text.", .spec = "S 1"};
}

/// What check_register() says of good() after `change`.
template <typename Change>
constexpr Problem after(Change change) {
    Register reg = good();
    change(reg);
    return check_register(reg);
}

static_assert(check_register(good()) == Problem::kNone);
static_assert(after([](Register& r) { r.name = ""; }) == Problem::kName);
static_assert(after([](Register& r) { r.name = "lower"; }) == Problem::kName);
static_assert(after([](Register& r) { r.doc = ""; }) == Problem::kProse);
static_assert(after([](Register& r) { r.spec = ""; }) == Problem::kProse);
static_assert(after([](Register& r) { r.width = 24; }) == Problem::kWidth);
static_assert(after([](Register& r) { r.width = 0; }) == Problem::kWidth);
static_assert(after([](Register& r) { r.offset = 6; }) == Problem::kMisaligned);
static_assert(after([](Register& r) { r.count = 2, r.stride = 6; }) == Problem::kMisaligned);
static_assert(after([](Register& r) { r.count = 0; }) == Problem::kArray);
static_assert(after([](Register& r) { r.count = 2; }) == Problem::kArray);
static_assert(after([](Register& r) { r.stride = 4; }) == Problem::kArray);
static_assert(after([](Register& r) { r.count = 2, r.stride = 0x80000; }) == Problem::kTooLarge);
static_assert(after([](Register& r) { r.hooks = kRead; }) == Problem::kHooks);
static_assert(after([](Register& r) { r.hooks = kWrite; }) == Problem::kHooks);

constexpr Problem of(const Field& field) {
    return check_field(good(), field);
}

static_assert(of({"F", 31, 0, Access::kRw, 0xffffffff, "Text."}) == Problem::kNone);
static_assert(of({"F", 0, 0, Access::kRo, 0, "Text.", kPerDevice}) == Problem::kNone);
static_assert(of({"f", 0, 0, Access::kRw, 0, "Text."}) == Problem::kName);
static_assert(of({"F", 0, 0, Access::kRw, 0, ""}) == Problem::kProse);
static_assert(of({"F", 0, 1, Access::kRw, 0, "Text."}) == Problem::kFieldRange);
static_assert(of({"F", 32, 0, Access::kRw, 0, "Text."}) == Problem::kFieldRange);
static_assert(of({"F", 3, 0, Access::kRw, 16, "Text."}) == Problem::kFieldReset);
static_assert(of({"F", 3, 0, Access::kNone, 1, "Text."}) == Problem::kFieldReset);
static_assert(of({"F", 3, 0, Access::kRw, 0, "Text.", kPerDevice}) == Problem::kFieldPerDevice);
static_assert(of({"F", 3, 0, Access::kRo, 1, "Text.", kPerDevice}) == Problem::kFieldPerDevice);
static_assert(Field{.hi = 63, .lo = 0}.mask() == ~uint64_t{0});
static_assert(Field{.hi = 63, .lo = 63}.mask() == uint64_t{1} << 63);

inline constexpr Register TWICE{
    .name = "TWICE",
    .doc = "Text.",
    .spec = "S 1",
    .fields = {{"A", 0, 0, Access::kRw, 0, "Text."}, {"A", 1, 1, Access::kRw, 0, "Text."}}};
inline constexpr Register SHARED{
    .name = "SHARED",
    .doc = "Text.",
    .spec = "S 1",
    .fields = {{"A", 1, 0, Access::kRw, 0, "Text."}, {"B", 2, 1, Access::kRw, 0, "Text."}}};
static_assert(check_register(TWICE) == Problem::kDuplicateName);
static_assert(check_register(SHARED) == Problem::kFieldOverlap);

inline constexpr Register FIRST{.name = "A", .offset = 0, .doc = "Text.", .spec = "S 1"};
inline constexpr Register FIRST64{
    .name = "A8", .offset = 0, .width = 64, .doc = "Text.", .spec = "S 1"};
inline constexpr Register B{.name = "B", .offset = 4, .doc = "Text.", .spec = "S 1"};
inline constexpr Register B2{.name = "B", .offset = 8, .width = 16, .doc = "Text.", .spec = "S 1"};
inline constexpr Register FAR{.name = "FAR", .offset = 64, .doc = "Text.", .spec = "S 1"};
inline constexpr Register TOO_FAR{
    .name = "TOO_FAR", .offset = kMaxExtentBytes, .doc = "Text.", .spec = "S 1"};
inline constexpr MapOptions kOptions{
    .name = "m", .doc = "Text.", .spec = "S", .bar_size_bytes = 64};

static_assert(make_map<FIRST, B>(kOptions).valid());
static_assert(make_map<B, FIRST>(kOptions).problem == Problem::kNotSorted);
static_assert(make_map<FIRST64, B>(kOptions).problem == Problem::kOverlap);
static_assert(make_map<FIRST, B, B2>(kOptions).problem == Problem::kDuplicateName);
static_assert(make_map<FIRST, FAR>(kOptions).problem == Problem::kOutsideBar);
static_assert(make_map<FIRST, TOO_FAR>(kOptions).problem == Problem::kTooLarge);
static_assert(make_map<FIRST>({.name = "m", .doc = "Text.", .spec = "S", .bar_size_bytes = 65})
                  .problem == Problem::kMapFacts);

inline constexpr Block EMPTY{.name = "Q", .offsets = {0}, .doc = "Text.", .spec = "S 1"};
inline constexpr Block NOWHERE{.name = "Q", .doc = "Text.", .spec = "S 1", .registers = {&FIRST}};
inline constexpr Block CROWDED{.name = "Q",
                               .offsets = {0},
                               .count = 2,
                               .stride = 4,
                               .doc = "Text.",
                               .spec = "S 1",
                               .registers = {&FIRST, &B}};
inline constexpr Block CROOKED{
    .name = "Q", .offsets = {2}, .doc = "Text.", .spec = "S 1", .registers = {&FIRST}};
static_assert(make_map<EMPTY, FAR>(kOptions).problem == Problem::kBlock);
static_assert(make_map<NOWHERE>(kOptions).problem == Problem::kBlock);
static_assert(make_map<CROWDED>(kOptions).problem == Problem::kOverlap);
static_assert(make_map<CROOKED>(kOptions).problem == Problem::kMisaligned);

TEST(MapChecksTest, EveryProblemHasASentence) {
    for (unsigned p = 0; p <= static_cast<unsigned>(Problem::kTooLarge); ++p) {
        EXPECT_FALSE(describe(static_cast<Problem>(p)).empty());
        EXPECT_NE(describe(static_cast<Problem>(p)), "unknown problem");
    }
}

}  // namespace
}  // namespace mimic::reg
