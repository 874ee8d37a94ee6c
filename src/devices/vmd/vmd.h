// SPDX-License-Identifier: Apache-2.0
// Vmd: an Intel Volume Management Device as Linux's vmd driver knows it: the endpoint behind whose
// BARs a whole pci::Fabric lies. README.md has the layout and what the driver expects.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "devices/vmd/model.h"
#include "pci/fabric/fabric.h"
#include "pci/function/function.h"

namespace mimic::vmd {

inline constexpr unsigned kConfigBar = 0;    // ECAM: 1 MiB a bus
inline constexpr unsigned kMemory32Bar = 2;  // window below 4 GiB
inline constexpr unsigned kMemory64Bar = 4;  // prefetchable window; begins with the endpoint's own
inline constexpr uint32_t kOwnBytes = 0x2000;  // MSI-X table and PBA, which the driver keeps out

/// Sizes are powers of two.
struct Options {
    std::string name;                           // for logs, as the topology calls it
    uint64_t config_bar_bytes = 32ull << 20;    // 1 MiB for each bus: 1 MiB .. 256 MiB
    uint64_t memory32_bar_bytes = 32ull << 20;  // 1 MiB .. 1 GiB
    uint64_t memory64_bar_bytes = 64ull << 20;  // 1 MiB and more
    pci::LinkSpeed link_speed = pci::LinkSpeed::kGen4;
    uint32_t link_width = 16;
};

/// The endpoint. Thread-bound to the loop that owns it, and so is its fabric.
class Vmd final : public pci::Function, private pci::Fabric::Host {
public:
    /// Error invalid_argument, beginning with the device's name, for options out of range.
    static Result<std::unique_ptr<Vmd>> create(const Options& options);
    ~Vmd() override;

    /// The hierarchy behind it; to be built before the device is served.
    pci::Fabric& fabric() { return fabric_; }

private:
    explicit Vmd(const Options& options);
    static pci::FunctionOptions function_options(const Options& options);
    Status add_capabilities(const Options& options);
    Habits habits() const override { return {.vectors = kVectors}; }
    void on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) override;
    void on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) override;
    void on_attach() override;
    void on_reset(pci::ResetKind kind) override;

    // pci::Fabric::Host
    void interrupt(uint32_t vector) override { raise_msix(vector); }
    uint32_t vectors() const override { return kVectors; }
    memory::DmaSpace* fabric_dma() override { return dma(); }
    TaskRunner& fabric_runner() override { return slot()->runner(); }
    bool is_window(uint64_t address) const override;

    pci::Fabric fabric_;
};

}  // namespace mimic::vmd
