// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/cpu_executor.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "mediator/backend/cpu_kernels.h"

namespace mimic::mediator::backend {
namespace {

// Above it memory comes from the kernel and goes back to it at once: arbitrary, malloc's own.
constexpr uint64_t kMapped = 128 * 1024;
// Copied between two looks at the stop signal.
constexpr uint64_t kCopyPiece = 1 << 20;
// Given back between two looks: some 100 us.
constexpr uint64_t kEmptyPiece = 4 << 20;

class CpuMemory final : public Memory {
public:
    CpuMemory(uint64_t bytes, std::byte* data) : Memory(bytes), data_(data) {}
    ~CpuMemory() override {
        if (size_bytes() >= kMapped) {
            ::munmap(data_, size_bytes());
        } else {
            std::free(data_);
        }
    }
    std::byte* data() const { return data_; }

private:
    std::byte* const data_;
};

// All memory of this executor is of its own making.
std::byte* cpu_bytes(const Extent& extent) {
    if (extent.memory == nullptr) return nullptr;
    return static_cast<CpuMemory*>(extent.memory)->data() + extent.offset;
}

}  // namespace

CpuExecutor::CpuExecutor(unsigned threads) : team_(std::max(threads, 1u)) {
    info_.kind = "cpu";
    info_.name = fmt::format("cpu, {} thread{}", team_.size(), team_.size() == 1 ? "" : "s");
    info_.compute_units = team_.size();
}

std::unique_ptr<Memory> CpuExecutor::allocate(uint64_t bytes) {
    void* data = nullptr;
    if (bytes >= kMapped) {
        data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (data == MAP_FAILED) return nullptr;
    } else {
        data = std::calloc(1, bytes);
        if (data == nullptr) return nullptr;
    }
    return std::make_unique<CpuMemory>(bytes, static_cast<std::byte*>(data));
}

vgpu_error CpuExecutor::write(Memory& to, uint64_t offset, std::span<const std::byte> data) {
    std::memcpy(static_cast<CpuMemory&>(to).data() + offset, data.data(), data.size());
    return VGPU_OK;
}

vgpu_error CpuExecutor::read(Memory& from, uint64_t offset, std::span<std::byte> data) {
    std::memcpy(data.data(), static_cast<CpuMemory&>(from).data() + offset, data.size());
    return VGPU_OK;
}

vgpu_error CpuExecutor::copy(const Extent& to, const Extent& from, const StopSignal& stop) {
    std::byte* const target = cpu_bytes(to);
    const std::byte* const source = cpu_bytes(from);
    // As memmove(3), in pieces: from that end at which nothing is overwritten that is still to be
    // copied.
    const bool backwards = target > source;
    for (uint64_t done = 0; done < to.length; done += kCopyPiece) {
        if (stop.requested()) return VGPU_ERROR_CANCELLED;
        const uint64_t piece = std::min(kCopyPiece, to.length - done);
        const uint64_t at = backwards ? to.length - done - piece : done;
        std::memmove(target + at, source + at, piece);
    }
    return VGPU_OK;
}

vgpu_error CpuExecutor::fill(const Extent& to, uint8_t byte, const StopSignal& stop) {
    for (uint64_t done = 0; done < to.length; done += kCopyPiece) {
        if (stop.requested()) return VGPU_ERROR_CANCELLED;
        std::memset(cpu_bytes(to) + done, byte, std::min(kCopyPiece, to.length - done));
    }
    return VGPU_OK;
}

vgpu_error CpuExecutor::empty(Memory& memory, const StopSignal& stop) {
    const uint64_t bytes = memory.size_bytes();
    if (bytes < kMapped) return VGPU_OK;
    for (uint64_t done = 0; done < bytes; done += kEmptyPiece) {
        if (stop.requested()) return VGPU_ERROR_CANCELLED;
        ::madvise(static_cast<CpuMemory&>(memory).data() + done,
                  std::min(kEmptyPiece, bytes - done), MADV_DONTNEED);
    }
    return VGPU_OK;
}

vgpu_error CpuExecutor::run(const KernelCall& call, const StopSignal& stop) {
    return cpu::run(call, {cpu_bytes(call.out), cpu_bytes(call.a), cpu_bytes(call.b)}, team_, stop);
}

Result<std::unique_ptr<Executor>> make_cpu_executor(const CpuBackend& config) {
    return std::make_unique<CpuExecutor>(config.threads);
}

}  // namespace mimic::mediator::backend
