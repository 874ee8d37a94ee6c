// SPDX-License-Identifier: Apache-2.0
// BARs and ROMs of a function: kinds from its registers, sizes from the text. What the text alone
// has is the kernel's: lspci prints the kernel's resources, of which some have no register. That is
// what show_bases() and show_rom() of pciutils 3.14's lspci.c do; older ones differ in the order of
// words.
#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "dump/hierarchy.h"
#include "pci/config/config_image.h"
#include "pci/config/pci_regs.h"
#include "topology/yaml.h"

namespace mimic::dump {
namespace {

constexpr uint64_t kAssumedBar = 16384;  // arbitrary: a register file of middle size
constexpr uint64_t kAssumedIo = 32;      // arbitrary
constexpr uint64_t kAssumedRom = 65536;  // arbitrary
constexpr uint64_t kMaxIoBar = 256;
constexpr uint64_t kMinRom = 2048;
constexpr uint64_t kMaxRom = 16u << 20;

// Where firmware leaves a copy of a VGA ROM, which Linux shows as the device's.
constexpr uint64_t kShadowStart = 0xc0000;
constexpr uint64_t kShadowEnd = 0xe0000;

std::string size_text(uint64_t size) {
    return topology::format_size(size);
}

bool has_enhanced_allocation(const DumpFunction& source) {
    constexpr uint16_t kId = 0x14;
    return pci::walk_image(source.config).find(kId, false) != nullptr;
}

class BarMaker {
public:
    explicit BarMaker(ClonedFunction& made) : made_(made), source_(*made.source) {}

    std::vector<std::string> run() {
        made_.bars = bars_of(source_.regions, pci::regs::BAR0, false);
        make_rom();
        const auto sriov = pci::image_sriov(source_.config);
        if (sriov && sriov->options.total_vfs != 0) make_vf_bars(*sriov);
        return std::move(losses_);
    }

private:
    template <typename... Args>
    void lose(fmt::format_string<Args...> format, Args&&... args) {
        losses_.push_back(fmt::format(format, std::forward<Args>(args)...));
    }

    void make_vf_bars(const pci::ImageSriov& sriov) {
        auto regions = source_.vf_regions;
        // The regions of an enabled VF have the sizes that the capability's have not.
        for (unsigned i = 0; made_.vf != nullptr && i < pci::kBarCount; ++i) {
            if (regions[i].size == 0) regions[i].size = made_.vf->regions[i].size;
        }
        made_.vf_bars = bars_of(regions, sriov.offset + pci::regs::SRIOV_VF_BAR0, true);
        made_.total_vfs = sriov.options.total_vfs;
    }

    std::array<pci::Bar, pci::kBarCount> bars_of(const std::array<Region, 6>& regions, size_t at,
                                                 bool of_vfs) {
        auto bars = pci::image_bars(source_.config, at);
        for (unsigned i = 0; i < pci::kBarCount; ++i) {
            const Region& region = regions[i];
            const std::string name = fmt::format("{}BAR{}", of_vfs ? "VF " : "", i);
            if (i > 0 && bars[i - 1].type == pci::BarType::kMemory64) {
                if (region.line != 0 && region.size != 0) {
                    lose(
                        "region {} of the text is the upper half of another in the bytes: left "
                        "out",
                        i);
                }
                continue;
            }
            if (bars[i].type == pci::BarType::kNone) {
                if (region.line != 0 && !of_vfs && is_unassigned_bar(region)) {
                    bars[i].type = pci::BarType::kMemory32;
                } else if (region.line != 0) {
                    lose("region {} of the text has no register behind it ({}): left out", i,
                         owner_of(region));
                }
            }
            if (bars[i].type == pci::BarType::kNone) continue;
            compare_kind(region, bars[i], name, at + 4 * size_t{i});
            bars[i].size = size_of(region, bars[i].type, i, at + 4 * size_t{i}, name, of_vfs);
            if (!is_possible(bars[i], name, of_vfs)) bars[i] = {};
        }
        return bars;
    }

    /// A 32-bit register that nobody gave an address reads zero, but the kernel has found its size.
    bool is_unassigned_bar(const Region& region) const {
        return !region.is_virtual && !region.is_enhanced && !region.address && !region.is_io &&
               !region.is_64bit && !region.prefetchable && region.size != 0 &&
               !has_enhanced_allocation(source_);
    }

    /// Who made up a region whose register is zero.
    std::string owner_of(const Region& region) const {
        if (region.is_enhanced || has_enhanced_allocation(source_)) {
            return "it is of Enhanced Allocation";
        }
        constexpr uint32_t kIdeClass = 0x0101;
        if (pci::image_u32(source_.config, pci::regs::REVISION_ID) >> 16 == kIdeClass) {
            return "legacy IDE, or made up by the kernel";
        }
        return region.is_virtual ? "the kernel's own" : "its register is zero";
    }

    /// The registers tell the kind. Of "[virtual]" ones, lspci's text is nonsense.
    void compare_kind(const Region& region, const pci::Bar& bar, const std::string& name,
                      size_t at) {
        if (region.line == 0 || region.is_virtual) return;
        const bool same = (bar.type == pci::BarType::kIo) == region.is_io &&
                          (bar.type == pci::BarType::kMemory64) == region.is_64bit &&
                          bar.prefetchable == region.prefetchable;
        if (same) return;
        lose("{} is of another kind in the text than in the bytes, which count: {:08x}", name,
             pci::image_u32(source_.config, at));
    }

