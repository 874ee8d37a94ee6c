// SPDX-License-Identifier: Apache-2.0
// Adder: adds 32-bit words from guest memory and raises an interrupt. The toy device of
// docs/add-a-device.md.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pci/function/capabilities.h"
#include "pci/function/function.h"
#include "reg/bank.h"
#include "registers.h"

namespace adder {

inline constexpr uint32_t kMaxWords = 1024;

/// One adder. Thread-bound to the loop that owns it.
class Adder final : public mimic::pci::Function {
public:
    /// `virtual_function`: for the make_vf() of a PF. Errors: those of the capability builder,
    /// which would be a bug of this file.
    static mimic::Result<std::unique_ptr<Adder>> create(const std::string& name,
                                                        bool virtual_function = false);

    std::vector<mimic::pci::RegisterBlock> register_blocks() const override;

private:
    explicit Adder(mimic::pci::FunctionOptions options);

    static mimic::pci::FunctionOptions function_options(const std::string& name,
                                                        bool virtual_function);
    void on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) override;
    void on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) override;
    void on_reset(mimic::pci::ResetKind kind) override;
    void start();
    void finish(mimic::Result<std::span<const std::byte>> words);

    mimic::reg::Bank<kMap> bank_;
};

}  // namespace adder
