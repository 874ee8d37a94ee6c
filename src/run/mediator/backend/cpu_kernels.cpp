// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/cpu_kernels.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <vector>

namespace mimic::mediator::backend::cpu {
namespace {

// Pieces take some 20 us: small enough to stop soon, large enough to cost nothing to hand out.
constexpr size_t kElementsOfPiece = 32 * 1024;
constexpr size_t kSumBlock = 4096;  // a power of two, so that blocks are subtrees of the whole
constexpr size_t kTileColumns = 512;
constexpr size_t kTileDepth = 128;
constexpr size_t kBytesOfPiece = 64 * 1024;

float* floats(std::byte* at) {
    return reinterpret_cast<float*>(at);
}
const float* floats(const std::byte* at) {
    return reinterpret_cast<const float*>(at);
}

void element_wise(const KernelCall& call, const Pointers& at, ThreadTeam& team,
                  const StopSignal& stop) {
    const size_t pieces = (call.n + kElementsOfPiece - 1) / kElementsOfPiece;
    float* const out = floats(at.out);
    const float* const a = floats(at.a);
    const float* const b = floats(at.b);
    const auto compute = [&](size_t piece) {
        const size_t begin = piece * kElementsOfPiece;
        const size_t end = std::min<size_t>(begin + kElementsOfPiece, call.n);
        if (call.kernel == Kernel::kVectorAdd) {
            for (size_t i = begin; i < end; ++i) out[i] = a[i] + b[i];
        } else {
            const float scalar = call.scalar;
            for (size_t i = begin; i < end; ++i) out[i] += scalar * a[i];
        }
    };
    team.run(pieces, compute, stop);
}

// One row's part of `width` columns: each element is the sum over k in ascending order, from 0.
bool gemm_tile(const KernelCall& call, const float* a, const float* b, float* c, size_t width,
               const StopSignal& stop) {
    std::array<float, kTileColumns> sums;
    std::fill_n(sums.begin(), width, 0.0f);
    for (size_t depth = 0; depth < call.k; depth += kTileDepth) {
        if (stop.requested()) return false;
        const size_t end = std::min<size_t>(depth + kTileDepth, call.k);
        for (size_t k = depth; k < end; ++k) {
            const float factor = a[k];
            const float* const row = b + k * call.n;
            for (size_t j = 0; j < width; ++j) sums[j] += factor * row[j];
        }
    }
    std::memcpy(c, sums.data(), width * sizeof(float));
    return true;
}

void gemm(const KernelCall& call, const Pointers& at, ThreadTeam& team, const StopSignal& stop) {
    if (call.m == 0 || call.n == 0) return;
    const size_t tiles = (call.n + kTileColumns - 1) / kTileColumns;
    // Small rows share a piece, for handing one out costs as much as some of them.
    const uint64_t depth = std::min<uint64_t>(call.k, kElementsOfPiece) + 1;
    const size_t rows = kElementsOfPiece / (std::min<uint64_t>(kTileColumns, call.n) * depth) + 1;
    const auto compute = [&](size_t piece) {
        const size_t begin = piece / tiles * rows;
        const size_t end = std::min<size_t>(begin + rows, call.m);
        const size_t column = piece % tiles * kTileColumns;
        const size_t width = std::min<size_t>(kTileColumns, call.n - column);
        for (size_t row = begin; row < end; ++row) {
            if (!gemm_tile(call, floats(at.a) + row * call.k, floats(at.b) + column,
                           floats(at.out) + row * call.n + column, width, stop)) {
                return;
            }
        }
    };
    // m x n elements are in memory, so that this does not overflow.
    team.run((call.m + rows - 1) / rows * tiles, compute, stop);
}

// In place: the first is the sum.
void fold(float* values, size_t count) {
    while (count > 1) {
        const size_t half = count / 2;
        for (size_t i = 0; i < half; ++i) values[i] = values[2 * i] + values[2 * i + 1];
        if (count % 2 != 0) values[half] = values[count - 1];
        count = half + count % 2;
    }
}

void reduce_sum(const KernelCall& call, const Pointers& at, ThreadTeam& team,
                const StopSignal& stop) {
    const float* const values = floats(at.a);
    std::vector<float> sums((call.n + kSumBlock - 1) / kSumBlock);
    const auto add = [&](size_t block) {
        const size_t begin = block * kSumBlock;
        const size_t count = std::min<size_t>(kSumBlock, call.n - begin);
        std::array<float, kSumBlock> scratch;
        std::memcpy(scratch.data(), values + begin, count * sizeof(float));
        fold(scratch.data(), count);
        sums[block] = scratch[0];
    };
    team.run(sums.size(), add, stop);
    fold(sums.data(), sums.size());
    const float sum = sums.empty() ? 0.0f : sums[0];
    std::memcpy(at.out, &sum, sizeof sum);
}

// One byte after the other: that is what FNV-1a is.
void checksum(const KernelCall& call, const Pointers& at, const StopSignal& stop) {
    uint64_t hash = kFnvBasis;
    const auto* bytes = reinterpret_cast<const unsigned char*>(at.a);
    for (size_t begin = 0; begin < call.n && !stop.requested(); begin += kBytesOfPiece) {
        const size_t end = std::min<size_t>(begin + kBytesOfPiece, call.n);
        for (size_t i = begin; i < end; ++i) hash = (hash ^ bytes[i]) * kFnvPrime;
    }
    std::memcpy(at.out, &hash, sizeof hash);
}

void spin(uint64_t ns, const StopSignal& stop) {
    using std::chrono::steady_clock;
    const auto begin = steady_clock::now();
    while (!stop.requested()) {
        const auto spent = std::chrono::duration_cast<Duration>(steady_clock::now() - begin);
        if (static_cast<uint64_t>(spent.count()) >= ns) return;
    }
}

}  // namespace

float pairwise_sum(std::span<const float> values) {
    std::vector<float> copy(values.begin(), values.end());
    fold(copy.data(), copy.size());
    return copy.empty() ? 0.0f : copy[0];
}

vgpu_error run(const KernelCall& call, const Pointers& at, ThreadTeam& team,
               const StopSignal& stop) {
    switch (call.kernel) {
        case Kernel::kVectorAdd:
        case Kernel::kSaxpy:
            element_wise(call, at, team, stop);
            break;
        case Kernel::kGemm:
            gemm(call, at, team, stop);
            break;
        case Kernel::kReduceSum:
            reduce_sum(call, at, team, stop);
            break;
        case Kernel::kChecksum:
            checksum(call, at, stop);
            break;
        case Kernel::kSpin:
            spin(call.n, stop);
            break;
    }
    return stop.requested() ? VGPU_ERROR_CANCELLED : VGPU_OK;
}

}  // namespace mimic::mediator::backend::cpu
