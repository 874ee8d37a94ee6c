// SPDX-License-Identifier: Apache-2.0
// VirtioAdder: adds the 32-bit words of each buffer that it gets. The toy virtio device of
// docs/add-a-device.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/timer.h"
#include "virtio/device.h"

namespace adder {

inline constexpr uint16_t kVirtioId = 6;       // of a kind of device that Linux has no driver for
inline constexpr size_t kMostBytes = 4096;     // of a buffer that are added
inline constexpr unsigned kBuffersATurn = 64;  // others on the loop come before the rest

/// A buffer of words, with room for 8 bytes behind them, comes back with their sum. Thread-bound.
class VirtioAdder final : public mimic::virtio::Device {
public:
    explicit VirtioAdder(const std::string& name);

private:
    void on_reset() override;
    void on_kick(uint16_t index) override;
    void on_config_read(uint32_t offset, std::span<uint8_t> data) override;
    void add(mimic::virtio::Chain&& buffer);

    mimic::Timer rest_;
};

}  // namespace adder
