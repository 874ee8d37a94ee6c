// SPDX-License-Identifier: Apache-2.0
// ToyDevice: a function made to be tested against: all BAR kinds, all capabilities, a DMA engine,
// every interrupt.
//
//   BAR0  64 KiB  0x000 scratch, 0x800 DMA engine, 0x814 interrupts,
//                 0x1000 MSI-X table, 0x2000 PBA
//   BAR1  32 KiB  a file; [0x1000,0x3000) and [0x4000,0x5000) may be mapped
//   BAR2   4 MiB  64 bits; byte n reads as n * 7
//   BAR4    16 B  I/O space
//   ROM    8 KiB
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "memory/mapping.h"
#include "pci/function/function.h"

namespace mimic::test {

// BAR0 registers, 4 bytes each but for DMA_ADDRESS.
inline constexpr uint64_t kScratch = 0x000, kScratchSize = 0x800;
inline constexpr uint64_t kDmaAddress = 0x800, kDmaSize = 0x808, kDmaStart = 0x80c,
                          kDmaStatus = 0x810;
inline constexpr uint64_t kInterrupt = 0x814, kDmaSum = 0x818, kResets = 0x81c, kLastReset = 0x820;
inline constexpr uint64_t kMsixTable = 0x1000, kMsixPba = 0x2000;

// Values of DMA_START and DMA_STATUS; a failed transfer shows kDmaFailed | errno.
inline constexpr uint32_t kStartRead = 1, kStartWrite = 2;
inline constexpr uint32_t kDmaIdle = 0, kDmaBusy = 1, kDmaDone = 2, kDmaFailed = 0x8000'0000;

// Values of INTERRUPT: an MSI-X vector, these plus an MSI message, and the pin's level.
inline constexpr uint32_t kRaiseMsi = 0x100, kPinHigh = 0x200, kPinLow = 0x201;

inline constexpr uint64_t kBar0Size = 0x1'0000, kBar1Size = 0x8000, kBar2Size = 4 << 20,
                          kRomSize = 0x2000;
inline constexpr uint32_t kToyMsixVectors = 40, kToyMsiVectors = 4;

/// Thread-bound to its loop; the counters may be read anywhere.
class ToyDevice final : public pci::Function {
public:
    static Result<std::unique_ptr<ToyDevice>> create(const std::string& name);

    std::span<const uint8_t> rom() const override { return rom_; }

    /// What a test may watch from another thread.
    std::atomic<uint32_t> resets{0};
    std::atomic<uint32_t> detaches{0};

    int bar1_fd() const { return file_.get(); }

private:
    struct Registers {
        uint64_t dma_address;
        uint32_t dma_size;
        uint32_t dma_start;
        uint32_t dma_status;
        uint32_t interrupt;
        uint32_t dma_sum;
        uint32_t reset_count;
        uint32_t last_reset;
    };

    ToyDevice(pci::FunctionOptions options, UniqueFd file, Mapping mapping);
    void on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) override;
    void on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) override;
    void on_reset(pci::ResetKind kind) override;
    void act(uint64_t offset);
    void start_dma();
    void interrupt(uint32_t what);

    UniqueFd file_;
    Mapping bar1_;
    std::array<uint8_t, kScratchSize> scratch_{};
    Registers registers_{};
    std::vector<uint8_t> rom_;
};

}  // namespace mimic::test
