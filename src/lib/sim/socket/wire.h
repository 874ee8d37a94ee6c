// SPDX-License-Identifier: Apache-2.0
// Messages of the simulator's socket as bytes: sizes with and without what was agreed on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "sim/sst_protocol.h"

namespace mimic::sim {

static_assert(sizeof(SSTRequest) == 4104 && sizeof(SSTResponse) == 4112);
static_assert(sizeof(sst_submit) == 8 && sizeof(sst_timing) == 16);

/// The flags of a request that are about the socket.
inline constexpr uint32_t kSocketFlags = SST_FLAG_PIPELINE | SST_FLAG_TIMED;

/// Whole messages; `timed` once both have said SST_FLAG_TIMED, from the next message on.
inline constexpr size_t request_size(bool timed) {
    return sizeof(SSTRequest) + (timed ? sizeof(sst_submit) : 0);
}
inline constexpr size_t response_size(bool timed) {
    return sizeof(SSTResponse) + (timed ? sizeof(sst_timing) : 0);
}

/// ns to ps; what does not fit is the end of time.
inline constexpr uint64_t picoseconds(uint64_t ns) {
    return ns > std::numeric_limits<uint64_t>::max() / 1000 ? std::numeric_limits<uint64_t>::max()
                                                            : ns * 1000;
}

inline constexpr uint64_t saturating_add(uint64_t a, uint64_t b) {
    return a > std::numeric_limits<uint64_t>::max() - b ? std::numeric_limits<uint64_t>::max()
                                                        : a + b;
}

}  // namespace mimic::sim
