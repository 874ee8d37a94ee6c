// SPDX-License-Identifier: Apache-2.0
#include "pci/capabilities/msi.h"

#include <algorithm>
#include <bit>

#include "pci/capabilities/placing.h"
#include "pci/config/pci_regs.h"

namespace mimic::pci {

using namespace regs;

Result<MsiCapability> MsiCapability::lay(ConfigSpace& config, std::string_view owner,
                                         const MsiOptions& options) {
    if (!std::has_single_bit(options.vectors) || options.vectors > 32) {
        return fail(std::errc::invalid_argument, "{}: {} MSI vectors: want a power of two, 1..32",
                    owner, options.vectors);
    }
    const bool wide = options.address_64;
    const uint32_t data = wide ? MSI_DATA_64 : MSI_DATA_32;
    const uint32_t mask = wide ? MSI_MASK_64 : MSI_MASK_32;
    const uint32_t size = options.per_vector_masking ? mask + 8 : data + 2;
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           place_single(config, owner, CAP_ID_MSI, size, options.at));
    const auto capable = static_cast<uint32_t>(std::countr_zero(options.vectors));
    config.define_u16(cap + MSI_CONTROL,
                      {.reset = (capable << 1) | (wide ? MSI_CONTROL_64_BIT_ADDRESS : 0) |
                                (options.per_vector_masking ? MSI_CONTROL_PER_VECTOR_MASKING : 0),
                       .writable = MSI_CONTROL_ENABLE | MSI_CONTROL_MULTIPLE_MESSAGE_ENABLE});
    config.define_u32(cap + MSI_ADDRESS, {.writable = MSI_ADDRESS_MASK});
    if (wide) config.define_u32(cap + MSI_UPPER_ADDRESS, {.writable = 0xffff'ffff});
    config.define_u16(cap + data, {.writable = 0xffff});
    if (options.per_vector_masking) {
        const auto vectors = static_cast<uint32_t>((uint64_t{1} << options.vectors) - 1);
        config.define_u32(cap + mask, {.writable = vectors});
    }
    return MsiCapability(config, cap, options.vectors);
}

bool MsiCapability::enabled() const {
    return (config_->u16(cap_ + MSI_CONTROL) & MSI_CONTROL_ENABLE) != 0;
}

uint32_t MsiCapability::mask_offset() const {
    const uint32_t control = config_->u16(cap_ + MSI_CONTROL);
    if ((control & MSI_CONTROL_PER_VECTOR_MASKING) == 0) return 0;
    const bool wide = (control & MSI_CONTROL_64_BIT_ADDRESS) != 0;
    return cap_ + (wide ? MSI_MASK_64 : MSI_MASK_32);
}

// More than the function can do, or a reserved encoding, grants what it can do (7.7.1.2).
uint32_t MsiCapability::granted() const {
    const uint32_t control = config_->u16(cap_ + MSI_CONTROL);
    return std::min(1U << ((control & MSI_CONTROL_MULTIPLE_MESSAGE_ENABLE) >> 4), vectors_);
}

// The function may change only the low bits of the data that the guest granted.
uint32_t MsiCapability::message_number(uint32_t vector) const {
    return vector & (granted() - 1);
}

MsiMessage MsiCapability::message(uint32_t vector) const {
    const bool wide = (config_->u16(cap_ + MSI_CONTROL) & MSI_CONTROL_64_BIT_ADDRESS) != 0;
    const uint32_t upper = wide ? config_->u32(cap_ + MSI_UPPER_ADDRESS) : 0;
    const uint32_t data = config_->u16(cap_ + (wide ? MSI_DATA_64 : MSI_DATA_32));
    const uint32_t low_bits = granted() - 1;
    return {.address = (uint64_t{upper} << 32) | config_->u32(cap_ + MSI_ADDRESS),
            .data = (data & ~low_bits) | (vector & low_bits)};
}

bool MsiCapability::admit(uint32_t message) {
    const uint32_t mask = mask_offset();
    if (mask == 0 || ((config_->u32(mask) >> message) & 1) == 0) return true;
    config_->set_bits(mask + 4, 4, 1U << message, ~0U);
    return false;
}

std::optional<uint32_t> MsiCapability::take_pending(uint32_t first) {
    const uint32_t mask = mask_offset();
    if (mask == 0) return std::nullopt;
    for (uint32_t message = first; message < vectors_; ++message) {
        const uint32_t bit = 1U << message;
        if ((config_->u32(mask + 4) & ~config_->u32(mask) & bit) == 0) continue;
        config_->set_bits(mask + 4, 4, bit, 0);
        return message;
    }
    return std::nullopt;
}

}  // namespace mimic::pci
