// SPDX-License-Identifier: Apache-2.0
// VERSION: what the client says of itself and what the server answers.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace mimic::vfio_user {

/// What a client's VERSION said, with the protocol's defaults where it was silent.
struct ClientCapabilities {
    uint16_t minor = 0;
    uint32_t max_msg_fds = 1;
    uint64_t max_data_xfer_size = 1u << 20;
    bool write_multiple = false;
};

/// Parses the payload of VERSION (major, minor, optional JSON ending in NUL). Errors: EINVAL for
/// another major version, JSON that is none or whose last byte is not NUL, a capability of the
/// wrong type or out of range.
Result<ClientCapabilities> parse_version(std::span<const uint8_t> payload);

/// The payload of the reply: min(our minor, client's), our capabilities. JSON and NUL take at most
/// 193 bytes, because QEMU refuses a VERSION reply longer than its own request.
std::string version_reply(const ClientCapabilities& client);

}  // namespace mimic::vfio_user
