// SPDX-License-Identifier: Apache-2.0
// CapabilityBuilder: each member lays one structure into config space with the masks, reset values
// and sticky bits of its specification, and gives what has behaviour (pci/capabilities/) to the
// function. PCIe Base Specification 6.0, 7.5.2 to 7.9; PCI Bus Power
// Management 1.2.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "pci/capabilities/sriov_registers.h"
#include "pci/function/function.h"

namespace mimic::pci {

/// Vendor-Specific capability: `body` follows the length byte. Both spans are copied.
struct VendorSpecificOptions {
    std::span<const uint8_t> body{};
    std::span<const uint8_t> writable{};  // bits the guest may change; shorter than `body`: the
                                          // rest is read only
    uint32_t at = 0;
};

/// Vendor-Specific Extended Capability: `body` follows the 8 bytes of headers. Both spans are
/// copied.
struct VsecOptions {
    uint16_t vsec_id = 0;
    uint8_t revision = 0;  // 0 .. 15
    std::span<const uint8_t> body{};
    std::span<const uint8_t> writable{};
    uint32_t at = 0;
};

/// Adds capabilities to one function, before it is attached. Each member returns the offset of what
/// it added.
///
/// Common errors: EADDRINUSE and ENOSPC of ConfigSpace::add_capability(), EINVAL for options that
/// no hardware could have, EEXIST for a second one of a kind that must be single.
///
/// Used by a model's factory:
///
///     CapabilityBuilder capabilities(*device);
///     MIMIC_TRY(capabilities.add_pcie({.max_speed = LinkSpeed::kGen5}));
class CapabilityBuilder {
public:
    /// Borrows `function` while the builder lives.
    explicit CapabilityBuilder(Function& function) : function_(function) {}

    /// 7.5.2, PCI PM 1.2 3.2. Writes of a power state that does not exist or cannot be entered are
    /// dropped.
    Result<uint32_t> add_power_management(const PowerManagementOptions& options);

    /// 7.7.1.
    Result<uint32_t> add_msi(const MsiOptions& options);

    /// 7.7.2. Creates the function's MsixTable.
    Result<uint32_t> add_msix(const MsixOptions& options);

    /// 7.5.3. INITIATE_FLR resets the function if `flr` is set.
    Result<uint32_t> add_pcie(const PcieOptions& options);

    /// 7.8.4.
    Result<uint32_t> add_aer(const AerOptions& options);

    /// 7.8.8. `next_function`: number of the device's next function; 0: this is the last.
    Result<uint32_t> add_ari(uint8_t next_function = 0, uint32_t at = 0);

    /// 7.7.11, for root ports, downstream ports and functions that take part in access control.
    Result<uint32_t> add_acs(uint32_t at = 0);

    /// 9.3.3. The function becomes a PF.
    Result<uint32_t> add_sriov(const SriovOptions& options);

    /// 7.9.3. `serial`: 64-bit EUI-64, most significant byte of the company id highest.
    Result<uint32_t> add_device_serial_number(uint64_t serial, uint32_t at = 0);

    /// 7.9.4. May be called more than once.
    Result<uint32_t> add_vendor_specific(const VendorSpecificOptions& options);

    /// 7.9.5. May be called more than once.
    Result<uint32_t> add_vsec(const VsecOptions& options);

private:
    Function& function_;
};

}  // namespace mimic::pci
