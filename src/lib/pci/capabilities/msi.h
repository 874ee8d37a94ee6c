// SPDX-License-Identifier: Apache-2.0
// MSI capability: what the guest enabled, granted and masked. PCIe 6.0, 6.1.4 and 7.7.1.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "pci/capabilities/msix_table.h"
#include "pci/config/config_space.h"

namespace mimic::pci {

/// MSI with 1, 2, 4, 8, 16 or 32 messages.
struct MsiOptions {
    uint32_t vectors = 1;
    bool address_64 = true;  // PCI Express endpoints that are not legacy must have it
    bool per_vector_masking = true;
    uint32_t at = 0;
};

/// Its state is in config space. Thread-bound with its function.
class MsiCapability {
public:
    /// Lays the registers into `config` (borrowed), that of the function called `owner`. Errors:
    /// those of place_single(), EINVAL for a number of vectors that no MSI has.
    static Result<MsiCapability> lay(ConfigSpace& config, std::string_view owner,
                                     const MsiOptions& options);

    uint32_t offset() const { return cap_; }
    uint32_t vectors() const { return vectors_; }
    bool enabled() const;

    /// Offset of Mask Bits in config space; Pending Bits follow them. 0: there are none.
    uint32_t mask_offset() const;

    /// Which message goes out for `vector`: the guest may have granted fewer.
    uint32_t message_number(uint32_t vector) const;

    /// What the guest programmed for `vector` (modulo those that it granted).
    MsiMessage message(uint32_t vector) const;

    /// Whether `message` may go out; one that is masked becomes pending.
    bool admit(uint32_t message);

    /// Takes back the first pending message from `first` on whose mask is gone; nullopt: none.
    std::optional<uint32_t> take_pending(uint32_t first);

private:
    MsiCapability(ConfigSpace& config, uint32_t cap, uint32_t vectors)
        : config_(&config), cap_(cap), vectors_(vectors) {}

    uint32_t granted() const;

    ConfigSpace* config_;
    uint32_t cap_;
    uint32_t vectors_;
};

}  // namespace mimic::pci
