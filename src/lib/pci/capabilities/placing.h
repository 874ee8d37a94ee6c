// SPDX-License-Identifier: Apache-2.0
// Where a capability goes: what all kinds of it share. Private to this folder and
// CapabilityBuilder.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "pci/config/config_space.h"

namespace mimic::pci {

/// Places a capability of which a function called `owner` has one. Returns its offset. Errors:
/// EEXIST for a second one, those of ConfigSpace::add_capability().
Result<uint32_t> place_single(ConfigSpace& config, std::string_view owner, uint8_t id,
                              uint32_t size, uint32_t at);

/// Same for an extended capability.
Result<uint32_t> place_single_extended(ConfigSpace& config, std::string_view owner, uint16_t id,
                                       uint8_t version, uint32_t size, uint32_t at);

/// Defines body.size() bytes at `offset`; bits of `writable`, as far as it reaches, are RW.
void define_body(ConfigSpace& config, uint32_t offset, std::span<const uint8_t> body,
                 std::span<const uint8_t> writable);

}  // namespace mimic::pci
