// SPDX-License-Identifier: Apache-2.0
// VgpuStub: the original vgpu-stub, and more. A guest writes requests into registers, or into
// its memory; a compute::Queue, which leads to a mediator, answers them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/timer.h"
#include "base/weak_ptr.h"
#include "compute/queue.h"
#include "devices/vgpu_stub/errand.h"
#include "devices/vgpu_stub/registers.h"
#include "devices/vgpu_stub/ring.h"
#include "pci/function/capabilities.h"
#include "pci/function/function.h"
#include "reg/bank.h"

namespace mimic::vgpu_stub {

/// What a VgpuStub is like. A value.
struct Options {
    std::string name{};
    uint16_t vendor_id = 0x1af4;
    uint16_t device_id = 0x1111;
    uint32_t class_code = 0x120000;
    pci::LinkSpeed link_speed = pci::LinkSpeed::kGen4;
    uint32_t link_width = 16;
    compute::Identity identity{};
    bool extensions = true;                                  // interrupts, DMA and the ring
    vgpu_error length_error = VGPU_ERROR_REQUEST_TOO_LARGE;  // of a request without a byte
    compute::MakeQueue make_queue{};                         // empty: there is no mediator
    Duration timeout = std::chrono::seconds(35);             // of an answer that a fault has lost
    bool multifunction = false;
    std::vector<Options> vfs{};  // not empty: a PF with an SR-IOV capability
};

/// Thread-bound to its loop.
class VgpuStub final : public pci::Function, private RingPort {
public:
    /// Errors: EINVAL for options that no hardware could have.
    static Result<std::unique_ptr<VgpuStub>> create(Options options);
    ~VgpuStub() override;

    // --- ModelHooks --------------------------------------------------------------------------

    std::vector<pci::RegisterBlock> register_blocks() const override;
    std::vector<std::pair<const char*, uint64_t>> model_counters() const override;
    std::optional<uint32_t> doorbell_interrupt(unsigned bar, uint64_t offset) const override;
    Status restore_registers(std::span<const reg::Snapshot> snapshots) override;
    bool at_work() const override;

    const reg::Bank<kMap>& registers() const { return bank_; }

    /// What leads to the mediator; nullptr without one. For tests.
    compute::Queue* queue() { return errands_.queue(); }

private:
    VgpuStub(Options options, bool native);
    static Result<std::unique_ptr<VgpuStub>> make(Options options, bool native);
    static Status check(const Options& options);
    static pci::FunctionOptions function_options(const Options& options, bool native);
    Status add_capabilities(bool native);
    void bind();

    void on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) override;
    void on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) override;
    void on_reset(pci::ResetKind kind) override;
    void on_attach() override;
    bool is_doorbell(unsigned bar, uint64_t offset) const override;
    Habits habits() const override;
    void on_backend_changed() override;
    std::unique_ptr<pci::Function> make_vf(uint32_t index) override;

    // The requests of the registers: one at a time (requests.cpp).
    bool begin(uint32_t length);
    void doorbell_written();
    void dma_doorbell_written();
    void send(std::vector<std::byte> request, size_t room, bool by_dma);
    void answered(const compute::Completion& completion, bool by_dma);
    void finish(vgpu_error error, size_t response_bytes);
    void interrupt(uint32_t bit, uint32_t vector);
    void update_pin();
    bool is_busy() const;
    template <const reg::Register& Reg>
    void bind_limit(uint32_t most);

    // The ring, and what it asks for (ring_registers.cpp).
    void bind_ring();
    template <const reg::Register& Reg>
    void bind_setup();
    void ring_control_written(const reg::WriteEvent& event);
    void start_ring(const Ring::Indices& indices);
    void read_memory(uint64_t iova, uint64_t size, memory::DmaSpace::ReadDone done) override {
        dma_read(iova, size, std::move(done));
    }
    void write_memory(uint64_t iova, std::span<const std::byte> data,
                      memory::DmaSpace::WriteDone done) override {
        dma_write(iova, data, std::move(done));
    }
    void ask(uint32_t tag, std::vector<std::byte> request, size_t room,
             Errands::Done done) override;
    bool has_room() const override;
    void ring_request_done(const RingCompletion& completion, uint64_t begun_ns) override;
    void ring_changed(bool interrupts) override;
    TaskRunner& runner() override { return slot()->runner(); }
    uint64_t now_ns() override;

    Options options_;
    reg::Bank<kMap> bank_;
    Errands errands_;
    Ring ring_;
    uint64_t round_ = 0;  // of the registers' request: answers to earlier ones are dropped
    bool sent_ = false;   // it is with the mediator
    uint64_t begun_ns_ = 0;
    log::RateLimit missing_vfs_;
};

}  // namespace mimic::vgpu_stub
