// SPDX-License-Identifier: Apache-2.0
// From an image to a function's configuration space: CapabilityBuilder lays what works, the image
// gives the values, and tables say which control bits exist elsewhere.
#include <algorithm>

#include "pci/config/config_image.h"
#include "pci/config/pci_regs.h"

namespace mimic::pci {
namespace {

// How the bits of one dword of a capability differ from "read only, as in the image".
struct Row {
    uint16_t id;
    bool extended;
    uint16_t offset;
    uint32_t writable;  // besides what the builder made so
    uint32_t cold;      // begins clear, whatever the image says: enables, status, logs
    uint32_t ours;      // as the builder made it
};

// PCIe 6.0, 7.5.2 to 7.9; ATS and PRI: chapter 10.
constexpr Row kRows[] = {
    // Power state, PME_En, PME_Status.
    {0x01, false, 0x04, 0, 0x8103, regs::PMCSR_NO_SOFT_RESET},
    {0x03, false, 0x00, 0, 0xffff'0000, 0},  // VPD address and data
    {0x03, false, 0x04, 0, ~0U, 0},
    // MSI: enables; addresses and data in all layouts.
    {0x05, false, 0x00, 0, 0x0071'0000, 0},
    {0x05, false, 0x04, 0, ~0U, 0},
    {0x05, false, 0x08, 0, ~0U, 0},
    {0x05, false, 0x0c, 0, ~0U, 0},
    {0x05, false, 0x10, 0, ~0U, 0},
    {0x05, false, 0x14, 0, ~0U, 0},
    // MSI-X: Function Mask, Enable.
    {0x11, false, 0x00, 0, 0xc000'0000, 0},
    // PCI Express: Initiate FLR; errors and Transactions Pending.
    {0x10, false, 0x08, 0, 0x002f'8000, 0},
    // Retrain, Link Disable; Link Training, bandwidth status. DLL Active is the fabric's.
    {0x10, false, 0x10, 0, 0xc800'0030, 0x2000'0000},
    {0x10, false, 0x18, 0, 0, ~0U},
    {0x10, false, 0x1c, 0, 0x0000'ffff, 0},  // root control
    {0x10, false, 0x20, 0, ~0U, 0},
    {0x10, false, 0x24, 0, 0, regs::DEVCAP2_ARI_FORWARDING},
    // AtomicOps, IDO, LTR, 10-bit tags, OBFF, end-end TLP prefixes.
    {0x10, false, 0x28, 0xf7c0, regs::DEVCTL2_ARI_FORWARDING, 0},
    {0x10, false, 0x30, 0, 0x0020'0000, 0},
    // AER: status, First Error Pointer, logs, root error registers.
    {0x01, true, 0x04, 0, ~0U, 0},
    {0x01, true, 0x10, 0, ~0U, 0},
    {0x01, true, 0x18, 0, 0x1f, 0},
    {0x01, true, 0x1c, 0, ~0U, 0},
    {0x01, true, 0x20, 0, ~0U, 0},
    {0x01, true, 0x24, 0, ~0U, 0},
    {0x01, true, 0x28, 0, ~0U, 0},
    {0x01, true, 0x2c, 0, 0x7, 0},
    {0x01, true, 0x30, 0, 0x07ff'ffff, 0},
    {0x01, true, 0x34, 0, ~0U, 0},
    {0x01, true, 0x38, 0, ~0U, 0},
    {0x01, true, 0x3c, 0, ~0U, 0},
    {0x01, true, 0x40, 0, ~0U, 0},
    {0x01, true, 0x44, 0, ~0U, 0},
    {0x04, true, 0x04, 0xff, 0, 0},                   // Power Budgeting data select
    {0x0e, true, 0x04, 0, 0xffff'0000, 0},            // ARI control
    {0x0f, true, 0x04, 0x801f'0000, 0x8000'0000, 0},  // ATS
    {0x13, true, 0x04, 0x0001, 0x0003'0003, 0},       // PRI: control, status
    {0x13, true, 0x0c, ~0U, ~0U, 0},                  // allocation
    {0x17, true, 0x08, 0x0307, 0x0307, 0},            // TPH
    {0x18, true, 0x04, 0x1fff'1fff, 0, 0},            // LTR
    {0x19, true, 0x04, 0xfe03, 0x1, 0},               // Link Control 3
    {0x19, true, 0x08, 0, ~0U, 0},                    // Lane Error Status
    {0x1b, true, 0x04, 0x0007'0000, 0x0007'0000, 0},  // PASID
    {0x1e, true, 0x08, 0xe3ff'000f, 0, 0},            // L1SS control 1
    {0x1e, true, 0x0c, 0x00fb, 0, 0},                 // L1SS control 2
    {0x1f, true, 0x08, 0xff03, 0, 0},                 // PTM
};

Row row_of(const ImageCapability& one, uint32_t offset) {
    for (const Row& row : kRows) {
        if (row.id == one.id && row.extended == one.extended && row.offset == offset) return row;
    }
    return {one.id, one.extended, static_cast<uint16_t>(offset), 0, 0, 0};
}

class Layout {
public:
    Layout(Function& function, const ImageOptions& options)
        : function_(function),
          config_(function.config()),
          options_(options),
          image_(options.image),
          builder_(function) {}

    Result<ImageResult> run() {
        const ImageWalk walk = walk_image(image_);
        lay_header();
        for (const ImageCapability& one : walk.capabilities) {
            const auto built = build(one);
            if (!built) {
                if (options_.port && one.id == regs::CAP_ID_PCIE && !one.extended) {
                    return tl::unexpected<Error>(built.error());
                }
                result_.copied.push_back(fmt::format("{} at {:#05x}: {}",
                                                     capability_facts(one.id, one.extended).name,
                                                     one.offset, built.error().message()));
            }
            if (!built || !*built) MIMIC_TRY(add_raw(one));
            lay_body(one, built && *built);
        }
        if (options_.port && result_.pcie == 0) {
            return fail(std::errc::invalid_argument, "{}: no PCI Express capability in its image",
                        function_.name());
        }
        lay_rest(walk);
        return std::move(result_);
    }

private:
    uint16_t u16(uint32_t at) const { return image_u16(image_, at); }
    uint32_t u32(uint32_t at) const { return image_u32(image_, at); }

    // The constant parts of the header that FunctionOptions does not have.
    void lay_header() {
        // Immediate Readiness, 66 MHz, UDF, fast back to back, DEVSEL timing.
        constexpr uint32_t kStatus = 1U << 0 | 7U << 5 | 3U << 9;
        const bool is_vf = function_.options().virtual_function;
        // Without the bytes of a list there is none.
        const uint32_t list = image_.size() > 64 ? regs::STATUS_CAPABILITIES_LIST : 0;
        lay(regs::COMMAND, 0, 0, ~((kStatus | list) << 16));
        // Latency timer, and BIST but for its start; the cache line size is software's.
        lay(regs::CACHE_LINE_SIZE, 0, 0x4000'0000, is_vf ? 0x00ff'0000 : 0x00ff'00ff);
        lay(regs::CAPABILITIES_POINTER, 0, 0, 0xff);  // reserved
        if (function_.options().header == HeaderType::kBridge) {
            lay(regs::PRIMARY_BUS, 0, 0, 0x00ff'ffff);  // secondary latency timer
            lay(regs::SECONDARY_STATUS - 2, 0, 0, ~(kStatus << 16));
            return;
        }
        lay(0x28, 0, 0, 0);                                   // Cardbus CIS pointer
        lay(0x38, 0, 0, 0);                                   // reserved
        lay(regs::INTERRUPT_LINE, 0, 0, is_vf ? 0 : 0xffff);  // Min_Gnt, Max_Lat
    }

    // A dword: its value from the image, but `ours` as it is, and `cold` clear.
    void lay(uint32_t at, uint32_t writable, uint32_t cold, uint32_t ours) {
        const RegisterRules before = config_.rules(at);
        RegisterRules rules = before;
        rules.writable |= writable & ~rules.w1c;
        const uint32_t value = u32(at) & ~cold & ~rules.w1c;
        rules.reset = (value & ~ours) | (rules.reset & ours);
        // What is already so takes no memory. A zero is a value like any other: a builder's default
        // may be in its place.
        if (rules.reset == before.reset && rules.writable == before.writable) return;
        config_.define_u32(at, rules);
    }

    void lay_body(const ImageCapability& one, bool built) {
        lay(one.offset, 0, row_of(one, 0).cold, one.extended ? 0xfff0'0000 : 0xffff);
        if (one.extended && one.id == regs::EXT_CAP_ID_SRIOV && built) return lay_sriov(one);
        for (uint32_t at = 4; at + 4 <= one.size + 3; at += 4) {
            Row row = one.extended ? extended_row(one, at) : standard_row(one, at);
            if (!built) row.ours = 0;
            lay(one.offset + at, function_.options().virtual_function ? 0 : row.writable, row.cold,
                row.ours);
        }
    }

    bool has_link_below() const {
        return options_.port && options_.port->type != PciePortType::kUpstreamPort;
    }

    Row standard_row(const ImageCapability& one, uint32_t at) const {
        Row row = row_of(one, at);
        if (one.id == regs::CAP_ID_PCIE) {
            if (at == regs::SLTCAP) {
                // Hot-plug and what belongs to it is the port's; of the rest the slot number only
                // if it has a slot.
                row.ours = 0x0006'007f |
                           (has_link_below() && options_.port->slot ? 0xfff8'0000 : 0);
            }
            // Slots, links below and ARI forwarding are of ports that have them.
            if (!has_link_below()) row.ours = 0;
        }
        if (one.id == regs::CAP_ID_MSI) {
            const uint32_t control = u16(one.offset + regs::MSI_CONTROL);
            const bool wide = (control & regs::MSI_CONTROL_64_BIT_ADDRESS) != 0;
            const bool extended = (control & regs::MSI_CONTROL_EXTENDED_DATA_CAPABLE) != 0;
            if (at == (wide ? regs::MSI_DATA_64 : regs::MSI_DATA_32) && !extended) {
                row.cold = 0xffff;
            }
        }
        return row;
    }

    Row extended_row(const ImageCapability& one, uint32_t at) const {
        Row row = row_of(one, at);
        if (one.id == regs::EXT_CAP_ID_ACS && at == 4) {
            row.writable = (u32(one.offset + 4) & 0x7f) << 16;  // what it can, it controls
        }
        if (one.id == regs::EXT_CAP_ID_AER && at >= regs::AER_ROOT_COMMAND &&
            at <= regs::AER_ROOT_SOURCE &&
            !(options_.port && options_.port->type == PciePortType::kRootPort)) {
            row.cold = 0;  // reserved, so nothing that is enabled or logged
        }
        if (one.id == regs::EXT_CAP_ID_SRIOV) {
            row.cold = at == regs::SRIOV_CONTROL || at == regs::SRIOV_NUM_VFS ? 0xffff : 0;
            if (at >= regs::SRIOV_VF_BAR0 && at < regs::SRIOV_SIZE - 4)
                row.cold = vf_bar_address(one, at);
        }
        return row;
    }

    // The address bits of the VF BAR, or upper half of one, at `at` in a copied SR-IOV capability.
    uint32_t vf_bar_address(const ImageCapability& one, uint32_t at) const {
        const auto bars = image_bars(image_, one.offset + regs::SRIOV_VF_BAR0);
        const uint32_t index = (at - regs::SRIOV_VF_BAR0) / 4;
        const bool upper = index > 0 && bars.at(index - 1).type == BarType::kMemory64;
        return upper ? ~0U : regs::BAR_MEMORY_ADDRESS;
    }

    // The read-only bits of a capability whose registers are otherwise Sriov's.
    void lay_sriov(const ImageCapability& one) {
        using namespace regs;
        const uint32_t capabilities = u32(one.offset + SRIOV_CAPABILITIES);
        const bool has_tags = (capabilities & SRIOV_CAPABILITIES_10_BIT_TAG) != 0;
        lay(one.offset + SRIOV_CAPABILITIES, 0, 0, 0);
        lay(one.offset + SRIOV_CONTROL, has_tags ? SRIOV_CONTROL_10_BIT_TAG : 0, 0, ~0U);
        lay(one.offset + SRIOV_INITIAL_VFS, 0, 0, 0);   // TotalVFs too
        lay(one.offset + SRIOV_NUM_VFS, 0, 0, 0xffff);  // Function Dependency Link
        if (u16(one.offset + SRIOV_TOTAL_VFS) == 1) {   // of one VF it means nothing
            config_.define_u16(one.offset + SRIOV_VF_STRIDE,
                               {.reset = u16(one.offset + SRIOV_VF_STRIDE)});
        }
        lay(one.offset + SRIOV_VF_DEVICE_ID - 2, 0, 0, 0);
        lay(one.offset + SRIOV_SUPPORTED_PAGE_SIZES, 0, 0, 0);
        lay(one.offset + SRIOV_SIZE - 4, 0, 0, 0);  // VF migration state array
    }

    // What lies between the capabilities, which belongs to the device alone.
    void lay_rest(const ImageWalk& walk) {
        const bool is_extended = std::any_of(walk.capabilities.begin(), walk.capabilities.end(),
                                             [](const auto& one) { return one.extended; });
        for (uint32_t at = regs::FIRST_CAPABILITY; at + 4 <= image_.size(); at += 4) {
            if (u32(at) == 0) continue;
            const bool is_ours = std::any_of(
                walk.capabilities.begin(), walk.capabilities.end(),
                [at](const auto& one) { return at >= one.offset && at < one.offset + one.size; });
            // The extended list begins at 0x100, if there is one.
            if (!is_ours && !(is_extended && at == regs::FIRST_EXTENDED_CAPABILITY)) {
                lay(at, 0, 0, 0);
            }
        }
    }

    Status add_raw(const ImageCapability& one) {
        if (one.extended) {
            MIMIC_TRY(config_.add_extended_capability(one.id, one.version, one.size, one.offset));
        } else {
            MIMIC_TRY(config_.add_capability(static_cast<uint8_t>(one.id), one.size, one.offset));
        }
        return {};
    }

    // Lays what the builder knows. False: it does not know this one.
    Result<bool> build(const ImageCapability& one) {
        using namespace regs;
        if (one.extended) return build_extended(one);
        switch (one.id) {
            case CAP_ID_PM:
                MIMIC_TRY(fits(one, PM_SIZE));
                MIMIC_TRY(builder_.add_power_management(
                    {.d1 = (u16(one.offset + PMC) & PMC_D1_SUPPORT) != 0,
                     .d2 = (u16(one.offset + PMC) & PMC_D2_SUPPORT) != 0,
                     // A port in D3hot would forget the buses below it.
                     .no_soft_reset = options_.port ||
                                      (u16(one.offset + PMCSR) & PMCSR_NO_SOFT_RESET) != 0,
                     .at = one.offset}));
                return true;
            case CAP_ID_MSI:
                return build_msi(one);
            case CAP_ID_MSIX:
                return build_msix(one);
            case CAP_ID_PCIE:
                return build_pcie(one);
            case kVpd:
                return build_vpd(one);
            default:
                return false;
        }
    }

    Result<bool> build_extended(const ImageCapability& one) {
        using namespace regs;
        switch (one.id) {
            case EXT_CAP_ID_AER: {
                const bool root = options_.port && options_.port->type == PciePortType::kRootPort;
                MIMIC_TRY(fits(one, root ? AER_ROOT_SIZE : AER_SIZE));
                const uint32_t port_errors = options_.port ? AER_SURPRISE_DOWN | AER_ACS_VIOLATION
                                                           : 0;
                MIMIC_ASSIGN_OR_RETURN(
                    result_.aer,
                    builder_.add_aer({.uncorrectable = kEndpointUncorrectableErrors | port_errors,
                                      .ecrc = (u32(one.offset + AER_CONTROL) &
                                               AER_CONTROL_ECRC_CHECK_CAPABLE) != 0,
                                      .root = root,
                                      .at = one.offset}));
                return true;
            }
            case EXT_CAP_ID_ARI:
                MIMIC_TRY(fits(one, ARI_SIZE));
                MIMIC_TRY(builder_.add_ari(0, one.offset));
                return true;
            case EXT_CAP_ID_SRIOV:
                return build_sriov(one);
            default:
                return false;
        }
    }

    Status fits(const ImageCapability& one, uint32_t size) const {
        if (one.size >= size) return {};
        return fail(std::errc::invalid_argument, "it has {} bytes, not {}", one.size, size);
    }

    Result<bool> build_msi(const ImageCapability& one) {
        using namespace regs;
        const uint32_t control = u16(one.offset + MSI_CONTROL);
        const bool wide = (control & MSI_CONTROL_64_BIT_ADDRESS) != 0;
        const bool masking = (control & MSI_CONTROL_PER_VECTOR_MASKING) != 0;
        MIMIC_TRY(fits(one, (wide ? MSI_DATA_64 : MSI_DATA_32) + (masking ? 12 : 2)));
        MIMIC_TRY(builder_.add_msi(
            {.vectors = 1U << ((control & MSI_CONTROL_MULTIPLE_MESSAGE_CAPABLE) >> 1),
             .address_64 = wide,
             .per_vector_masking = masking,
             .at = one.offset}));
        return true;
    }

    Result<bool> build_msix(const ImageCapability& one) {
        using namespace regs;
        MIMIC_TRY(fits(one, MSIX_SIZE));
        const uint32_t table = u32(one.offset + MSIX_TABLE);
        const uint32_t pba = u32(one.offset + MSIX_PBA);
        MIMIC_TRY(builder_.add_msix(
            {.vectors = (u16(one.offset + MSIX_CONTROL) & MSIX_CONTROL_TABLE_SIZE) + 1U,
             .table_bar = table & MSIX_BIR,
             .table_offset = table & MSIX_OFFSET,
             .pba_bar = pba & MSIX_BIR,
             .pba_offset = pba & MSIX_OFFSET,
             .at = one.offset}));
        return true;
    }

    Result<bool> build_pcie(const ImageCapability& one) {
        using namespace regs;
        MIMIC_TRY(fits(one, PCIE_SIZE));
        const uint32_t flags = u16(one.offset + PCIE_CAPABILITIES);
        const auto type = static_cast<PciePortType>((flags & PCIE_CAPABILITIES_PORT_TYPE) >> 4);
        PcieOptions options;
        if (options_.port) {
            options = *options_.port;
        } else if (type == PciePortType::kEndpoint || type == PciePortType::kLegacyEndpoint ||
                   type == PciePortType::kRootComplexIntegratedEndpoint) {
            options.type = type;
        } else {
            return fail(std::errc::invalid_argument, "port type {} of an endpoint",
                        static_cast<unsigned>(type));
        }
        if (options.type != type) {
            return fail(std::errc::invalid_argument,
                        "{}: its image is that of a port of type {}, not {}", function_.name(),
                        static_cast<unsigned>(type), static_cast<unsigned>(options.type));
        }
        const uint32_t capabilities = u32(one.offset + DEVCAP);
        options.flr = !options_.port && (capabilities & DEVCAP_FLR) != 0;
        options.extended_tag = (capabilities & DEVCAP_EXTENDED_TAG) != 0;
        options.at = one.offset;
        MIMIC_ASSIGN_OR_RETURN(result_.pcie, builder_.add_pcie(options));
        return true;
    }

    // Software writes an address with F clear and waits until F is set (7.9.18.1); then the data
    // are there, and they are zero.
    Result<bool> build_vpd(const ImageCapability& one) {
        constexpr uint32_t kAddress = 0x02;
        constexpr uint32_t kFlag = 0x8000;
        MIMIC_TRY(fits(one, 8));
        MIMIC_TRY(config_.add_capability(kVpd, 8, one.offset));
        const uint32_t at = one.offset + kAddress;
        config_.define_u16(at, {.writable = 0xffff});
        config_.on_write(at, 2, [config = &config_, at](const ConfigWrite& write) {
            config->set_bits(at, 2, kFlag, ~write.new_value);
        });
        return true;
    }

    Result<bool> build_sriov(const ImageCapability& one) {
        using namespace regs;
        MIMIC_TRY(fits(one, SRIOV_SIZE));
        auto found = image_sriov(image_, options_.lowest_pf);
        const bool wanted = std::any_of(options_.vf_bars.begin(), options_.vf_bars.end(),
                                        [](const Bar& bar) { return bar.size != 0; });
        if (!found || !wanted) {
            return fail(std::errc::invalid_argument, "no VF BARs are known");
        }
        found->options.vf_bars = options_.vf_bars;
        MIMIC_TRY(builder_.add_sriov(found->options));
        return true;
    }

    static constexpr uint16_t kVpd = 0x03;

    Function& function_;
    ConfigSpace& config_;
    const ImageOptions& options_;
    std::span<const uint8_t> image_;
    CapabilityBuilder builder_;
    ImageResult result_;
};

}  // namespace

Result<ImageResult> lay_image(Function& function, const ImageOptions& options) {
    const size_t size = options.image.size();
    if (size != 64 && size != 256 && size != 4096) {
        return fail(std::errc::invalid_argument, "{}: an image of {} bytes; want 64, 256 or 4096",
                    function.name(), size);
    }
    return Layout(function, options).run();
}

}  // namespace mimic::pci
