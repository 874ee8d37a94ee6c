// SPDX-License-Identifier: Apache-2.0
// VirtioRng: an entropy device. Virtio 1.3, 5.4.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/weak_ptr.h"
#include "virtio/device.h"

namespace mimic::virtio_rng {

/// Fills the buffers of its one queue with random bytes of the host. Thread-bound.
class VirtioRng final : public virtio::Device {
public:
    /// Most bytes that one buffer gets, whatever its size: 5.4.6.1 allows fewer than it holds.
    static constexpr size_t kMostBytes = 4096;
    /// Buffers that are filled in a turn of the loop; others of the loop come before the rest.
    static constexpr unsigned kMostBuffers = 64;

    /// Fills `out` with random bytes; false if there are none.
    using Source = std::function<bool(std::span<std::byte> out)>;

    /// Bytes are those of getrandom(2), unless a test says otherwise.
    explicit VirtioRng(std::string name, Source source = host_bytes);

    static bool host_bytes(std::span<std::byte> out);

private:
    void on_reset() override { is_scheduled_ = false; }
    void on_kick(uint16_t index) override;
    void on_config_read(uint32_t, std::span<uint8_t>) override {}  // there is none

    void fill(virtio::Chain&& chain);
    void schedule();

    Source source_;
    bool is_scheduled_ = false;
    WeakOwner<VirtioRng> weak_{this};
};

}  // namespace mimic::virtio_rng
