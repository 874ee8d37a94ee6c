// SPDX-License-Identifier: Apache-2.0
#include "pci/capabilities/placing.h"

namespace mimic::pci {

Result<uint32_t> place_single(ConfigSpace& config, std::string_view owner, uint8_t id,
                              uint32_t size, uint32_t at) {
    if (config.find_capability(id) != 0) {
        return fail(std::errc::file_exists, "{}: a second capability {:#04x}", owner, id);
    }
    return config.add_capability(id, size, at);
}

Result<uint32_t> place_single_extended(ConfigSpace& config, std::string_view owner, uint16_t id,
                                       uint8_t version, uint32_t size, uint32_t at) {
    if (config.find_extended_capability(id) != 0) {
        return fail(std::errc::file_exists, "{}: a second extended capability {:#06x}", owner, id);
    }
    return config.add_extended_capability(id, version, size, at);
}

void define_body(ConfigSpace& config, uint32_t offset, std::span<const uint8_t> body,
                 std::span<const uint8_t> writable) {
    for (size_t i = 0; i < body.size(); ++i) {
        const uint32_t mask = i < writable.size() ? writable[i] : uint32_t{0};
        config.define_u8(offset + static_cast<uint32_t>(i), {.reset = body[i], .writable = mask});
    }
}

}  // namespace mimic::pci
