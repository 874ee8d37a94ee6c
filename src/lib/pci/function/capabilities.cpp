// SPDX-License-Identifier: Apache-2.0
// Layouts of capabilities that are but registers: ARI, ACS, serial number, vendor-specific ones;
// the others are objects of pci/capabilities/. PCIe 6.0, 7.8.8, 7.7.11, 7.9.3 to 7.9.5.
#include "pci/function/capabilities.h"

#include <utility>

#include "pci/capabilities/placing.h"
#include "pci/config/pci_regs.h"

namespace mimic::pci {

Result<uint32_t> CapabilityBuilder::add_power_management(const PowerManagementOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const auto power,
                           PowerManagement::lay(function_.config(), function_.name(), options));
    function_.adopt(power);
    return power.offset();
}

Result<uint32_t> CapabilityBuilder::add_msi(const MsiOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const auto msi,
                           MsiCapability::lay(function_.config(), function_.name(), options));
    function_.adopt(msi);
    return msi.offset();
}

Result<uint32_t> CapabilityBuilder::add_msix(const MsixOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(auto msix,
                           MsixCapability::lay(function_.config(), function_.options(), options));
    const uint32_t cap = msix.offset();
    function_.adopt(std::move(msix));
    return cap;
}

Result<uint32_t> CapabilityBuilder::add_pcie(const PcieOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const auto pcie,
                           PcieCapability::lay(function_.config(), function_.options(), options));
    function_.adopt(pcie);
    return pcie.offset();
}

Result<uint32_t> CapabilityBuilder::add_aer(const AerOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const auto aer,
                           AerCapability::lay(function_.config(), function_.options(), options));
    function_.adopt(aer);
    return aer.offset();
}

Result<uint32_t> CapabilityBuilder::add_sriov(const SriovOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           SriovRegisters::place(function_.config(), function_.options(), options));
    function_.become_pf(cap, options);
    return cap;
}

Result<uint32_t> CapabilityBuilder::add_ari(uint8_t next_function, uint32_t at) {
    using namespace regs;
    ConfigSpace& config = function_.config();
    MIMIC_ASSIGN_OR_RETURN(
        const uint32_t cap,
        place_single_extended(config, function_.name(), EXT_CAP_ID_ARI, 1, ARI_SIZE, at));
    config.define_u16(cap + ARI_CAPABILITY, {.reset = uint32_t{next_function} << 8});
    return cap;
}

Result<uint32_t> CapabilityBuilder::add_acs(uint32_t at) {
    using namespace regs;
    ConfigSpace& config = function_.config();
    MIMIC_ASSIGN_OR_RETURN(
        const uint32_t cap,
        place_single_extended(config, function_.name(), EXT_CAP_ID_ACS, 1, ACS_SIZE, at));
    constexpr uint32_t kControls = ACS_SOURCE_VALIDATION | ACS_TRANSLATION_BLOCKING |
                                   ACS_P2P_REQUEST_REDIRECT | ACS_P2P_COMPLETION_REDIRECT |
                                   ACS_UPSTREAM_FORWARDING;
    config.define_u16(cap + ACS_CAPABILITY, {.reset = kControls});
    config.define_u16(cap + ACS_CONTROL, {.writable = kControls});
    return cap;
}

Result<uint32_t> CapabilityBuilder::add_device_serial_number(uint64_t serial, uint32_t at) {
    ConfigSpace& config = function_.config();
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           place_single_extended(config, function_.name(), regs::EXT_CAP_ID_DSN, 1,
                                                 regs::DSN_SIZE, at));
    config.define_u32(cap + regs::DSN_LOWER, {.reset = static_cast<uint32_t>(serial)});
    config.define_u32(cap + regs::DSN_UPPER, {.reset = static_cast<uint32_t>(serial >> 32)});
    return cap;
}

Result<uint32_t> CapabilityBuilder::add_vendor_specific(const VendorSpecificOptions& options) {
    if (options.body.size() > 0xff - regs::VENDOR_BODY) {
        return fail(std::errc::invalid_argument, "{}: vendor-specific body of {} bytes",
                    function_.name(), options.body.size());
    }
    ConfigSpace& config = function_.config();
    const uint32_t size = regs::VENDOR_BODY + static_cast<uint32_t>(options.body.size());
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           config.add_capability(regs::CAP_ID_VENDOR, size, options.at));
    config.define_u8(cap + regs::VENDOR_LENGTH, {.reset = size});
    define_body(config, cap + regs::VENDOR_BODY, options.body, options.writable);
    return cap;
}

Result<uint32_t> CapabilityBuilder::add_vsec(const VsecOptions& options) {
    if (options.body.size() > 0xfff - regs::VSEC_BODY || options.revision > 0xf) {
        return fail(std::errc::invalid_argument, "{}: VSEC body of {} bytes, revision {}",
                    function_.name(), options.body.size(), options.revision);
    }
    ConfigSpace& config = function_.config();
    const uint32_t size = regs::VSEC_BODY + static_cast<uint32_t>(options.body.size());
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap, config.add_extended_capability(regs::EXT_CAP_ID_VSEC,
                                                                              1, size, options.at));
    config.define_u32(
        cap + regs::VSEC_HEADER,
        {.reset = options.vsec_id | (uint32_t{options.revision} << 16) | (size << 20)});
    define_body(config, cap + regs::VSEC_BODY, options.body, options.writable);
    return cap;
}

}  // namespace mimic::pci
