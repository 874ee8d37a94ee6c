// SPDX-License-Identifier: Apache-2.0
// Chain: one buffer that a driver made available: a list of segments that the device may read, then
// of those that it may write. Virtio 1.3, 2.6.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace mimic::virtio {

/// Part of a buffer, by guest-physical address. Size is never zero.
struct Segment {
    uint64_t address = 0;
    uint32_t size = 0;
};

/// What Queue::pop() gives and Queue::push() takes back. Plain values: addresses, not pointers, so
/// a chain may wait for a later turn of the loop. Moved, not copied.
class Chain {
public:
    Chain() = default;
    // What was moved from belongs to no queue: pushing it again does nothing.
    Chain(Chain&& other) noexcept { *this = std::move(other); }
    Chain& operator=(Chain&& other) noexcept {
        readable_ = std::move(other.readable_);
        writable_ = std::move(other.writable_);
        readable_bytes_ = std::exchange(other.readable_bytes_, 0);
        writable_bytes_ = std::exchange(other.writable_bytes_, 0);
        id_ = other.id_;
        descriptors_ = other.descriptors_;
        generation_ = std::exchange(other.generation_, 0);
        return *this;
    }
    Chain(const Chain&) = delete;
    Chain& operator=(const Chain&) = delete;

    const std::vector<Segment>& readable() const { return readable_; }
    const std::vector<Segment>& writable() const { return writable_; }

    /// Bytes of all segments; below 2^32 each.
    uint32_t readable_bytes() const { return readable_bytes_; }
    uint32_t writable_bytes() const { return writable_bytes_; }

    /// What the driver knows the buffer by: head of the descriptor chain, or buffer id of a packed
    /// ring.
    uint16_t id() const { return id_; }

private:
    friend class ChainBuilder;  // virtio/chain_builder.h, for the two rings
    std::vector<Segment> readable_;
    std::vector<Segment> writable_;
    uint32_t readable_bytes_ = 0;
    uint32_t writable_bytes_ = 0;
    uint16_t id_ = 0;
    uint16_t descriptors_ = 0;  // entries of the ring that it takes
    uint32_t generation_ = 0;   // of the queue when it was popped, from 1: push() drops one from
                                // before a reset
};

}  // namespace mimic::virtio
