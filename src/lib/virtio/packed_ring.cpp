// SPDX-License-Identifier: Apache-2.0
#include "virtio/packed_ring.h"

#include <cstddef>
#include <utility>

namespace mimic::virtio {
namespace {

// Event suppression structures, 2.8.14: u16 place (wrap counter in bit 15), u16 flags.
constexpr size_t kPlace = 0;
constexpr size_t kFlags = 2;
constexpr size_t kEventSize = 4;
enum EventFlags : uint16_t { kEnable = 0, kDisable = 1, kAtPlace = 2 };

constexpr size_t kFlagsOfDescriptor = offsetof(PackedDescriptor, flags);

}  // namespace

// A slot beyond the ring, from who says where to go on, is as good as its beginning.
PackedRing::Position PackedRing::position(uint16_t value, uint32_t size) {
    const uint16_t slot = value & 0x7fff;
    return {slot < size ? slot : uint16_t{0}, (value >> 15) != 0};
}

PackedRing::PackedRing(const Queue::Settings& settings) : Ring(settings) {
    constexpr uint16_t kUnused = 1U << 15;  // 2.8.1: both counters start with 1
    available_ = position(settings.position.next_available.value_or(kUnused), size());
    used_ = settings.position.next_used ? position(*settings.position.next_used, size())
                                        : available_;
    memory_.set(RingMemory::kDescriptors, settings.addresses.descriptors,
                uint64_t{settings.size} * sizeof(PackedDescriptor), memory::DmaAccess::kReadWrite);
    memory_.set(RingMemory::kDriver, settings.addresses.driver, kEventSize,
                memory::DmaAccess::kRead);
    memory_.set(RingMemory::kDevice, settings.addresses.device, kEventSize,
                memory::DmaAccess::kReadWrite);
}

// 2.8.1: available is what has its AVAIL bit as our counter, and its USED bit otherwise.
bool PackedRing::look() const {
    const auto flags = load<uint16_t>(descriptor(available_.slot) + kFlagsOfDescriptor,
                                      std::memory_order_acquire);
    const bool available = (flags & kAvailableFlag) != 0;
    const bool used = (flags & kUsedFlag) != 0;
    return available == available_.wrap && used != available_.wrap;
}

// As SplitRing: asks for a kick when the descriptor is filled that we would pop next.
void PackedRing::publish_event(bool force) {
    if (!force && event_is_known_ && event_.value() == available_.value()) return;
    event_ = available_;
    event_is_known_ = true;
    std::byte* const event = memory_.bytes(RingMemory::kDevice);
    store<uint16_t>(event + kPlace, event_.value());
    store<uint16_t>(event + kFlags, kAtPlace, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

bool PackedRing::pop(memory::DmaSpace& dma, Chain& chain) {
    if (!map(dma)) return false;
    if (look()) return walk(dma, chain);
    // Memory that was taken away reads as zeros, which are available in no round: asked here, once
    // a batch, it need not be asked for each chain.
    if (!memory_.intact(dma)) return stop_with("the ring's memory was taken away");
    if (!settings_.event_index || !wants_kicks_) return false;
    publish_event(false);
    return look() && walk(dma, chain);
}

bool PackedRing::walk(memory::DmaSpace& dma, Chain& chain) {
    Position at = available_;
    uint32_t entries = 0;
    PackedDescriptor element{};
    do {
        if (++entries + entries_out() > size()) {
            return stop_with("more descriptors are in use than the ring has");  // or a loop
        }
        element = copy_of<PackedDescriptor>(descriptor(at.slot));
        at.advance(1, size());
        if ((element.flags & kIndirect) != 0) {
            // 2.8.20: a buffer is an indirect table or a list, not both.
            if (entries > 1 || (element.flags & kNext) != 0) {
                return stop_with("an indirect descriptor in a list");
            }
            if (!walk_indirect(dma, element, chain)) return false;
            break;
        }
        if (const char* const why = ChainBuilder::add(chain, element.address, element.size,
                                                      (element.flags & kWrite) != 0)) {
            return stop_with(why);
        }
    } while ((element.flags & kNext) != 0);
    if (!taken(chain, entries)) return false;
    available_ = at;
    ChainBuilder::set_id(chain, element.id);  // 2.8.6: that of the last one counts
    return true;
}

// 2.8.7: elements follow each other. Of their flags only WRITE means something: others, also
// INDIRECT, and their ids are reserved, and ignored.
bool PackedRing::walk_indirect(memory::DmaSpace& dma, const PackedDescriptor& table, Chain& chain) {
    if (!settings_.indirect) return stop_with("an indirect descriptor that was not agreed on");
    if (table.size == 0 || table.size % sizeof(PackedDescriptor) != 0) {
        return stop_with("an indirect table of no whole descriptors");
    }
    const uint32_t count = table.size / sizeof(PackedDescriptor);
    if (count > kMostElements) return stop_with("a chain of too many descriptors");
    const auto bytes = dma.span(table.address, table.size, memory::DmaAccess::kRead);
    if (!bytes) return stop_with("an indirect table where no memory is");
    for (uint32_t i = 0; i < count; ++i) {
        const auto element = copy_of<PackedDescriptor>(bytes->data() +
                                                       i * sizeof(PackedDescriptor));
        if (const char* const why = ChainBuilder::add(chain, element.address, element.size,
                                                      (element.flags & kWrite) != 0)) {
            return stop_with(why);
        }
    }
    if (!dma.intact(table.address, table.size)) {
        return stop_with("an indirect table whose memory was taken away");
    }
    return true;
}

// 2.8.1 and 2.8.6: a used descriptor has both bits as our counter. Its place is the next one, not
// that of what the driver had written; the entries of the chain behind it are skipped.
void PackedRing::push(memory::DmaSpace& dma, const Chain& chain, uint32_t written) {
    if (!map(dma)) return;
    std::byte* const at = descriptor(used_.slot);
    store<uint32_t>(at + offsetof(PackedDescriptor, size), written);
    store<uint16_t>(at + offsetof(PackedDescriptor, id), chain.id());
    const uint32_t flags = (used_.wrap ? kAvailableFlag | kUsedFlag : 0) |
                           (written > 0 ? kWrite : 0);
    store<uint16_t>(at + kFlagsOfDescriptor, static_cast<uint16_t>(flags),
                    std::memory_order_release);
    const uint32_t entries = ChainBuilder::descriptors(chain);
    used_.advance(entries, size());
    unannounced_ += entries;
}

bool PackedRing::needs_interrupt(memory::DmaSpace& dma) {
    if (unannounced_ == 0 || !map(dma)) return false;
    if (!memory_.intact(dma)) return stop_with("the ring's memory was taken away");
    const uint32_t count = std::exchange(unannounced_, 0);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // as SplitRing::needs_interrupt()
    const std::byte* const event = memory_.bytes(RingMemory::kDriver);
    const auto flags = load<uint16_t>(event + kFlags, std::memory_order_acquire);
    if (flags == kDisable) return false;
    if (flags != kAtPlace || !settings_.event_index || count >= size()) return true;
    const auto place = load<uint16_t>(event + kPlace);
    auto slot = static_cast<uint16_t>(place & 0x7fff);
    // A place of the round before lies behind us: as far as the ring is long.
    if (((place >> 15) != 0) != used_.wrap) slot = static_cast<uint16_t>(slot - size());
    return passes(slot, used_.slot, static_cast<uint16_t>(used_.slot - count));
}

void PackedRing::want_kicks(memory::DmaSpace& dma, bool wanted) {
    wants_kicks_ = wanted;
    if (!map(dma)) return;
    if (wanted && settings_.event_index) return publish_event(true);
    store<uint16_t>(memory_.bytes(RingMemory::kDevice) + kFlags, wanted ? kEnable : kDisable);
    event_is_known_ = false;
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace mimic::virtio
