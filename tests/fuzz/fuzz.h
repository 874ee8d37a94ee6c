// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets share: reading values out of the input, and saying which invariant broke.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

/// Ends the run with a report: the input that got here breaks the target.
#define FUZZ_REQUIRE(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: invariant broken: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                          \
        }                                                                                          \
    } while (false)

namespace mimic::fuzz {

/// Takes values off the front of an input; zeros when it is used up.
class Input {
public:
    Input(const uint8_t* data, size_t size) : rest_(data, size) {}

    bool empty() const { return rest_.empty(); }

    template <typename T>
    T take() {
        T value{};
        const auto bytes = take_bytes(sizeof value);
        if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
        return value;
    }

    std::span<const uint8_t> take_bytes(size_t count) {
        const auto bytes = rest_.first(count < rest_.size() ? count : rest_.size());
        rest_ = rest_.subspan(bytes.size());
        return bytes;
    }

private:
    std::span<const uint8_t> rest_;
};

}  // namespace mimic::fuzz
