// SPDX-License-Identifier: Apache-2.0
// A function without a model, for tests of what all functions have.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "pci/config/pci_regs.h"
#include "pci/function/function.h"
#include "pci/testing/slot.h"

namespace mimic::pci {

/// A function whose BAR0 is MSI-X structures, where it has them, and zeros.
class TestFunction final : public Function {
public:
    explicit TestFunction(FunctionOptions options = default_options())
        : Function(std::move(options)) {}

    static FunctionOptions default_options() {
        FunctionOptions options;
        options.name = "test0";
        options.vendor_id = 0x1de5;
        options.device_id = 0x0001;
        options.subsystem_vendor_id = 0x1af4;
        options.subsystem_id = 0x1100;
        options.class_code = 0x120000;
        options.revision = 3;
        options.interrupt_pin = 1;
        options.bars[0] = {.type = BarType::kMemory32, .size = 0x1'0000};
        return options;
    }

    std::span<const uint8_t> rom() const override { return image; }
    void on_reset(ResetKind kind) override {
        resets.push_back(kind);
        if (during_reset) during_reset();
    }

    using Function::dma;
    using Function::dma_read;
    using Function::dma_write;
    using Function::raise_msi;
    using Function::raise_msix;
    using Function::set_intx;
    using Function::slot;

    /// Config accesses as a guest makes them.
    void write_u8(uint32_t offset, uint8_t value) { write_le(offset, value, 1); }
    void write_u16(uint32_t offset, uint32_t value) { write_le(offset, value, 2); }
    void write_u32(uint32_t offset, uint32_t value) { write_le(offset, value, 4); }
    uint32_t read_u32(uint32_t offset) {
        uint32_t value = 0;
        config_read(offset, {reinterpret_cast<uint8_t*>(&value), 4});
        return value;
    }

    /// BAR0 accesses as a guest makes them.
    void bar0_write_u32(uint64_t offset, uint32_t value) {
        write_bar(0, offset, {reinterpret_cast<const uint8_t*>(&value), 4});
    }
    uint64_t bar0_read_u64(uint64_t offset) {
        uint64_t value = 0;
        read_bar(0, offset, {reinterpret_cast<uint8_t*>(&value), 8});
        return value;
    }

    std::vector<uint8_t> image;
    std::vector<ResetKind> resets;
    std::function<void()> during_reset;
    uint32_t model_writes = 0;

private:
    void on_read(unsigned, uint64_t, std::span<uint8_t> data) override {
        std::fill(data.begin(), data.end(), uint8_t{0});
    }
    void on_write(unsigned, uint64_t, std::span<const uint8_t>) override { ++model_writes; }

    void write_le(uint32_t offset, uint32_t value, size_t size) {
        config_write(offset, {reinterpret_cast<const uint8_t*>(&value), size});
    }
};

}  // namespace mimic::pci
