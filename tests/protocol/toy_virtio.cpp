// SPDX-License-Identifier: Apache-2.0
#include "tests/protocol/toy_virtio.h"

#include <algorithm>

namespace mimic::test {

ToyVirtio::ToyVirtio(const std::string& name, uint16_t virtio_id, bool in_order)
    : Device({.name = name,
              .virtio_id = virtio_id,
              .features = virtio::feature(kToyFeature),
              .queue_sizes = std::vector<uint16_t>(kToyQueues, kToyQueueSize),
              .config_size = kToyConfigSize,
              .packed = true,
              .in_order = in_order}) {
    for (size_t i = 0; i < config_.size(); ++i) config_[i] = static_cast<uint8_t>(i);
}

void ToyVirtio::on_reset() {
    ++resets;
    held_.clear();
    held = 0;
}

void ToyVirtio::on_queue_reset(uint16_t index) {
    if (index != kToyHeldQueue) return;
    held_.clear();
    held = 0;
}

void ToyVirtio::on_kick(uint16_t index) {
    memory::DmaSpace* const memory = dma();
    if (memory == nullptr) return;
    while (auto chain = queue(index).pop(*memory)) {
        if (index == kToyHeldQueue) {
            held_.push_back(std::move(*chain));
            ++held;
            continue;
        }
        std::vector<std::byte> bytes(std::min<uint32_t>(chain->writable_bytes(), 4096));
        for (auto& byte : bytes) byte = static_cast<std::byte>(next_++);
        const size_t written = queue(index).write(*memory, *chain, 0, bytes);
        ++answered;
        complete(index, std::move(*chain), static_cast<uint32_t>(written));
    }
}

void ToyVirtio::release() {
    const Turn turn(*this);
    for (; !held_.empty(); held_.pop_back()) {
        --held;
        ++answered;
        complete(kToyHeldQueue, std::move(held_.back()), 0);
    }
}

void ToyVirtio::change_config(uint8_t value) {
    config_[0] = value;
    config_changed();
}

void ToyVirtio::on_config_read(uint32_t offset, std::span<uint8_t> data) {
    std::copy_n(config_.begin() + offset, data.size(), data.begin());
}

void ToyVirtio::on_config_write(uint32_t offset, std::span<const uint8_t> data) {
    ++config_writes;
    std::copy(data.begin(), data.end(), config_.begin() + offset);
}

}  // namespace mimic::test
