// SPDX-License-Identifier: Apache-2.0
// Requests and responses of vgpu_protocol.h: looked into with every offset checked, and made.
// Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "compute/vgpu_protocol.h"

namespace mimic::compute {

/// Words that stand in bytes at any alignment.
class Words {
public:
    Words() = default;
    explicit Words(std::span<const std::byte> bytes) : bytes_(bytes) {}

    size_t size() const { return bytes_.size() / sizeof(uint32_t); }
    /// The word at `index`; 0 where there is none.
    uint32_t operator[](size_t index) const { return at<uint32_t>(index); }
    /// The 64-bit value of words `index` (low) and `index` + 1; 0 where one of them is not there.
    uint64_t wide(size_t index) const { return at<uint64_t>(index); }

private:
    template <typename T>
    T at(size_t index) const {
        T value = 0;
        const size_t from = index * sizeof(uint32_t);
        if (index < size() && sizeof value <= bytes_.size() - from)
            std::memcpy(&value, bytes_.data() + from, sizeof value);
        return value;
    }
    std::span<const std::byte> bytes_;
};

struct RequestView {
    vgpu_request header{};
    Words params;
    std::span<const std::byte> data;  // within the request
};

struct ResponseView {
    vgpu_response header{};
    Words results;
    std::span<const std::byte> data;
};

/// nullopt: not a request: too short for its header or its parameters, another version, more than
/// VGPU_MAX_PARAMS parameters, or data that is not within it, behind the parameters. Opcode and
/// flags are not looked at.
std::optional<RequestView> view_request(std::span<const std::byte> bytes);
/// The same for a response.
std::optional<ResponseView> view_response(std::span<const std::byte> bytes);

/// A request; data begins at a multiple of 8 behind the parameters. At most VGPU_MAX_PARAMS
/// parameters.
std::vector<std::byte> make_request(uint32_t opcode, std::span<const uint32_t> params = {},
                                    std::span<const std::byte> data = {});
/// A response, in the same way.
std::vector<std::byte> make_response(uint32_t status, std::span<const uint32_t> results = {},
                                     std::span<const std::byte> data = {},
                                     uint32_t exec_time_us = 0);

/// Whether the bytes are a NOP, which the mediator answers without a backend. Quick.
bool is_nop(std::span<const std::byte> request);

/// The response to a NOP, whole. Valid for ever.
std::span<const std::byte> nop_response();

/// Adds a 64-bit value as two parameters, low word first.
inline void push_wide(std::vector<uint32_t>& params, uint64_t value) {
    params.push_back(static_cast<uint32_t>(value));
    params.push_back(static_cast<uint32_t>(value >> 32));
}

}  // namespace mimic::compute
