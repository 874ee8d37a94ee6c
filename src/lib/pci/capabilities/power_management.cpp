// SPDX-License-Identifier: Apache-2.0
#include "pci/capabilities/power_management.h"

#include "pci/capabilities/placing.h"
#include "pci/config/pci_regs.h"

namespace mimic::pci {

using namespace regs;

Result<PowerManagement> PowerManagement::lay(ConfigSpace& config, std::string_view owner,
                                             const PowerManagementOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           place_single(config, owner, CAP_ID_PM, PM_SIZE, options.at));
    config.define_u16(cap + PMC, {.reset = PMC_VERSION_1_2 | (options.d1 ? PMC_D1_SUPPORT : 0) |
                                           (options.d2 ? PMC_D2_SUPPORT : 0)});
    config.define_u16(cap + PMCSR, {.reset = options.no_soft_reset ? PMCSR_NO_SOFT_RESET : 0,
                                    .writable = PMCSR_POWER_STATE});
    return PowerManagement(config, cap);
}

std::optional<PowerManagement::Step> PowerManagement::written(const ConfigWrite& write) {
    constexpr uint32_t kD3Hot = 3;
    const uint32_t from = write.old_value & PMCSR_POWER_STATE;
    const uint32_t to = write.new_value & PMCSR_POWER_STATE;
    if (from == to) return std::nullopt;

    // From any state software may go to D0 or deeper, to states that exist; else the write is
    // dropped (PCI PM 1.2, 3.2.4 and 5.6).
    const uint32_t pmc = config_->u16(cap_ + PMC);
    const bool exists = (to != 1 || (pmc & PMC_D1_SUPPORT) != 0) &&
                        (to != 2 || (pmc & PMC_D2_SUPPORT) != 0);
    if (!exists || (to != 0 && to < from)) {
        config_->set_bits(cap_ + PMCSR, 2, PMCSR_POWER_STATE, from);
        return std::nullopt;
    }
    return Step{to, from == kD3Hot && (write.new_value & PMCSR_NO_SOFT_RESET) == 0};
}

}  // namespace mimic::pci
