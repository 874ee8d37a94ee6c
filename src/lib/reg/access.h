// SPDX-License-Identifier: Apache-2.0
// Access: what a guest's read and write do to the bits of a field. A closed set; kAccessKinds is
// the only place that says what a kind means: decoding masks, the generated documents and the tests
// are all derived from it. The kinds are those of SystemRDL 2.0, section 9.6, that this project has
// met.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace mimic::reg {

enum class Access : uint8_t {
    kNone,  // reserved
    kRo,
    kRw,
    kWo,
    kW1c,
    kW1s,
    kRc,
};

/// What a guest's write of a bit does to the stored bit.
enum class OnWrite : uint8_t { kIgnore, kStore, kClearOnes, kSetOnes };

/// The meaning of one Access. Immutable.
struct AccessKind {
    Access access;
    std::string_view name;  // as generated documents print it
    bool readable;          // false: a guest reads zeros, whatever is stored
    bool clear_on_read;     // a guest's read returns the bits and then clears them
    OnWrite on_write;
    std::string_view doc;
};

/// Indexed by the value of Access. To add a kind, add its enumerator and its row; nothing else
/// decides on kinds.
inline constexpr std::array<AccessKind, 7> kAccessKinds = {{
    {Access::kNone, "none", false, false, OnWrite::kIgnore, "Reserved: reads zero, writes ignored"},
    {Access::kRo, "ro", true, false, OnWrite::kIgnore, "Read only: writes ignored"},
    {Access::kRw, "rw", true, false, OnWrite::kStore, "Read and write"},
    {Access::kWo, "wo", false, false, OnWrite::kStore, "Write only: reads zero"},
    {Access::kW1c, "w1c", true, false, OnWrite::kClearOnes,
     "Writing one clears, zero has no effect"},
    {Access::kW1s, "w1s", true, false, OnWrite::kSetOnes, "Writing one sets, zero has no effect"},
    {Access::kRc, "rc", true, true, OnWrite::kIgnore, "Reading clears; writes ignored"},
}};

constexpr const AccessKind& access_kind(Access access) {
    return kAccessKinds[static_cast<size_t>(access)];
}

/// True if each row of kAccessKinds sits at its enumerator's index.
constexpr bool access_kinds_in_order() {
    for (size_t i = 0; i < kAccessKinds.size(); ++i) {
        if (static_cast<size_t>(kAccessKinds[i].access) != i) return false;
    }
    return true;
}
static_assert(access_kinds_in_order());

}  // namespace mimic::reg
