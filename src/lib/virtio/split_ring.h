// SPDX-License-Identifier: Apache-2.0
// SplitRing: descriptor table, available ring and used ring. Virtio 1.3, 2.7. Internal.
#pragma once

#include "virtio/ring.h"

namespace mimic::virtio {

class SplitRing final : public Ring {
public:
    explicit SplitRing(const Queue::Settings& settings);

    bool pop(memory::DmaSpace& dma, Chain& chain) override;
    void push(memory::DmaSpace& dma, const Chain& chain, uint32_t written) override;
    bool needs_interrupt(memory::DmaSpace& dma) override;
    void want_kicks(memory::DmaSpace& dma, bool wanted) override;
    uint16_t next_available() const override { return next_available_; }
    uint16_t next_used() const override { return next_used_; }

private:
    std::byte* available(size_t offset) const {
        return memory_.bytes(RingMemory::kDriver) + offset;
    }
    std::byte* used(size_t offset) const { return memory_.bytes(RingMemory::kDevice) + offset; }
    uint32_t slot(uint16_t index) const { return index & (size() - 1); }

    bool look();
    void publish_event();
    bool walk(memory::DmaSpace& dma, uint16_t head, Chain& chain);
    bool walk_indirect(memory::DmaSpace& dma, const SplitDescriptor& table, Chain& chain);

    uint16_t next_available_ = 0;   // index of the next entry of the available ring
    uint16_t known_available_ = 0;  // up to which the driver had filled it
    uint16_t next_used_ = 0;
    uint32_t unannounced_ = 0;  // pushed since needs_interrupt()
    uint16_t event_ = 0;        // what we last asked to be kicked for
    bool event_is_known_ = false;
};

}  // namespace mimic::virtio
