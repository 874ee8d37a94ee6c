// SPDX-License-Identifier: Apache-2.0
// EchoDevice: a virtio device that copies what it reads to where it may write. Needs no test
// framework.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "virtio/device.h"

namespace mimic::virtio_pci {

/// Any queue echoes; 16 bytes of configuration space hold what a driver writes. `held`: buffers
/// wait for release().
class EchoDevice final : public virtio::Device {
public:
    static virtio::DeviceOptions default_options() {
        return {.name = "echo0",
                .virtio_id = 39,
                .features = 0x5,
                .queue_sizes = {64, 64, 16},
                .config_size = 16};
    }
    explicit EchoDevice(virtio::DeviceOptions options = default_options())
        : Device(std::move(options)) {}

    using Device::config_changed;
    using Device::needs_reset;

    void release() {
        for (auto& [index, chain] : waiting_) answer(index, std::move(chain));
        waiting_.clear();
        for (uint16_t i = 0; i < queue_count(); ++i) end_batch(i);
    }

    bool held = false;
    unsigned resets = 0;
    unsigned starts = 0;
    unsigned queue_resets = 0;
    std::array<uint8_t, 16> config{};

private:
    void on_start() override { ++starts; }
    void on_reset() override {
        ++resets;
        waiting_.clear();
    }
    void on_queue_reset(uint16_t index) override {
        ++queue_resets;
        std::erase_if(waiting_, [&](const auto& one) { return one.first == index; });
    }
    void on_config_read(uint32_t offset, std::span<uint8_t> data) override {
        std::copy_n(config.begin() + offset, data.size(), data.begin());
    }
    void on_config_write(uint32_t offset, std::span<const uint8_t> data) override {
        std::copy(data.begin(), data.end(), config.begin() + offset);
    }
    void on_kick(uint16_t index) override {
        memory::DmaSpace* const memory = dma();
        if (memory == nullptr) return;
        while (auto chain = queue(index).pop(*memory)) {
            if (held)
                waiting_.emplace_back(index, std::move(*chain));
            else
                answer(index, std::move(*chain));
        }
    }
    void answer(uint16_t index, virtio::Chain&& chain) {
        memory::DmaSpace* const memory = dma();
        if (memory == nullptr) return;
        std::vector<std::byte> bytes(
            std::min<uint32_t>({chain.readable_bytes(), chain.writable_bytes(), kMostBytes}));
        const size_t got = queue(index).read(*memory, chain, 0, bytes);
        const size_t put = queue(index).write(*memory, chain, 0, std::span(bytes).first(got));
        complete(index, std::move(chain), static_cast<uint32_t>(put));
    }

    static constexpr uint32_t kMostBytes = 1 << 16;
    std::vector<std::pair<uint16_t, virtio::Chain>> waiting_;
};

}  // namespace mimic::virtio_pci
