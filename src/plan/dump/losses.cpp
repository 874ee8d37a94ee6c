// SPDX-License-Identifier: Apache-2.0
// What a clone lacks, in words. What src/lib/pci does with each capability is in its own table.
#include <algorithm>

#include <fmt/format.h>

#include "dump/hierarchy.h"
#include "pci/config/config_image.h"
#include "pci/config/pci_regs.h"
#include "pci/fabric/port.h"

namespace mimic::dump {
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

/// A function that is made only to see what becomes of its capabilities.
class Probe final : public pci::Function {
public:
    explicit Probe(pci::FunctionOptions options) : Function(std::move(options)) {}

private:
    void on_read(unsigned, uint64_t, std::span<uint8_t>) override {}
    void on_write(unsigned, uint64_t, std::span<const uint8_t>) override {}
    void on_reset(pci::ResetKind) override {}
};

pci::FunctionOptions probe_options(const ClonedFunction& function) {
    pci::FunctionOptions options = pci::image_header(function.config);
    options.name = "the clone";
    options.bars = function.bars;
    options.config_size = function.config.size() > 256 ? 4096 : 256;
    return options;
}

/// Lays the image as the clone will; an error is for people.
Result<pci::ImageResult> probe(const ClonedFunction& function) {
    MIMIC_TRY(pci::Function::validate(probe_options(function)));
    Probe made(probe_options(function));
    return pci::lay_image(
        made,
        {.image = function.config, .vf_bars = function.vf_bars, .lowest_pf = function.number == 0});
}

/// Capabilities of a kind that works, in a shape that does not.
void add_misfits(const ClonedFunction& function, Losses& out) {
    const auto laid = probe(function);
    if (!laid) return;
    for (const std::string& one : laid->copied) out.push_back(one + ": copied, read only");
}

void add_sriov(const ClonedFunction& function, Losses& out) {
    using namespace pci::regs;
    constexpr unsigned kMaxVfs = 256;  // of a clone
    if (function.total_vfs == 0) return;
    const auto sriov = pci::image_sriov(function.config, function.number == 0);
    const auto u16 = [&](uint32_t at) {
        return pci::image_u16(function.config, sriov->offset + at);
    };
    if (sriov && u16(SRIOV_FIRST_VF_OFFSET) == 0) {
        out.push_back("SR-IOV: its First VF Offset was 0 without VFs: 1 assumed");
    }
    if (sriov && u16(SRIOV_VF_STRIDE) == 0 && function.total_vfs > 1) {
        out.push_back("SR-IOV: its VF Stride was 0 without VFs: 1 assumed");
    }
    if (function.total_vfs > kMaxVfs) {
        out.push_back(fmt::format("SR-IOV: {} of its {} VFs, and no more at a time", kMaxVfs,
                                  function.total_vfs));
    }
    if (function.number != 0) {
        out.push_back(
            "SR-IOV: its VFs stay where they are whether or not function 0 is in an ARI "
            "hierarchy");
    }
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

std::string misfit_of(const ClonedFunction& function) {
    const auto laid = probe(function);
    return laid ? "" : laid.error().message();
}

std::string misfit_of_port(const DumpFunction& port) {
    const unsigned type = port_type(port).value_or(0);
    const auto made = pci::Port::create({.name = "it",
                                         .type = static_cast<pci::PciePortType>(type),
                                         .ari = false,
                                         .image = port.config});
    if (made) return "";
    return fmt::format("no port of Mimic's can have its registers ({})", made.error().message());
}

std::vector<std::string> function_losses(const ClonedFunction& function, bool on_fabric) {
    using namespace pci::regs;
    Losses out;
    const auto& config = function.config;
    out = function.source->losses;
    add_capabilities(*function.source, out);
    add_misfits(function, out);
    add_sriov(function, out);
    if (config.size() == 256 && function.source->losses.empty() &&
        pci::walk_image(config).find(CAP_ID_PCIE, false) != nullptr) {
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
    using namespace pci::regs;
    Losses out = port.losses;
    add_capabilities(port, out);
    const pci::ImageWalk walk = pci::walk_image(port.config);
    const auto* const pm = walk.find(CAP_ID_PM, false);
    if (pm && (pci::image_u16(port.config, pm->offset + PMCSR) & PMCSR_NO_SOFT_RESET) == 0) {
        out.push_back(
            fmt::format("[{:x}] Power Management: NoSoftRst-; a port of Mimic's keeps its state in "
                        "D3hot",
                        pm->offset));
    }
    if ((pci::image_u16(port.config, PREFETCHABLE_BASE) & 0xf) != PREFETCHABLE_64_BIT) {
        out.push_back("its prefetchable window has not 64 bits; that of a port of Mimic's has");
    }
    const auto bars = pci::image_bars(port.config, pci::regs::BAR0, 2);
    if (bars[0].type != pci::BarType::kNone || bars[1].type != pci::BarType::kNone) {
        out.push_back("its BARs, and the registers behind them");
    }
    if (pci::image_u32(port.config, BRIDGE_EXPANSION_ROM) != 0) out.push_back("its ROM");
    out.push_back("I/O windows, indicators, buttons and power of its slot");
    return out;
}

}  // namespace mimic::dump
