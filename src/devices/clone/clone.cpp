// SPDX-License-Identifier: Apache-2.0
#include "devices/clone/clone.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "pci/config/pci_regs.h"
#include "pci/function/sriov.h"

namespace mimic::clone {
namespace {

constexpr uint64_t kMaxRom = 16ull << 20;  // PCI 3.0, 6.2.5.2
constexpr uint64_t kMinRom = 2048;

// What the ROM of every clone reads as. Never written, so it takes no memory.
uint8_t zeros[kMaxRom];

void put(std::vector<uint8_t>& image, size_t at, uint8_t value) {
    if (at < image.size()) image[at] = value;
}

// A VF whose own image nobody has: class and subsystem of the PF, and its PCI Express capability
// as the only one.
std::vector<uint8_t> made_up_vf(std::span<const uint8_t> pf) {
    using namespace pci::regs;
    std::vector<uint8_t> image(pf.size(), 0);
    const auto copy = [&](size_t at, size_t size) {
        for (size_t i = at; i < at + size && i < pf.size(); ++i) image[i] = pf[i];
    };
    copy(REVISION_ID, 4);
    copy(SUBSYSTEM_VENDOR_ID, 4);
    const pci::ImageWalk walk = pci::walk_image(pf);
    const pci::ImageCapability* const pcie = walk.find(CAP_ID_PCIE, false);
    if (pcie == nullptr) return image;
    copy(pcie->offset, pcie->size);
    put(image, pcie->offset + 1, 0);  // the last of its list
    put(image, CAPABILITIES_POINTER, static_cast<uint8_t>(pcie->offset));
    put(image, STATUS, STATUS_CAPABILITIES_LIST);
    return image;
}

}  // namespace

pci::FunctionOptions Clone::function_options(const Options& options) {
    pci::FunctionOptions result = pci::image_header(options.image);
    result.name = options.name;
    result.bars = options.bars;
    result.multifunction = options.multifunction;
    // A client that sees 256 bytes takes the function for conventional PCI, and it may be one.
    result.config_size = options.image.size() > 256 ? 4096 : 256;
    return result;
}

Result<std::unique_ptr<Clone>> Clone::create(const Options& options) {
    const auto name_it = [&](Error error) {
        return tl::unexpected<Error>(
            std::move(error).with_context(fmt::format("clone {}", options.name)));
    };
    const pci::FunctionOptions function = function_options(options);
    if (options.image.size() < 64 || function.header != pci::HeaderType::kEndpoint) {
        return name_it(Error(std::errc::invalid_argument, "its image is not that of an endpoint"));
    }
    const uint64_t rom = options.rom_bytes;
    if (rom != 0 && (!std::has_single_bit(rom) || rom < kMinRom || rom > kMaxRom)) {
        return name_it(Error(std::errc::invalid_argument,
                             fmt::format("a ROM of {:#x} bytes: want a power of two, {:#x}..{:#x}",
                                         rom, kMinRom, kMaxRom)));
    }
    auto made = make(options, function);
    if (!made) return name_it(made.error());
    return made;
}

Result<std::unique_ptr<Clone>> Clone::make(const Options& options, pci::FunctionOptions function) {
    MIMIC_TRY(validate(function));
    std::unique_ptr<Clone> device(new Clone(options, std::move(function)));
    MIMIC_ASSIGN_OR_RETURN(auto laid, pci::lay_image(*device, {.image = options.image,
                                                               .vf_bars = options.vf_bars,
                                                               .lowest_pf = options.number == 0}));
    device->copied_ = std::move(laid.copied);
    return device;
}

Clone::Clone(const Options& options, pci::FunctionOptions function)
    : Function(std::move(function)), rom_bytes_(options.rom_bytes) {
    if (this->options().virtual_function || !pci::image_sriov(options.image)) return;
    vf_.image = options.vf_image.empty() ? made_up_vf(options.image) : options.vf_image;
    vf_.bars = options.vf_bars;
}

std::span<const uint8_t> Clone::rom() const {
    return {zeros, static_cast<size_t>(rom_bytes_)};
}

void Clone::on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) {
    memory_.read(bar, offset, data);
}

void Clone::on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
    memory_.write(bar, offset, data);
}

void Clone::on_reset(pci::ResetKind) {
    memory_.clear();
}

std::unique_ptr<pci::Function> Clone::make_vf(uint32_t index) {
    if (vf_.image.empty() || index >= kMaxVfs) return nullptr;
    vf_.name = fmt::format("{}-vf{}", name(), index);
    pci::FunctionOptions function = function_options(vf_);
    function.virtual_function = true;
    function.vendor_id = options().vendor_id;  // an image of a VF has ones here
    function.interrupt_pin = 0;
    auto made = make(vf_, std::move(function));
    return made ? std::move(*made) : nullptr;
}

}  // namespace mimic::clone
