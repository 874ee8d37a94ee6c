// SPDX-License-Identifier: Apache-2.0
// ConfigWindow: the capability by which a driver that cannot map BARs (firmware) reaches them
// through configuration space: reads and writes of pci_cfg_data are accesses of the BAR. Virtio
// 1.3, 4.1.4.9.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "pci/function/function_options.h"

namespace mimic::virtio_pci {

/// The access that the registers of the capability ask for. Thread-bound with its function.
class ConfigWindow {
public:
    struct Access {
        unsigned bar = 0;
        uint64_t offset = 0;
        unsigned size = 0;  // 1, 2 or 4
    };

    /// Borrows both. `capability`: offset of the capability.
    ConfigWindow(pci::ConfigSpace& config, const std::array<pci::Bar, pci::kBarCount>& bars,
                 uint32_t capability)
        : config_(config), bars_(bars), capability_(capability) {}

    /// Where pci_cfg_data lies in configuration space.
    uint32_t data_offset() const;

    /// What an access of pci_cfg_data is for; nullopt: nothing that there is, or not aligned.
    std::optional<Access> access() const;

private:
    pci::ConfigSpace& config_;
    const std::array<pci::Bar, pci::kBarCount>& bars_;
    uint32_t capability_;
};

}  // namespace mimic::virtio_pci
