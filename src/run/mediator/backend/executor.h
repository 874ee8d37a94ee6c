// SPDX-License-Identifier: Apache-2.0
// Executor: what a backend computes with. `cpu`, `sim` and `cuda` are executors; operations.h does
// for all of them what has to be checked, counted and remembered.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "compute/vgpu_protocol.h"
#include "mediator/backend/named_kernels.h"
#include "mediator/config/config.h"

namespace mimic::mediator::backend {

/// Whether the job that runs is to end. Asked on the threads that compute, as often as every 100
/// us; requested on any.
class StopSignal {
public:
    bool requested() const {
        return stop_.load(std::memory_order_relaxed) ||
               (word_ != nullptr && word_->load(std::memory_order_relaxed) == sequence_);
    }
    void request() { stop_.store(true, std::memory_order_relaxed); }

    /// For the next job, before it begins: it is also to end once `word` is `sequence`. nullptr:
    /// only by request().
    void arm(const std::atomic<uint32_t>* word, uint32_t sequence) {
        stop_.store(false, std::memory_order_relaxed);
        word_ = word;
        sequence_ = sequence;
    }

private:
    std::atomic<bool> stop_{false};
    const std::atomic<uint32_t>* word_ = nullptr;
    uint32_t sequence_ = 0;
};

/// An allocation. Destroyed on any thread; frees it.
class Memory {
public:
    explicit Memory(uint64_t bytes) : bytes_(bytes) {}
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    virtual ~Memory() = default;

    uint64_t size_bytes() const { return bytes_; }

private:
    const uint64_t bytes_;
};

/// Code of a VM's own.
class Module {
public:
    Module() = default;
    Module(const Module&) = delete;
    Module& operator=(const Module&) = delete;
    virtual ~Module() = default;
};

/// A launch of a VM's own code. Memory is resolved, extents are not known: its VM alone is in the
/// process.
struct ModuleCall {
    Module* module = nullptr;
    std::string_view name;
    const vgpu_launch* launch = nullptr;
    std::span<const LaunchArgument> arguments;
};

struct ExecutorInfo {
    std::string kind;  // "cpu", "sim", "cuda"
    std::string name;
    uint64_t memory_bytes = 0;  // that there is; 0: no bound but the configured one
    uint32_t compute_units = 1;
};

/// Bound to the thread of jobs, but for info() and destructors of memory. Offsets and lengths lie
/// within the memory: operations.h has checked them. What returns a vgpu_error returns CANCELLED
/// when it has ended because of `stop`.
class Executor {
public:
    virtual ~Executor() = default;

    virtual const ExecutorInfo& info() const = 0;

    /// Zeroed; 1 byte or more. nullptr: there is none left.
    virtual std::unique_ptr<Memory> allocate(uint64_t bytes) = 0;
    virtual vgpu_error write(Memory& to, uint64_t offset, std::span<const std::byte> data) = 0;
    virtual vgpu_error read(Memory& from, uint64_t offset, std::span<std::byte> data) = 0;
    virtual vgpu_error copy(const Extent& to, const Extent& from, const StopSignal& stop) = 0;
    virtual vgpu_error fill(const Extent& to, uint8_t byte, const StopSignal& stop) = 0;

    /// Before memory of many GiB is destroyed: gives its pages back, which cannot be stopped once
    /// it is destroyed. What is read of it afterwards is undefined, but nobody else's.
    virtual vgpu_error empty(Memory&, const StopSignal&) { return VGPU_OK; }

    /// A named kernel.
    virtual vgpu_error run(const KernelCall& call, const StopSignal& stop) = 0;

    /// PTX text. nullptr: `error` and, for people, `log` say why.
    virtual std::unique_ptr<Module> load(std::string_view, vgpu_error& error, std::string&) {
        error = VGPU_ERROR_UNSUPPORTED;
        return nullptr;
    }
    virtual vgpu_error launch(const ModuleCall&, const StopSignal&) {
        return VGPU_ERROR_UNSUPPORTED;
    }

    /// Nothing works any more: the process has to go.
    virtual bool broken() const { return false; }
};

/// The executor of a configuration. Errors: a machine that lacks what it needs, in words
/// ("no libcuda: ..."); EINVAL for a wrong model.
Result<std::unique_ptr<Executor>> make_executor(const BackendConfig& config);

Result<std::unique_ptr<Executor>> make_cpu_executor(const CpuBackend& config);
Result<std::unique_ptr<Executor>> make_sim_executor(const SimBackend& config);
Result<std::unique_ptr<Executor>> make_cuda_executor(const CudaBackend& config);

}  // namespace mimic::mediator::backend
