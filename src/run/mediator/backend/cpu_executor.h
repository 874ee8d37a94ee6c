// SPDX-License-Identifier: Apache-2.0
// CpuExecutor: memory and named kernels of the machine's own CPUs.
#pragma once

#include "mediator/backend/executor.h"
#include "mediator/backend/thread_team.h"

namespace mimic::mediator::backend {

class CpuExecutor : public Executor {
public:
    explicit CpuExecutor(unsigned threads);

    const ExecutorInfo& info() const override { return info_; }
    std::unique_ptr<Memory> allocate(uint64_t bytes) override;
    vgpu_error write(Memory& to, uint64_t offset, std::span<const std::byte> data) override;
    vgpu_error read(Memory& from, uint64_t offset, std::span<std::byte> data) override;
    vgpu_error copy(const Extent& to, const Extent& from, const StopSignal& stop) override;
    vgpu_error fill(const Extent& to, uint8_t byte, const StopSignal& stop) override;
    vgpu_error empty(Memory& memory, const StopSignal& stop) override;
    vgpu_error run(const KernelCall& call, const StopSignal& stop) override;

protected:
    ExecutorInfo info_;

private:
    ThreadTeam team_;
};

}  // namespace mimic::mediator::backend
