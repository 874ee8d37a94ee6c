// SPDX-License-Identifier: Apache-2.0
#include "virtio_adder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace adder {

using mimic::virtio::Chain;

VirtioAdder::VirtioAdder(const std::string& name)
    : Device({.name = name,
              .virtio_id = kVirtioId,
              .queue_sizes = {64},  // one queue, and most entries that a driver may give it
              .config_size = 4}) {}

// What is in the configuration space is the device's to say: here the most bytes of a buffer.
void VirtioAdder::on_config_read(uint32_t offset, std::span<uint8_t> data) {
    const auto most = static_cast<uint32_t>(kMostBytes);
    std::memcpy(data.data(), reinterpret_cast<const uint8_t*>(&most) + offset, data.size());
}

void VirtioAdder::on_reset() {
    rest_.cancel();
}

void VirtioAdder::on_kick(uint16_t index) {
    for (unsigned done = 0; done < kBuffersATurn; ++done) {
        if (dma() == nullptr) return;
        auto buffer = queue(index).pop(*dma());
        if (!buffer) return;
        add(std::move(*buffer));
    }
    // A driver on another processor may fill the queue for as long as we empty it.
    rest_.post(slot()->runner(), [this, index] {
        const Turn turn(*this);
        on_kick(index);
    });
}

void VirtioAdder::add(Chain&& buffer) {
    std::array<uint32_t, kMostBytes / 4> words{};
    const size_t bytes = queue(0).read(*dma(), buffer, 0, std::as_writable_bytes(std::span(words)));
    uint64_t sum = 0;
    for (const uint32_t word : std::span(words).first(bytes / 4)) sum += word;
    const size_t written = queue(0).write(*dma(), buffer, 0, std::as_bytes(std::span(&sum, 1)));
    complete(0, std::move(buffer), static_cast<uint32_t>(written));
}

}  // namespace adder
