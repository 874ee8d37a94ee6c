// SPDX-License-Identifier: Apache-2.0
// Power Management capability. PCIe 6.0, 7.5.2; PCI Bus Power Management 1.2, 3.2.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "pci/config/config_space.h"

namespace mimic::pci {

/// Power Management. D0 and D3hot always exist; no state generates PME.
struct PowerManagementOptions {
    bool d1 = false;
    bool d2 = false;
    bool no_soft_reset = false;  // true: D3hot to D0 keeps all state; false: it resets the function
    uint32_t at = 0;  // wanted offset in 0x40..0xff; 0: first that fits (so in other capabilities)
};

/// Thread-bound with its function.
class PowerManagement {
public:
    /// Lays the registers into `config` (borrowed), that of the function called `owner`. Errors:
    /// those of place_single().
    static Result<PowerManagement> lay(ConfigSpace& config, std::string_view owner,
                                       const PowerManagementOptions& options);

    uint32_t offset() const { return cap_; }

    /// A change of the power state.
    struct Step {
        uint32_t to = 0;      // 0 (D0) .. 3 (D3hot)
        bool resets = false;  // D3hot to D0 without No_Soft_Reset
    };

    /// What a write of PMCSR changed; nullopt: nothing, and one of a state that does not exist or
    /// cannot be entered is taken back.
    std::optional<Step> written(const ConfigWrite& write);

private:
    PowerManagement(ConfigSpace& config, uint32_t cap) : config_(&config), cap_(cap) {}

    ConfigSpace* config_;
    uint32_t cap_;
};

}  // namespace mimic::pci
