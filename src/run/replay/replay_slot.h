// SPDX-License-Identifier: Apache-2.0
// What a function that is replayed is plugged into: a slot that passes all that the function does
// to a ReplayHost, and time that stands still until somebody moves it.
#pragma once

#include <map>
#include <memory>
#include <span>

#include "base/task_runner.h"
#include "pci/function/function.h"

namespace mimic::replay {

/// Time of a replay. Thread-bound.
class VirtualTime final : public TaskRunner {
public:
    void post(Task task) override { tasks_.emplace(now_, std::move(task)); }
    void post_delayed(Task task, Duration delay) override {
        tasks_.emplace(now_ + delay, std::move(task));
    }
    TimePoint now() const override { return now_; }
    bool is_current() const override { return true; }

    /// Time goes on to `time`; it never goes back.
    void advance(TimePoint time) { now_ = std::max(now_, time); }

    /// Runs the task that is due first, if it is due at `limit`. False: there is none.
    bool run_one(TimePoint limit);

    void drop_all() { tasks_.clear(); }

private:
    TimePoint now_{};
    std::multimap<TimePoint, Task> tasks_;
};

/// Takes what functions do.
class ReplayHost {
public:
    virtual void sent(const pci::Function& function, pci::TraceKind kind, uint64_t value) = 0;
    virtual void dma_read(const pci::Function& function, uint64_t iova, uint64_t size,
                          memory::DmaSpace::ReadDone done) = 0;
    virtual void dma_write(const pci::Function& function, uint64_t iova,
                           std::span<const std::byte> data, memory::DmaSpace::WriteDone done) = 0;

protected:
    ~ReplayHost() = default;
};

/// The slot of one function. Thread-bound.
class ReplaySlot final : public pci::Slot, private memory::DmaSpace {
public:
    /// All are borrowed. `owns_table`: a client keeps the MSI-X table, as QEMU does for endpoints.
    ReplaySlot(ReplayHost& host, TaskRunner& runner, pci::Function& function, bool owns_table)
        : host_(host), runner_(runner), function_(function), owns_table_(owns_table) {}

    void send_msix(uint32_t vector) override {
        host_.sent(function_, pci::TraceKind::kMsix, vector);
    }
    void send_msi(uint32_t vector) override { host_.sent(function_, pci::TraceKind::kMsi, vector); }
    bool owns_msix_table() const override { return owns_table_; }
    void set_intx(bool asserted) override {
        host_.sent(function_, pci::TraceKind::kIntx, asserted ? 1 : 0);
    }
    memory::DmaSpace& dma() override { return *this; }
    TaskRunner& runner() override { return runner_; }
    std::unique_ptr<pci::Slot> make_vf_slot(pci::Function& vf, uint32_t) override {
        return std::make_unique<ReplaySlot>(host_, runner_, vf, owns_table_);
    }

private:
    // As while it was recorded: all DMA passes read() and write().
    std::optional<std::span<std::byte>> span(uint64_t, uint64_t, memory::DmaAccess) override {
        return std::nullopt;
    }
    void read(uint64_t iova, uint64_t size, ReadDone done) override {
        host_.dma_read(function_, iova, size, std::move(done));
    }
    void write(uint64_t iova, std::span<const std::byte> data, WriteDone done) override {
        host_.dma_write(function_, iova, data, std::move(done));
    }

    ReplayHost& host_;
    TaskRunner& runner_;
    pci::Function& function_;
    const bool owns_table_;
};

}  // namespace mimic::replay
