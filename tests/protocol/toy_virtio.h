// SPDX-License-Identifier: Apache-2.0
// ToyVirtio: a virtio device made to be tested against. Queue 0 and 1 answer each buffer with bytes
// that count up; queue 2 holds its buffers until release(). Its configuration space is memory.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "virtio/device.h"

namespace mimic::test {

inline constexpr uint16_t kToyQueues = 3, kToyHeldQueue = 2, kToyQueueSize = 64;
inline constexpr uint32_t kToyConfigSize = 24;
inline constexpr unsigned kToyFeature = 5;

/// Thread-bound to its loop; the counters may be read anywhere.
class ToyVirtio final : public virtio::Device {
public:
    explicit ToyVirtio(const std::string& name, uint16_t virtio_id = 4, bool in_order = false);

    /// Returns what queue 2 holds, newest first. On the loop.
    void release();

    /// What a test may watch from another thread.
    std::atomic<uint32_t> starts{0};
    std::atomic<uint32_t> resets{0};
    std::atomic<uint32_t> config_writes{0};
    std::atomic<uint32_t> held{0};
    std::atomic<uint64_t> answered{0};

    /// Configuration changes; the driver is told. On the loop.
    void change_config(uint8_t value);

private:
    void on_start() override { ++starts; }
    void on_reset() override;
    void on_queue_reset(uint16_t index) override;
    void on_kick(uint16_t index) override;
    void on_config_read(uint32_t offset, std::span<uint8_t> data) override;
    void on_config_write(uint32_t offset, std::span<const uint8_t> data) override;

    std::array<uint8_t, kToyConfigSize> config_{};
    std::deque<virtio::Chain> held_;
    uint8_t next_ = 0;
};

}  // namespace mimic::test
