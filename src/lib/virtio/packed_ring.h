// SPDX-License-Identifier: Apache-2.0
// PackedRing: one ring of descriptors that both sides write. Virtio 1.3, 2.8. Internal.
#pragma once

#include "virtio/ring.h"

namespace mimic::virtio {

class PackedRing final : public Ring {
public:
    explicit PackedRing(const Queue::Settings& settings);

    bool pop(memory::DmaSpace& dma, Chain& chain) override;
    void push(memory::DmaSpace& dma, const Chain& chain, uint32_t written) override;
    bool needs_interrupt(memory::DmaSpace& dma) override;
    void want_kicks(memory::DmaSpace& dma, bool wanted) override;
    uint16_t next_available() const override { return available_.value(); }
    uint16_t next_used() const override { return used_.value(); }

private:
    // A place in the ring, and the counter of the rounds that it was gone around.
    struct Position {
        uint16_t slot = 0;
        bool wrap = true;

        uint16_t value() const { return static_cast<uint16_t>(slot | (wrap ? 1U << 15 : 0)); }
        void advance(uint32_t entries, uint32_t size) {
            const uint32_t next = slot + entries;
            if (next >= size) wrap = !wrap;
            slot = static_cast<uint16_t>(next >= size ? next - size : next);
        }
    };
    static Position position(uint16_t value, uint32_t size);

    std::byte* descriptor(uint32_t slot) const {
        return memory_.bytes(RingMemory::kDescriptors) + slot * sizeof(PackedDescriptor);
    }
    bool look() const;
    void publish_event(bool force);
    bool walk(memory::DmaSpace& dma, Chain& chain);
    bool walk_indirect(memory::DmaSpace& dma, const PackedDescriptor& table, Chain& chain);

    Position available_;        // of the next descriptor to pop
    Position used_;             // where the next used one is written
    uint32_t unannounced_ = 0;  // entries pushed since needs_interrupt()
    Position event_;            // what we last asked to be kicked for
    bool event_is_known_ = false;
};

}  // namespace mimic::virtio
