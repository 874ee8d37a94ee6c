// SPDX-License-Identifier: Apache-2.0
// Numbers at offsets of bytes that nobody vouches for.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace mimic::guest_image {

/// A value at an offset of untrusted bytes, in this machine's byte order, or nothing if it is not
/// inside of them. Pure.
template <typename T>
std::optional<T> load(std::string_view data, uint64_t offset) {
    if (offset > data.size() || data.size() - offset < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, data.data() + offset, sizeof(T));
    return value;
}

}  // namespace mimic::guest_image
