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

    /// The client reads the fixed reply of a command although that failed, and waits for the rest
    /// if an error is only a header, as the specification wants it. See reads_fixed_errors() in
    /// negotiation.cpp.
    bool fixed_errors = false;
};

/// Parses the payload of VERSION (major, minor, optional JSON ending in NUL). Errors: EINVAL for
/// another major version, JSON that is none or whose last byte is not NUL, a capability of the
/// wrong type or out of range. libvfio-user refuses the same and takes more: documents that are no
/// object, text behind them, negative sizes and 0 for max_data_xfer_size (a DMA message of nothing
/// would never come to an end). Those are bugs of a client that it should hear of.
Result<ClientCapabilities> parse_version(std::span<const uint8_t> payload);

/// The payload of the reply: min(our minor, client's), our capabilities. JSON and NUL take at most
/// 193 bytes, because QEMU refuses a VERSION reply longer than its own request.
std::string version_reply(const ClientCapabilities& client);

}  // namespace mimic::vfio_user
