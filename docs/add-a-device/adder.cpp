// SPDX-License-Identifier: Apache-2.0
#include "adder.h"

#include <cstring>
#include <utility>

namespace adder {

using mimic::Result;
using mimic::pci::Function;

mimic::pci::FunctionOptions Adder::function_options(const std::string& name,
                                                    bool virtual_function) {
    mimic::pci::FunctionOptions options;
    options.name = name;
    options.virtual_function = virtual_function;
    options.vendor_id = 0x1de5;
    options.device_id = 0xadd1;
    options.class_code = 0x120000;  // processing accelerator
    options.bars[0] = {.type = mimic::pci::BarType::kMemory32, .size = kBarSizeBytes};
    return options;
}

Adder::Adder(mimic::pci::FunctionOptions options) : Function(std::move(options)), bank_(name()) {
    bank_.on_write<CTRL>([this](const mimic::reg::WriteEvent& event) {
        if ((event.written & 1) != 0) start();
    });
}

Result<std::unique_ptr<Adder>> Adder::create(const std::string& name, bool virtual_function) {
    std::unique_ptr<Adder> device(new Adder(function_options(name, virtual_function)));
    mimic::pci::CapabilityBuilder builder(*device);
    MIMIC_TRY(builder.add_power_management({}));
    MIMIC_TRY(builder.add_msix({.vectors = 1,
                                .table_bar = 0,
                                .table_offset = kMsixTableOffset,
                                .pba_bar = 0,
                                .pba_offset = kMsixPbaOffset}));
    MIMIC_TRY(builder.add_pcie({}));
    MIMIC_TRY(device->bank_.check_bound());
    return device;
}

void Adder::on_read(unsigned, uint64_t offset, std::span<uint8_t> data) {
    bank_.read(offset, data);
}

void Adder::on_write(unsigned, uint64_t offset, std::span<const uint8_t> data) {
    bank_.write(offset, data);
}

std::vector<mimic::pci::RegisterBlock> Adder::register_blocks() const {
    return {{.bar = 0, .offset = 0, .name = "adder", .registers = &bank_}};
}

void Adder::on_reset(mimic::pci::ResetKind) {
    bank_.reset();
}

void Adder::start() {
    if (bank_.get<STATUS, "BUSY">() != 0) return;
    bank_.set<STATUS, "BUSY">(1);
    const uint64_t count = bank_.get<COUNT, "VALUE">();
    const uint64_t source = bank_.get<SOURCE, "ADDRESS">();
    if (count == 0 || count > kMaxWords)
        return finish(mimic::fail(std::errc::invalid_argument, "nothing to add"));
    // The answer may come at once or after this register write is done; never wait for it here.
    dma_read(source, count * 4, [this](auto words) { finish(std::move(words)); });
}

void Adder::finish(Result<std::span<const std::byte>> words) {
    uint64_t sum = 0;
    if (words) {
        for (size_t i = 0; i < words->size(); i += 4) {
            uint32_t word;
            std::memcpy(&word, words->data() + i, sizeof word);
            sum += word;
        }
        bank_.set<SUM, "VALUE">(sum);
    }
    bank_.set<STATUS, "BUSY">(0);
    bank_.set<STATUS, "DONE">(1);
    bank_.set<STATUS, "ERROR">(words ? 0 : 1);
    raise_msix(0);
}

}  // namespace adder
