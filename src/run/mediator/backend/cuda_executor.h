// SPDX-License-Identifier: Apache-2.0
// CudaExecutor: memory, named kernels and PTX of VMs on an NVIDIA GPU, through its driver's
// library.
#pragma once

#include <array>
#include <map>

#include "mediator/backend/cuda_api.h"
#include "mediator/backend/executor.h"

namespace mimic::mediator::backend {

/// See Executor. Named kernels run in launches of some ms, between which they can be stopped; code
/// of a VM cannot be: the process has to go (Backend::start). Work is waited for where it is given:
/// one job at a time.
class CudaExecutor final : public Executor {
public:
    static Result<std::unique_ptr<Executor>> create(const CudaBackend& config);

    const ExecutorInfo& info() const override { return info_; }
    std::unique_ptr<Memory> allocate(uint64_t bytes) override;
    vgpu_error write(Memory& to, uint64_t offset, std::span<const std::byte> data) override;
    vgpu_error read(Memory& from, uint64_t offset, std::span<std::byte> data) override;
    vgpu_error copy(const Extent& to, const Extent& from, const StopSignal& stop) override;
    vgpu_error fill(const Extent& to, uint8_t byte, const StopSignal& stop) override;
    vgpu_error run(const KernelCall& call, const StopSignal& stop) override;
    std::unique_ptr<Module> load(std::string_view text, vgpu_error& error,
                                 std::string& log) override;
    vgpu_error launch(const ModuleCall& call, const StopSignal& stop) override;
    bool broken() const override { return broken_; }

private:
    struct Grid {
        std::array<unsigned, 3> blocks{1, 1, 1};
        std::array<unsigned, 3> threads{1, 1, 1};
        unsigned shared_bytes = 0;
    };
    class Parameters;

    explicit CudaExecutor(const cuda::Api& api) : api_(api) {}
    Status set_up(uint32_t device);
    vgpu_error settle(cuda::Code code);
    vgpu_error wait();
    vgpu_error start(cuda::Function function, const Grid& grid, Parameters& parameters);
    vgpu_error element_wise(const KernelCall& call, const StopSignal& stop);
    vgpu_error gemm(const KernelCall& call, const StopSignal& stop);
    vgpu_error reduce_sum(const KernelCall& call, const StopSignal& stop);
    vgpu_error checksum(const KernelCall& call, const StopSignal& stop);
    vgpu_error spin(uint64_t ns, const StopSignal& stop);

    const cuda::Api api_;
    ExecutorInfo info_;
    cuda::Context context_ = nullptr;
    cuda::Stream stream_ = nullptr;
    std::array<cuda::Function, kKernels.size()> kernels_{};
    bool current_ = false;  // the context, on the thread of jobs
    bool broken_ = false;
};

}  // namespace mimic::mediator::backend
