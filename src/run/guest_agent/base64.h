// SPDX-License-Identifier: Apache-2.0
// Base64 (RFC 4648, section 4), as qemu-guest-agent carries bytes in JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mimic::guest_agent {

std::string base64_encode(std::string_view data);

/// Strict: padded, no other characters, no bits left over. Empty for anything else.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace mimic::guest_agent
