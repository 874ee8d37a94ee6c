// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/named_kernels.h"

#include <bit>
#include <limits>

#include "mediator/backend/executor.h"

namespace mimic::mediator::backend {
namespace {

using Checked = tl::expected<KernelCall, vgpu_error>;

constexpr std::array<std::string_view, kKernels.size()> kKernelNames = {
    "vector_add", "saxpy", "gemm", "reduce_sum", "checksum", "spin"};

tl::unexpected<vgpu_error> wrong(vgpu_error error = VGPU_ERROR_INVALID_REQUEST) {
    return tl::unexpected<vgpu_error>(error);
}

uint64_t times(uint64_t a, uint64_t b) {
    uint64_t product = 0;
    return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<uint64_t>::max() : product;
}

uint64_t plus(uint64_t a, uint64_t b) {
    uint64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<uint64_t>::max() : sum;
}

// Takes arguments off the front; remembers the first mistake.
class Arguments {
public:
    explicit Arguments(std::span<const LaunchArgument> arguments) : rest_(arguments) {}

    const LaunchArgument* next() {
        if (rest_.empty()) {
            fail(VGPU_ERROR_INVALID_REQUEST);
            return nullptr;
        }
        const LaunchArgument* const argument = &rest_.front();
        rest_ = rest_.subspan(1);
        return argument;
    }

    // The count comes after the arrays on the wire, so that lengths are checked by within().
    Extent array() {
        const auto* argument = next();
        if (argument == nullptr) return {};
        if (argument->memory == nullptr) fail(VGPU_ERROR_INVALID_REQUEST);
        return {argument->memory, argument->offset, 0};
    }

    uint64_t count() {
        const auto* argument = next();
        if (argument == nullptr) return 0;
        if (argument->memory != nullptr || argument->size != 8) fail(VGPU_ERROR_INVALID_REQUEST);
        return argument->value;
    }

    float scalar() {
        const auto* argument = next();
        if (argument == nullptr) return 0;
        if (argument->memory != nullptr || argument->size != 4) fail(VGPU_ERROR_INVALID_REQUEST);
        return std::bit_cast<float>(static_cast<uint32_t>(argument->value));
    }

    void within(Extent& extent, uint64_t count, uint64_t element_bytes) {
        if (error_ != VGPU_OK) return;
        extent.length = times(count, element_bytes);
        if (extent.offset % element_bytes != 0) return fail(VGPU_ERROR_INVALID_REQUEST);
        const uint64_t size = extent.memory->size_bytes();
        if (extent.offset > size || extent.length > size - extent.offset) {
            fail(VGPU_ERROR_HANDLE);
        }
    }

    // `in_place`: they may be the same bytes.
    void apart(const Extent& written, const Extent& read, bool in_place) {
        if (error_ != VGPU_OK || written.memory != read.memory) return;
        if (in_place && written.offset == read.offset) return;
        if (written.offset < read.offset + read.length &&
            read.offset < written.offset + written.length) {
            fail(VGPU_ERROR_INVALID_REQUEST);
        }
    }

    vgpu_error error() const {
        return error_ == VGPU_OK && !rest_.empty() ? VGPU_ERROR_INVALID_REQUEST : error_;
    }

private:
    void fail(vgpu_error error) {
        if (error_ == VGPU_OK) error_ = error;
    }

    std::span<const LaunchArgument> rest_;
    vgpu_error error_ = VGPU_OK;
};

void take_element_wise(Arguments& from, KernelCall& call) {
    call.out = from.array();
    call.a = from.array();
    if (call.kernel == Kernel::kVectorAdd) call.b = from.array();
    call.n = from.count();
    if (call.kernel == Kernel::kSaxpy) call.scalar = from.scalar();
    for (Extent* extent : {&call.out, &call.a}) from.within(*extent, call.n, sizeof(float));
    from.apart(call.out, call.a, true);
    if (call.kernel != Kernel::kVectorAdd) return;
    from.within(call.b, call.n, sizeof(float));
    from.apart(call.out, call.b, true);
}

void take_gemm(Arguments& from, KernelCall& call) {
    call.out = from.array();
    call.a = from.array();
    call.b = from.array();
    call.m = from.count();
    call.n = from.count();
    call.k = from.count();
    from.within(call.out, times(call.m, call.n), sizeof(float));
    from.within(call.a, times(call.m, call.k), sizeof(float));
    from.within(call.b, times(call.k, call.n), sizeof(float));
    from.apart(call.out, call.a, false);
    from.apart(call.out, call.b, false);
}

void take_reduction(Arguments& from, KernelCall& call) {
    const bool sum = call.kernel == Kernel::kReduceSum;
    call.out = from.array();
    call.a = from.array();
    call.n = from.count();
    from.within(call.out, 1, sum ? sizeof(float) : sizeof(uint64_t));
    from.within(call.a, call.n, sum ? sizeof(float) : 1);
    from.apart(call.out, call.a, false);
}

}  // namespace

std::string_view kernel_name(Kernel kernel) {
    return kKernelNames[static_cast<size_t>(kernel)];
}

std::optional<Kernel> find_kernel(std::string_view name) {
    for (const Kernel kernel : kKernels) {
        if (kernel_name(kernel) == name) return kernel;
    }
    return std::nullopt;
}

uint64_t KernelCall::operations() const {
    switch (kernel) {
        case Kernel::kVectorAdd:
        case Kernel::kReduceSum:
        case Kernel::kChecksum:
            return n;
        case Kernel::kSaxpy:
            return times(2, n);
        case Kernel::kGemm:
            return times(2, times(times(m, n), k));
        case Kernel::kSpin:
            return 0;
    }
    return 0;
}

uint64_t KernelCall::bytes() const {
    const uint64_t again = kernel == Kernel::kSaxpy ? out.length : 0;  // y is read, too
    return plus(plus(out.length, again), plus(a.length, b.length));
}

Checked check_call(Kernel kernel, std::span<const LaunchArgument> arguments) {
    KernelCall call;
    call.kernel = kernel;
    Arguments from(arguments);
    switch (kernel) {
        case Kernel::kVectorAdd:
        case Kernel::kSaxpy:
            take_element_wise(from, call);
            break;
        case Kernel::kGemm:
            take_gemm(from, call);
            break;
        case Kernel::kReduceSum:
        case Kernel::kChecksum:
            take_reduction(from, call);
            break;
        case Kernel::kSpin:
            call.n = from.count();
            break;
    }
    if (from.error() != VGPU_OK) return wrong(from.error());
    return call;
}

}  // namespace mimic::mediator::backend