    /// Of the text, if the address in the bytes is a multiple of it; else assumed.
    uint64_t size_of(const Region& region, pci::BarType type, unsigned index, size_t at,
                     const std::string& name, bool of_vfs) {
        if (!region.odd_size.empty()) {
            lose("{} of {}: no power of two, so not believed", region.odd_size, name);
        }
        const bool is_io = type == pci::BarType::kIo;
        uint64_t address = pci::image_u32(source_.config, at) & (is_io ? ~3U : ~0xfU);
        if (type == pci::BarType::kMemory64) {
            address |= uint64_t{pci::image_u32(source_.config, at + 4)} << 32;
        }
        if (region.size != 0 && address % region.size == 0) return region.size;
        if (region.size != 0) {
            lose(
                "the text gives {} {}, of which its address {:#x} in the bytes is no multiple: "
                "not believed",
                name, size_text(region.size), address);
        }
        uint64_t size = is_io ? kAssumedIo : kAssumedBar;
        if (!of_vfs && !is_io) size = std::max(size, std::bit_ceil(msix_end(index)));
        lose("the size of {} is not in the dump: {} assumed", name, size_text(size));
        return size;
    }

    /// First byte of BAR `index` behind the MSI-X structures in it; 1: there are none.
    uint64_t msix_end(unsigned index) const {
        using namespace pci::regs;
        const pci::ImageWalk walk = pci::walk_image(source_.config);
        const pci::ImageCapability* const msix = walk.find(CAP_ID_MSIX, false);
        if (msix == nullptr || msix->size < MSIX_SIZE) return 1;
        const auto at = [&](uint32_t offset) {
            return pci::image_u32(source_.config, msix->offset + offset);
        };
        const uint32_t vectors = (at(0) >> 16 & MSIX_CONTROL_TABLE_SIZE) + 1;
        uint64_t end = 1;
        if ((at(MSIX_TABLE) & MSIX_BIR) == index) {
            end = uint64_t{at(MSIX_TABLE) & MSIX_OFFSET} + pci::MsixTable::table_size(vectors);
        }
        if ((at(MSIX_PBA) & MSIX_BIR) == index) {
            end = std::max(
                end, uint64_t{at(MSIX_PBA) & MSIX_OFFSET} + pci::MsixTable::pba_size(vectors));
        }
        return end;
    }

    bool is_possible(const pci::Bar& bar, const std::string& name, bool of_vfs) {
        const bool is_io = bar.type == pci::BarType::kIo;
        if (is_io && of_vfs) {
            lose("{} is of I/O, which VFs have not: left out", name);
            return false;
        }
        const uint64_t least = is_io ? 4 : 16;
        const uint64_t most = is_io                                 ? kMaxIoBar
                              : bar.type == pci::BarType::kMemory32 ? 1ull << 31
                                                                    : 1ull << 40;
        if (bar.size >= least && bar.size <= most) return true;
        lose("{} has {} of {}; a BAR of its kind has {} to {}: left out", name, size_text(bar.size),
             is_io ? "I/O" : "memory", size_text(least), size_text(most));
        return false;
    }

    void make_rom() {
        const Region& rom = source_.rom;
        const bool in_bytes = (pci::image_u32(source_.config, pci::regs::EXPANSION_ROM) &
                               pci::regs::EXPANSION_ROM_ADDRESS) != 0;
        if (rom.line == 0 && !in_bytes) return;
        if (!in_bytes) {
            const uint64_t address = rom.address.value_or(0);
            if (address >= kShadowStart && address < kShadowEnd) {
                return lose(
                    "its ROM at {:08x} is the copy that firmware left in memory, its "
                    "register is zero: left out",
                    address);
            }
            if (rom.is_enhanced || has_enhanced_allocation(source_)) {
                return lose("its ROM is of Enhanced Allocation, its register is zero: left out");
            }
            // Unassigned ones have been sized by the kernel.
            if (rom.is_virtual || rom.address || rom.size == 0) {
                return lose("its ROM is in the text only, its register is zero: left out");
            }
        }
        if (!rom.odd_size.empty()) lose("{} of its ROM: not believed", rom.odd_size);
        made_.rom_bytes = rom.size;
        if (rom.size == 0) {
            made_.rom_bytes = kAssumedRom;
            lose("the size of its ROM is not in the dump: {} assumed", size_text(kAssumedRom));
        } else if (rom.size < kMinRom || rom.size > kMaxRom) {
            made_.rom_bytes = 0;
            lose("its ROM has {}; one has {} to {}: left out", size_text(rom.size),
                 size_text(kMinRom), size_text(kMaxRom));
        }
    }

    ClonedFunction& made_;
    const DumpFunction& source_;
    std::vector<std::string> losses_;
};

}  // namespace

std::vector<std::string> make_bars(ClonedFunction& function) {
    return BarMaker(function).run();
}

}  // namespace mimic::dump
