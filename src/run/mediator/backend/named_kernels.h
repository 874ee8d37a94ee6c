// SPDX-License-Identifier: Apache-2.0
// The named kernels (compute/vgpu_protocol.h): a launch becomes a call whose every byte is known to
// lie in memory of its VM.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "compute/vgpu_protocol.h"

namespace mimic::mediator::backend {

class Memory;

/// Bytes of a memory.
struct Extent {
    Memory* memory = nullptr;
    uint64_t offset = 0;
    uint64_t length = 0;
};

/// A vgpu_arg whose handle was looked up.
struct LaunchArgument {
    Memory* memory = nullptr;  // nullptr: a value
    uint64_t offset = 0;       // in memory; within it
    uint64_t value = 0;
    uint32_t size = 8;  // of the value: 4 or 8
};

enum class Kernel : uint8_t { kVectorAdd, kSaxpy, kGemm, kReduceSum, kChecksum, kSpin };
inline constexpr std::array kKernels = {Kernel::kVectorAdd, Kernel::kSaxpy,    Kernel::kGemm,
                                        Kernel::kReduceSum, Kernel::kChecksum, Kernel::kSpin};
std::string_view kernel_name(Kernel kernel);
std::optional<Kernel> find_kernel(std::string_view name);

/// A checked call: extents are whole, within their memory, aligned to their elements; what is
/// written overlaps nothing that is read, but that an element-wise kernel may work in place. So the
/// result does not depend on the order in which threads do it.
struct KernelCall {
    Kernel kernel = Kernel::kSpin;
    Extent out;   // vector_add, reduce_sum, checksum: out. saxpy: y. gemm: c
    Extent a, b;  // vector_add, gemm: a, b. saxpy: a is x. reduce_sum, checksum: a is x
    uint64_t n = 0, m = 0, k = 0;  // elements, bytes (checksum), ns (spin)
    float scalar = 0;              // saxpy: a

    /// Elementary operations, and bytes read and written; saturating. For latency models.
    uint64_t operations() const;
    uint64_t bytes() const;
};

/// Errors: INVALID_REQUEST (number, kind, size, alignment or overlap of arguments), HANDLE (not
/// within its memory).
tl::expected<KernelCall, vgpu_error> check_call(Kernel kernel,
                                                std::span<const LaunchArgument> arguments);

}  // namespace mimic::mediator::backend
