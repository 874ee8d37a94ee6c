// SPDX-License-Identifier: Apache-2.0
// Capabilities of a function: each CapabilityBuilder member lays one structure into config
// space with the masks, reset values and sticky bits of its specification, and binds the behaviour
// that Function has for it. PCIe Base Specification 6.0, 7.5.2 to 7.9; PCI Bus Power
// Management 1.2.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "pci/config/pci_regs.h"
#include "pci/function/function.h"

namespace mimic::pci {

/// Power Management. D0 and D3hot always exist; no state generates PME.
struct PowerManagementOptions {
    bool d1 = false;
    bool d2 = false;
    bool no_soft_reset = false;  // true: D3hot to D0 keeps all state; false: it resets the function
    uint32_t at = 0;  // wanted offset in 0x40..0xff; 0: first that fits (same in those below)
};

/// MSI with 1, 2, 4, 8, 16 or 32 messages.
struct MsiOptions {
    uint32_t vectors = 1;
    bool address_64 = true;  // PCI Express endpoints that are not legacy must have it
    bool per_vector_masking = true;
    uint32_t at = 0;
};

/// MSI-X. Table and PBA lie in memory BARs, at multiples of 8 bytes, and in no mappable area.
struct MsixOptions {
    uint32_t vectors = 1;  // 1 .. 2048
    uint32_t table_bar = 0;
    uint32_t table_offset = 0;
    uint32_t pba_bar = 0;
    uint32_t pba_offset = 0;
    uint32_t at = 0;
};

/// Device/Port Type of functions that this builder knows (7.5.3.2).
enum class PciePortType : uint8_t {
    kEndpoint = 0x0,
    kLegacyEndpoint = 0x1,
    kRootPort = 0x4,
    kUpstreamPort = 0x5,
    kDownstreamPort = 0x6,
    kRootComplexIntegratedEndpoint = 0x9,  // has no link: link registers read zero
};

/// Link speeds as LNKCAP and LNKSTA encode them: 2.5, 5, 8, 16, 32 and 64 GT/s.
enum class LinkSpeed : uint8_t { kGen1 = 1, kGen2, kGen3, kGen4, kGen5, kGen6 };

/// PCI Express capability, version 2.
struct PcieOptions {
    PciePortType type = PciePortType::kEndpoint;
    LinkSpeed max_speed = LinkSpeed::kGen4;
    uint32_t max_width = 16;  // lanes: 1, 2, 4, 8, 12, 16, 32
    LinkSpeed speed{};  // what the link trained to, at most the maximum; left out: the maximum
    uint32_t width = 0;
    uint32_t max_payload_bytes = 256;  // power of two, 128 .. 4096
    bool flr = true;
    bool extended_tag = true;
    bool slot_clock = true;
    bool ari_forwarding = false;  // root and downstream ports

    // The slot below a root or downstream port. No command takes time (No Command Completed
    // Support), and there is no power controller, attention button or latch.
    bool slot = false;
    uint32_t slot_number = 0;  // 1 .. 8191, unique in the machine
    bool hot_plug = false;     // Hot-Plug Capable, Surprise
    uint32_t at = 0;
};

/// Uncorrectable errors that an endpoint can detect and so report, mask and classify (7.8.4.2).
inline constexpr uint32_t kEndpointUncorrectableErrors = regs::AER_DATA_LINK_PROTOCOL |
                                                         regs::AER_POISONED_TLP |
                                                         regs::AER_FLOW_CONTROL_PROTOCOL |
                                                         regs::AER_COMPLETION_TIMEOUT |
                                                         regs::AER_COMPLETER_ABORT |
                                                         regs::AER_UNEXPECTED_COMPLETION |
                                                         regs::AER_RECEIVER_OVERFLOW |
                                                         regs::AER_MALFORMED_TLP | regs::AER_ECRC |
                                                         regs::AER_UNSUPPORTED_REQUEST |
                                                         regs::AER_UNCORRECTABLE_INTERNAL;

/// Advanced Error Reporting.
struct AerOptions {
    uint32_t uncorrectable = kEndpointUncorrectableErrors;  // implemented bits of the three
                                                            // registers
    bool ecrc = true;                                       // can generate and check ECRC
    bool root = false;  // with the root error registers, for root ports
    uint32_t at = 0;    // wanted offset in 0x100..0xfff; 0: first that fits
};

/// Single Root I/O Virtualization. NumVFs, VF Enable and the VF BARs get their behaviour from
/// Sriov (sriov.h); the VFs come from Function::make_vf().
struct SriovOptions {
    uint16_t total_vfs = 0;                 // 1 .. 0xff00; InitialVFs is the same
    uint16_t vf_device_id = 0;              // not ffff
    std::array<Bar, kBarCount> vf_bars{};   // of one VF; memory only
    uint16_t first_offset = 1;              // routing ids, from the PF's on, in an ARI hierarchy
    uint16_t first_offset_without_ari = 0;  // 0: kSriovNextBus more
    uint16_t stride = 1;
    bool lowest_pf = true;  // of its device: the only one with ARI Capable Hierarchy (9.3.3.3.5);
                            // others keep `first_offset` always
    uint32_t supported_pages = 0;  // Supported Page Sizes; without 4 KiB: all that 9.3.3.12 demands
    uint32_t at = 0;
};

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
    Status require_single(uint8_t id) const;
    Status require_single_extended(uint16_t id) const;
    Status check_msix(const MsixOptions& options) const;
    void define_link(uint32_t cap, const PcieOptions& options);
    void define_slot(uint32_t cap, const PcieOptions& options);

    Function& function_;
};

}  // namespace mimic::pci
