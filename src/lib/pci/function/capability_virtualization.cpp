// SPDX-License-Identifier: Apache-2.0
// Layouts of ARI, ACS and SR-IOV. PCIe 6.0, 7.8.8, 7.7.11, 9.3.3.
#include "pci/function/capabilities.h"

#include <algorithm>

#include "pci/function/sriov.h"

namespace mimic::pci {

Result<uint32_t> CapabilityBuilder::add_ari(uint8_t next_function, uint32_t at) {
    using namespace regs;
    MIMIC_TRY(require_single_extended(EXT_CAP_ID_ARI));
    ConfigSpace& config = function_.config_;
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           config.add_extended_capability(EXT_CAP_ID_ARI, 1, ARI_SIZE, at));
    config.define_u16(cap + ARI_CAPABILITY, {.reset = uint32_t{next_function} << 8});
    return cap;
}

Result<uint32_t> CapabilityBuilder::add_acs(uint32_t at) {
    using namespace regs;
    MIMIC_TRY(require_single_extended(EXT_CAP_ID_ACS));
    ConfigSpace& config = function_.config_;
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           config.add_extended_capability(EXT_CAP_ID_ACS, 1, ACS_SIZE, at));
    constexpr uint32_t kControls = ACS_SOURCE_VALIDATION | ACS_TRANSLATION_BLOCKING |
                                   ACS_P2P_REQUEST_REDIRECT | ACS_P2P_COMPLETION_REDIRECT |
                                   ACS_UPSTREAM_FORWARDING;
    config.define_u16(cap + ACS_CAPABILITY, {.reset = kControls});
    config.define_u16(cap + ACS_CONTROL, {.writable = kControls});
    return cap;
}

Result<uint32_t> CapabilityBuilder::add_sriov(const SriovOptions& options) {
    using namespace regs;
    MIMIC_TRY(require_single_extended(EXT_CAP_ID_SRIOV));
    if (options.total_vfs == 0 || options.total_vfs > 0xff00 || options.stride == 0 ||
        options.first_offset == 0 || options.vf_device_id == 0xffff) {
        return fail(std::errc::invalid_argument,
                    "{}: SR-IOV with {} VFs of device id {:#06x}, offset {}, stride {}",
                    function_.name(), options.total_vfs, options.vf_device_id, options.first_offset,
                    options.stride);
    }
    const uint32_t first = std::max<uint32_t>(options.first_offset,
                                              first_offset_without_ari(options));
    const uint32_t last = first + (options.total_vfs - 1U) * options.stride;
    if (last > 0xffff) {
        return fail(std::errc::invalid_argument, "{}: its last VF would be {} functions away",
                    function_.name(), last);
    }
    FunctionOptions vf = function_.options_;
    vf.bars = options.vf_bars;
    MIMIC_TRY(Function::validate(vf));
    for (const Bar& bar : options.vf_bars) {
        if (bar.type == BarType::kIo) {
            return fail(std::errc::invalid_argument, "{}: VFs have no I/O BARs", function_.name());
        }
    }
    ConfigSpace& config = function_.config_;
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap, config.add_extended_capability(
                                                   EXT_CAP_ID_SRIOV, 1, SRIOV_SIZE, options.at));
    function_.sriov_ = std::make_unique<Sriov>(function_, cap, options);
    return cap;
}

}  // namespace mimic::pci
