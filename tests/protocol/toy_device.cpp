// SPDX-License-Identifier: Apache-2.0
#include "tests/protocol/toy_device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "pci/function/capabilities.h"
#include "vfio_user/guest_memory.h"

namespace mimic::test {
namespace {

pci::FunctionOptions options_of(const std::string& name, int bar1_fd) {
    pci::FunctionOptions options;
    options.name = name;
    options.vendor_id = 0x1de5;
    options.device_id = 0x7e57;
    options.class_code = 0x120000;
    options.interrupt_pin = 1;
    options.bars[0] = {.type = pci::BarType::kMemory32, .size = kBar0Size};
    options.bars[1] = {.type = pci::BarType::kMemory32,
                       .size = kBar1Size,
                       .fd = bar1_fd,
                       .areas = {{0x1000, 0x2000}, {0x4000, 0x1000}}};
    options.bars[2] = {.type = pci::BarType::kMemory64, .prefetchable = true, .size = kBar2Size};
    options.bars[4] = {.type = pci::BarType::kIo, .size = 16};
    return options;
}

}  // namespace

Result<std::unique_ptr<ToyDevice>> ToyDevice::create(const std::string& name) {
    UniqueFd file(::memfd_create("toy-bar1", MFD_CLOEXEC));
    if (!file) return fail_errno("memfd_create");
    if (::ftruncate(file.get(), kBar1Size) != 0) return fail_errno("ftruncate");
    MIMIC_ASSIGN_OR_RETURN(auto mapping,
                           Mapping::map(file.get(), 0, kBar1Size, PROT_READ | PROT_WRITE));
    auto options = options_of(name, file.get());
    MIMIC_TRY(validate(options));
    std::unique_ptr<ToyDevice> toy(
        new ToyDevice(std::move(options), std::move(file), std::move(mapping)));
    pci::CapabilityBuilder capabilities(*toy);
    MIMIC_TRY(capabilities.add_power_management({}));
    MIMIC_TRY(capabilities.add_msi({.vectors = kToyMsiVectors}));
    MIMIC_TRY(capabilities.add_msix(
        {.vectors = kToyMsixVectors, .table_offset = kMsixTable, .pba_offset = kMsixPba}));
    MIMIC_TRY(capabilities.add_pcie({}));
    MIMIC_TRY(capabilities.add_aer({}));
    MIMIC_TRY(capabilities.add_device_serial_number(0x0123456789abcdef));
    return toy;
}

ToyDevice::ToyDevice(pci::FunctionOptions options, UniqueFd file, Mapping mapping)
    : Function(std::move(options)),
      file_(std::move(file)),
      bar1_(std::move(mapping)),
      rom_(kRomSize) {
    std::iota(rom_.begin(), rom_.end(), uint8_t{0});
    rom_[0] = 0x55;
    rom_[1] = 0xaa;
}

void ToyDevice::on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) {
    for (size_t i = 0; i < data.size(); ++i) {
        const uint64_t at = offset + i;
        uint8_t value = 0;
        if (bar == 0 && at < kScratchSize)
            value = scratch_[at];
        else if (bar == 0 && at < kDmaAddress + sizeof registers_)
            std::memcpy(&value, reinterpret_cast<const uint8_t*>(&registers_) + (at - kDmaAddress),
                        1);
        else if (bar == 1)
            value = static_cast<uint8_t>(bar1_.bytes()[at]);
        else if (bar == 2)
            value = static_cast<uint8_t>(at * 7);
        data[i] = value;
    }
}

void ToyDevice::on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
    for (size_t i = 0; i < data.size(); ++i) {
        const uint64_t at = offset + i;
        if (bar == 0 && at < kScratchSize)
            scratch_[at] = data[i];
        else if (bar == 0 && at < kDmaAddress + sizeof registers_)
            std::memcpy(reinterpret_cast<uint8_t*>(&registers_) + (at - kDmaAddress), &data[i], 1);
        else if (bar == 1)
            bar1_.bytes()[at] = static_cast<std::byte>(data[i]);
    }
    if (bar == 0) act(offset);
}

void ToyDevice::act(uint64_t offset) {
    if (offset == kDmaStart) start_dma();
    if (offset == kInterrupt) interrupt(registers_.interrupt);
}

void ToyDevice::start_dma() {
    registers_.dma_status = kDmaBusy;
    const auto finish = [this](const auto& result) {
        const int error = result ? 0 : result.error().errno_value();
        registers_.dma_status = error == 0 ? kDmaDone : kDmaFailed | static_cast<uint32_t>(error);
    };
    if (registers_.dma_start == kStartRead) {
        dma_read(registers_.dma_address, registers_.dma_size,
                 [this, finish](const Result<std::span<const std::byte>>& bytes) {
                     uint32_t sum = 0;
                     if (bytes)
                         for (const std::byte b : *bytes) sum += static_cast<uint32_t>(b);
                     registers_.dma_sum = sum;
                     finish(bytes);
                 });
    } else {
        // The size is the peer's: no more is prepared than a transfer may have.
        if (registers_.dma_size > vfio_user::kMaxDmaTransfer)
            return finish(Status(fail(std::errc::invalid_argument, "too much")));
        std::vector<std::byte> data(registers_.dma_size);
        // The pattern i * 3 + 1 repeats after 256 bytes; copies keep a sanitized build fast.
        constexpr size_t kPeriod = 256;
        for (size_t i = 0; i < std::min(kPeriod, data.size()); ++i)
            data[i] = static_cast<std::byte>(i * 3 + 1);
        for (size_t at = kPeriod; at < data.size(); at += kPeriod)
            std::memcpy(&data[at], data.data(), std::min(kPeriod, data.size() - at));
        dma_write(registers_.dma_address, data, finish);
    }
}

void ToyDevice::interrupt(uint32_t what) {
    if (what < kToyMsixVectors)
        raise_msix(what);
    else if (what >= kRaiseMsi && what < kRaiseMsi + kToyMsiVectors)
        raise_msi(what - kRaiseMsi);
    else if (what == kPinHigh || what == kPinLow)
        set_intx(what == kPinHigh);
}

void ToyDevice::on_reset(pci::ResetKind kind) {
    ++resets;
    if (kind == pci::ResetKind::kDetach) ++detaches;
    scratch_.fill(0);
    const uint32_t count = registers_.reset_count + 1;
    registers_ = {};
    registers_.reset_count = count;
    registers_.last_reset = static_cast<uint32_t>(kind);
}

}  // namespace mimic::test
