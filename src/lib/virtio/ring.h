// SPDX-License-Identifier: Apache-2.0
// Ring: what the two layouts of a virtqueue have in common. Internal: a device sees queue.h only.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "memory/dma_space.h"
#include "virtio/chain_builder.h"
#include "virtio/queue.h"

namespace mimic::virtio {

static_assert(std::endian::native == std::endian::little, "rings are little endian, as read here");

/// Fields that the guest reads and writes at the same time. `at` is aligned: RingMemory checks it.
template <typename T>
T load(const std::byte* at, std::memory_order order = std::memory_order_relaxed) {
    // atomic_ref wants something that may be written, although load() does not.
    auto* const field = reinterpret_cast<T*>(const_cast<std::byte*>(at));  // NOLINT
    return std::atomic_ref<T>(*field).load(order);
}
template <typename T>
void store(std::byte* at, T value, std::memory_order order = std::memory_order_relaxed) {
    std::atomic_ref<T>(*reinterpret_cast<T*>(at)).store(value, order);
}

/// Copies what the guest may change meanwhile. The copy is what is checked and used: the compiler
/// may not look at the memory again.
template <typename T>
T copy_of(const std::byte* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return value;
}

/// Whether the other side, which asked to hear of `event`, hears of a move from `old` to `now`: the
/// rule of both layouts, 2.7.7.1.
constexpr bool passes(uint16_t event, uint16_t now, uint16_t old) {
    return static_cast<uint16_t>(now - event - 1) < static_cast<uint16_t>(now - old);
}

/// A descriptor of a split ring, 2.7.5, or of an indirect table of one.
struct SplitDescriptor {
    uint64_t address;
    uint32_t size;
    uint16_t flags;
    uint16_t next;
};
/// The same of a packed one, 2.8.13.
struct PackedDescriptor {
    uint64_t address;
    uint32_t size;
    uint16_t id;
    uint16_t flags;
};
static_assert(sizeof(SplitDescriptor) == 16 && sizeof(PackedDescriptor) == 16);

enum DescriptorFlag : uint16_t {
    kNext = 1,
    kWrite = 2,
    kIndirect = 4,
    kAvailableFlag = 1U << 7,  // of a packed ring
    kUsedFlag = 1U << 15,      // the same
};

/// Most elements of an indirect table, and so of a chain that has one: what QEMU allows.
constexpr uint32_t kMostElements = 1024;

/// The three areas of a ring in the memory of this process. Translated once a turn of the device
/// (Queue::share_turn()), or for each use where nobody says what a turn is.
class RingMemory {
public:
    struct Area {
        uint64_t address = 0;
        uint64_t size = 0;
        memory::DmaAccess access = memory::DmaAccess::kRead;  // of ours; memory may allow no more
        std::byte* bytes = nullptr;
    };

    enum Which : uint8_t { kDescriptors, kDriver, kDevice };

    void set(Which which, uint64_t address, uint64_t size, memory::DmaAccess access) {
        areas_[which] = {address, size, access, nullptr};
        turn_ = 0;
    }

    /// `turn`: a number that changes, or is 0, when what was translated may no longer be used.
    void share_turn(const uint64_t* turn) { shared_turn_ = turn; }

    /// Makes bytes() valid. False if an area is not there as a whole, or lies where its fields
    /// would not be aligned (a region that its owner mapped from an odd offset).
    bool map(memory::DmaSpace& dma) {
        const uint64_t now = shared_turn_ == nullptr ? 0 : *shared_turn_;
        if (now != 0 && now == turn_ && dma_ == &dma) return true;
        return translate(dma, now);
    }

    std::byte* bytes(Which which) const { return areas_[which].bytes; }

    /// Whether all was memory of the guest while it was used: see DmaSpace::intact().
    bool intact(memory::DmaSpace& dma) const {
        for (const Area& area : areas_) {
            if (!dma.intact(area.address, area.size)) return false;
        }
        return true;
    }

private:
    bool translate(memory::DmaSpace& dma, uint64_t now) {
        turn_ = 0;
        for (Area& area : areas_) {
            const auto bytes = dma.span(area.address, area.size, area.access);
            if (!bytes || reinterpret_cast<uintptr_t>(bytes->data()) % 2 != 0) return false;
            area.bytes = bytes->data();
        }
        turn_ = now;
        dma_ = &dma;
        return true;
    }

    std::array<Area, 3> areas_{};
    const uint64_t* shared_turn_ = nullptr;
    uint64_t turn_ = 0;  // in which areas were translated; 0: they must be again
    const memory::DmaSpace* dma_ = nullptr;
};

/// One layout. Each call that can break the queue leaves the reason in `broken`.
class Ring {
public:
    virtual ~Ring() = default;

    /// Fills `chain`, which is empty. False: there is none, or the queue is broken.
    virtual bool pop(memory::DmaSpace& dma, Chain& chain) = 0;
    virtual void push(memory::DmaSpace& dma, const Chain& chain, uint32_t written) = 0;
    virtual bool needs_interrupt(memory::DmaSpace& dma) = 0;
    virtual void want_kicks(memory::DmaSpace& dma, bool wanted) = 0;
    virtual uint16_t next_available() const = 0;
    virtual uint16_t next_used() const = 0;

    const char* broken() const { return broken_; }
    void break_queue(const char* why) {
        if (broken_ == nullptr) broken_ = why;
    }
    RingMemory& memory() { return memory_; }

    /// Entries of the ring that chains which are out take, and how many these are.
    uint32_t entries_out() const { return entries_out_; }
    uint32_t chains_out() const { return chains_out_; }
    void returned(const Chain& chain) {
        entries_out_ -= ChainBuilder::descriptors(chain);
        --chains_out_;
    }

protected:
    explicit Ring(const Queue::Settings& settings) : settings_(settings) {}

    uint32_t size() const { return settings_.size; }
    bool map(memory::DmaSpace& dma) {
        if (memory_.map(dma)) return true;
        break_queue("the ring lies where no memory is");
        return false;
    }
    bool stop_with(const char* why) {
        break_queue(why);
        return false;
    }
    /// `chain` is whole and takes `entries` of the ring. False if the driver has used more than it
    /// has.
    bool taken(Chain& chain, uint32_t entries) {
        if (entries_out_ + entries > size()) {
            return stop_with("more descriptors are in use than the ring has");
        }
        entries_out_ += entries;
        ++chains_out_;
        ChainBuilder::set_descriptors(chain, static_cast<uint16_t>(entries));
        return true;
    }

    const Queue::Settings settings_;
    RingMemory memory_;
    bool wants_kicks_ = true;

private:
    const char* broken_ = nullptr;
    uint32_t entries_out_ = 0;
    uint32_t chains_out_ = 0;
};

}  // namespace mimic::virtio
