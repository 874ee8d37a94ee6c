// SPDX-License-Identifier: Apache-2.0
// The named kernels on a CPU. Every result is the same bits for any number of threads, and the same
// as that of the PTX in cuda_kernels.h: elements are computed by single-precision multiplications
// and additions in the stated order, never fused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "mediator/backend/executor.h"
#include "mediator/backend/thread_team.h"

namespace mimic::mediator::backend::cpu {

/// Where the extents of a call begin.
struct Pointers {
    std::byte* out = nullptr;
    const std::byte* a = nullptr;
    const std::byte* b = nullptr;
};

/// OK or CANCELLED: `out` is partly written then.
vgpu_error run(const KernelCall& call, const Pointers& at, ThreadTeam& team,
               const StopSignal& stop);

/// Sum of adjacent pairs, of adjacent pairs of those, and so on; an odd last one goes up as it is.
/// 0 for none. Not cancellable. For tests, too.
float pairwise_sum(std::span<const float> values);

inline constexpr uint64_t kFnvBasis = 0xcbf29ce484222325;
inline constexpr uint64_t kFnvPrime = 0x100000001b3;

}  // namespace mimic::mediator::backend::cpu
