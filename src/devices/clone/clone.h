// SPDX-License-Identifier: Apache-2.0
// Clone: a PCI function that looks like one that somebody read elsewhere: its configuration
// space, the sizes of its BARs, and nothing of what the device does. README.md says what works.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "devices/clone/bar_memory.h"
#include "pci/config/config_image.h"
#include "pci/function/function.h"

namespace mimic::clone {

/// Host memory that the guest's writes to one function's BARs may take. Arbitrary: more than
/// drivers write into registers, little enough for hundreds of functions.
inline constexpr uint64_t kMaxBarMemory = 4ull << 20;

/// Enabled VFs of one PF; each is a function of its own in the device host. Arbitrary.
inline constexpr uint32_t kMaxVfs = 256;

/// What to look like.
struct Options {
    std::string name;                             // for logs, as the topology calls it
    std::vector<uint8_t> image;                   // 64, 256 or 4096 bytes of configuration space
    std::array<pci::Bar, pci::kBarCount> bars{};  // with sizes
    uint64_t rom_bytes = 0;  // of the expansion ROM BAR, a power of two up to 16 MiB; 0: none
    std::array<pci::Bar, pci::kBarCount> vf_bars{};  // of one VF; none: no VFs can be enabled
    std::vector<uint8_t> vf_image{};                 // of a VF; empty: one is made up from the PF's
    uint8_t number = 0;                              // function number in the device
    bool multifunction = false;                      // the device has functions besides number 0
};

/// Thread-bound to the loop that owns it.
class Clone final : public pci::Function {
public:
    /// Error invalid_argument, beginning with the device's name, for an image or BARs that no
    /// function can have.
    static Result<std::unique_ptr<Clone>> create(const Options& options);

    /// Capabilities that are only copied, and why.
    const std::vector<std::string>& copied() const { return copied_; }
    const BarMemory& memory() const { return memory_; }

    std::span<const uint8_t> rom() const override;

private:
    Clone(const Options& options, pci::FunctionOptions function);
    static pci::FunctionOptions function_options(const Options& options);
    static Result<std::unique_ptr<Clone>> make(const Options& options,
                                               pci::FunctionOptions function);
    // Nothing of what the device does: no interrupts, no DMA.
    Habits habits() const override { return {.vectors = 0, .dma = false}; }
    void on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) override;
    void on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) override;
    void on_reset(pci::ResetKind kind) override;
    std::unique_ptr<pci::Function> make_vf(uint32_t index) override;

    Options vf_;  // what make_vf() makes, but for the name; no image: not an SR-IOV device
    BarMemory memory_{kMaxBarMemory};
    uint64_t rom_bytes_;
    std::vector<std::string> copied_;
};

}  // namespace mimic::clone
