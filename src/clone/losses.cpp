// SPDX-License-Identifier: Apache-2.0
// What a clone lacks, in words. What src/pci does with each capability is in its own table.
#include <algorithm>

#include <fmt/format.h>

#include "clone/hierarchy.h"
#include "pci/config_image.h"
#include "pci/pci_regs.h"

namespace mimic::clone {
namespace {

using Losses = std::vector<std::string>;

void add_capabilities(const DumpFunction& of, Losses& out) {
    const pci::ImageWalk walk = pci::walk_image(of.config);
    for (const std::string& problem : walk.problems) out.push_back(problem);
    for (const pci::ImageCapability& one : walk.capabilities) {
        const pci::CapabilityFacts& facts = pci::capability_facts(one.id, one.extended);
        const std::string name = facts.name.empty()
                                     ? fmt::format(
                                           "{} {:#04x}",
                                           one.extended ? "extended capability" : "capability",
                                           one.id)
                                     : std::string(facts.name);
        if (facts.use == pci::CapabilityUse::kModelled && facts.lost.empty()) continue;
        const std::string_view how = facts.use == pci::CapabilityUse::kControls
                                         ? "its controls can be set, but not "
                                     : facts.use == pci::CapabilityUse::kCopied
                                         ? "copied, read only; not "
                                         : "not ";
        if (!facts.lost.empty()) {
            out.push_back(fmt::format("[{:x}] {}: {}{}", one.offset, name, how, facts.lost));
        }
    }
}

/// Capabilities of a kind that works, in a shape that does not.
void add_misfits(const ClonedFunction& function, Losses& out) {
    using namespace pci::regs;
    const auto& config = function.source->config;
    const pci::ImageWalk walk = pci::walk_image(config);
    if (const auto* const msix = walk.find(CAP_ID_MSIX, false); msix && msix->size >= MSIX_SIZE) {
        const uint32_t table = pci::image_u32(config, msix->offset + MSIX_TABLE);
        const uint32_t vectors = (pci::image_u16(config, msix->offset + MSIX_CONTROL) &
                                  MSIX_CONTROL_TABLE_SIZE) +
                                 1U;
        const uint32_t bar = table & MSIX_BIR;
        const uint64_t size = bar < pci::kBarCount ? function.bars[bar].size : 0;
        if ((table & MSIX_OFFSET) + pci::MsixTable::table_size(vectors) > size) {
            out.push_back(
                fmt::format("[{:x}] MSI-X: its table does not fit into BAR{}: copied, "
                            "read only",
                            msix->offset, bar));
        }
    }
    const auto* const pcie = walk.find(CAP_ID_PCIE, false);
    if (pcie && pcie->size < PCIE_SIZE) {
        out.push_back(fmt::format("[{:x}] PCI Express: a short one (version 1): copied, read only",
                                  pcie->offset));
    }
}

void add_sriov(const ClonedFunction& function, Losses& out) {
    if (function.total_vfs == 0) return;
    const bool has_bars = std::any_of(function.vf_bars.begin(), function.vf_bars.end(),
                                      [](const pci::Bar& bar) { return bar.size != 0; });
    if (!has_bars) {
        out.push_back("SR-IOV: its VF BARs are not in the dump, so VFs cannot be enabled");
    } else if (function.vf == nullptr) {
        out.push_back(
            "SR-IOV: no VF is in the dump, so VFs have a PCI Express capability and "
            "no other (enable VFs before lspci for more)");
    }
}

}  // namespace

std::vector<std::string> function_losses(const ClonedFunction& function, bool on_fabric) {
    using namespace pci::regs;
    Losses out;
    const auto& config = function.source->config;
    add_capabilities(*function.source, out);
    add_misfits(function, out);
    add_sriov(function, out);
    if (config.size() == 256 && pci::walk_image(config).find(CAP_ID_PCIE, false) != nullptr) {
        out.push_back(
            "extended capabilities are not in the dump's 256 bytes (lspci -xxxx has "
            "them)");
    }
    if (function.rom_bytes != 0) out.push_back("the contents of its ROM: they read as zero");
    const bool has_io = std::any_of(
        function.bars.begin(), function.bars.end(),
        [](const pci::Bar& bar) { return bar.type == pci::BarType::kIo; });
    if (on_fabric) {
        if (has_io) out.push_back("I/O BARs: nothing answers there, a fabric has no I/O space");
        if (config[INTERRUPT_PIN] != 0) {
            out.push_back("INTx: the pin is shown, but a fabric carries no INTx");
        }
    } else {
        const pci::ImageWalk walk = pci::walk_image(config);
        if (walk.find(EXT_CAP_ID_SRIOV, true) != nullptr || walk.find(EXT_CAP_ID_ARI, true)) {
            out.push_back(
                "SR-IOV and ARI: QEMU hides both of an endpoint (--attach fabric shows "
                "them)");
        }
    }
    return out;
}

std::vector<std::string> port_losses(const DumpFunction& port) {
    Losses out;
    add_capabilities(port, out);
    const auto bars = pci::image_bars(port.config, pci::regs::BAR0, 2);
    if (bars[0].type != pci::BarType::kNone || bars[1].type != pci::BarType::kNone) {
        out.push_back("its BARs, and the registers behind them");
    }
    out.push_back("I/O windows, indicators, buttons and power of its slot");
    return out;
}

}  // namespace mimic::clone
