// SPDX-License-Identifier: Apache-2.0
// Queue: the device's side of one virtqueue, split or packed. Virtio 1.3, 2.7 and 2.8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "memory/dma_space.h"
#include "virtio/chain.h"

namespace mimic::virtio {

/// Where a driver put a queue. Guest-physical addresses; names are those of the packed ring's
/// areas, too.
struct QueueAddresses {
    uint64_t descriptors = 0;
    uint64_t driver = 0;  // available ring, or driver event suppression
    uint64_t device = 0;  // used ring, or device event suppression
};

/// Where to go on with a queue that somebody has used: of a split ring indexes, of a packed one
/// with the wrap counter in bit 15. Left out: a ring that nobody has used; next_used alone: one of
/// which nothing is out.
struct QueuePosition {
    std::optional<uint16_t> next_available{};
    std::optional<uint16_t> next_used{};
};

/// One virtqueue. Thread-bound to the device's loop. All that comes from guest memory is checked
/// here: what a device gets is a Chain within bounds, or nothing and a queue that is broken().
class Queue {
public:
    struct Settings {
        uint16_t size = 0;  // entries; a power of two for a split ring
        QueueAddresses addresses{};
        bool packed = false;
        bool event_index = false;  // VIRTIO_F_EVENT_IDX
        bool indirect = false;     // VIRTIO_F_INDIRECT_DESC
        bool in_order = false;     // VIRTIO_F_IN_ORDER: the device pushes in the order of pop()
        QueuePosition position{};
    };

    Queue();
    ~Queue();
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    /// Where the ring lies is translated once for each value of `*turn` that is not 0, and
    /// otherwise for each use: memory may move whenever the caller has returned to its loop. Device
    /// does this for its queues (Device::Turn). `turn` is borrowed.
    void share_turn(const uint64_t* turn);

    /// Begins with `settings`. Errors: invalid_argument for a size or an alignment that the
    /// specification forbids. Memory is looked at when it is used.
    Status start(const Settings& settings);

    /// Stops; chains that are out are dropped when they are pushed.
    void stop();

    bool is_running() const;

    /// True once the driver broke the rules so that the queue cannot go on (a loop, an index that
    /// ran ahead, memory that is not there): pop() gives nothing until start(). What was popped
    /// before can still be pushed. why_broken() says what, for a log.
    bool broken() const;
    const char* why_broken() const;

    /// The next available buffer; nullopt: none, or broken. `dma` is that of this turn.
    std::optional<Chain> pop(memory::DmaSpace& dma);

    /// Copies bytes [offset, offset + out.size()) of the readable part; returns how many there were
    /// and could be read: fewer than the chain has if a part is no memory, which breaks the queue.
    /// The guest may change them at any time: copy once, check the copy.
    size_t read(memory::DmaSpace& dma, const Chain& chain, size_t offset, std::span<std::byte> out);

    /// The same for the writable part.
    size_t write(memory::DmaSpace& dma, const Chain& chain, size_t offset,
                 std::span<const std::byte> bytes);

    /// Returns the buffer to the driver, with `written` bytes of its writable part filled from the
    /// start. Chains from before stop() are dropped.
    void push(memory::DmaSpace& dma, Chain&& chain, uint32_t written);

    /// Ends a chain that cannot be returned: there is no memory.
    void drop(Chain&& chain);

    /// Whether the driver wants an interrupt for what was pushed since the last question. Ask once
    /// a batch.
    bool needs_interrupt(memory::DmaSpace& dma);

    /// Asks the driver for kicks (true), or says that none is needed while the device looks by
    /// itself. After enabling, look once more with pop(): a buffer may have come in between.
    void want_kicks(memory::DmaSpace& dma, bool wanted);

    /// Where the queue stands, to save it or to hand it to another backend: see Settings.
    uint16_t next_available() const;
    uint16_t next_used() const;

    /// Chains that are out: popped and not pushed.
    size_t outstanding() const;

    /// Since construction.
    struct Counters {
        uint64_t popped = 0;
        uint64_t pushed = 0;
        uint64_t kicks = 0;       // counted by Device::kick()
        uint64_t interrupts = 0;  // needs_interrupt() that said yes
    };
    const Counters& counters() const;
    Counters& counters();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace mimic::virtio
