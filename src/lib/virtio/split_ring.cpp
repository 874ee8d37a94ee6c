// SPDX-License-Identifier: Apache-2.0
#include "virtio/split_ring.h"

#include <utility>

namespace mimic::virtio {
namespace {

// Available and used ring: flags u16, index u16, entries, and the event of the other side u16.
constexpr size_t kIndex = 2;
constexpr size_t kEntries = 4;
constexpr uint16_t kNoInterrupt = 1;  // available ring, flags
constexpr uint16_t kNoKick = 1;       // used ring, flags

struct UsedEntry {
    uint32_t id;
    uint32_t written;
};

}  // namespace

SplitRing::SplitRing(const Queue::Settings& settings)
    : Ring(settings),
      next_available_(settings.position.next_available.value_or(0)),
      known_available_(next_available_),
      next_used_(settings.position.next_used.value_or(next_available_)) {
    const uint64_t entries = settings.size;
    const uint64_t event = settings.event_index ? 2 : 0;
    memory_.set(RingMemory::kDescriptors, settings.addresses.descriptors,
                entries * sizeof(SplitDescriptor), memory::DmaAccess::kRead);
    memory_.set(RingMemory::kDriver, settings.addresses.driver, kEntries + entries * 2 + event,
                memory::DmaAccess::kRead);
    memory_.set(RingMemory::kDevice, settings.addresses.device,
                kEntries + entries * sizeof(UsedEntry) + event, memory::DmaAccess::kReadWrite);
}

// Whether the driver has made anything available that was not popped.
bool SplitRing::look() {
    known_available_ = load<uint16_t>(available(kIndex), std::memory_order_acquire);
    return known_available_ != next_available_;
}

// 2.7.10: the driver kicks when it fills the entry that we would pop next. Written only once all
// was popped, so that a driver which fills while we work does not kick.
void SplitRing::publish_event() {
    if (event_is_known_ && event_ == next_available_) return;
    event_ = next_available_;
    event_is_known_ = true;
    store<uint16_t>(used(kEntries + size() * sizeof(UsedEntry)), event_);
    // The driver writes its index and then reads the event; we the other way round. Without a full
    // barrier on both sides each could miss the other.
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

bool SplitRing::pop(memory::DmaSpace& dma, Chain& chain) {
    if (!map(dma)) return false;
    if (known_available_ == next_available_) {
        if (!look()) {
            if (!settings_.event_index || !wants_kicks_) return false;
            publish_event();
            if (!look()) return false;
        }
        if (!memory_.intact(dma)) return stop_with("the ring's memory was taken away");
        const uint16_t ahead = known_available_ - next_available_;
        if (ahead + chains_out() > size()) return stop_with("the available index ran ahead");
    }
    const auto head = load<uint16_t>(available(kEntries + slot(next_available_) * size_t{2}));
    if (!walk(dma, head, chain)) return false;
    ++next_available_;
    ChainBuilder::set_id(chain, head);
    return true;
}

bool SplitRing::walk(memory::DmaSpace& dma, uint16_t head, Chain& chain) {
    uint32_t at = head;
    for (uint32_t entries = 1;; ++entries) {
        if (at >= size()) return stop_with("a descriptor beyond the table");
        if (entries > size()) return stop_with("a loop of descriptors");
        const auto descriptor = copy_of<SplitDescriptor>(memory_.bytes(RingMemory::kDescriptors) +
                                                         at * sizeof(SplitDescriptor));
        if ((descriptor.flags & kIndirect) != 0) {
            return walk_indirect(dma, descriptor, chain) && taken(chain, entries);
        }
        if (const char* const why = ChainBuilder::add(chain, descriptor.address, descriptor.size,
                                                      (descriptor.flags & kWrite) != 0)) {
            return stop_with(why);
        }
        if ((descriptor.flags & kNext) == 0) return taken(chain, entries);
        at = descriptor.next;
    }
}

// 2.7.5.3: a table somewhere else, chained like the ring's own. It ends the chain.
bool SplitRing::walk_indirect(memory::DmaSpace& dma, const SplitDescriptor& table, Chain& chain) {
    if (!settings_.indirect) return stop_with("an indirect descriptor that was not agreed on");
    if ((table.flags & kNext) != 0) return stop_with("a descriptor behind an indirect one");
    if (table.size == 0 || table.size % sizeof(SplitDescriptor) != 0) {
        return stop_with("an indirect table of no whole descriptors");
    }
    const auto bytes = dma.span(table.address, table.size, memory::DmaAccess::kRead);
    if (!bytes) return stop_with("an indirect table where no memory is");
    const uint32_t count = table.size / sizeof(SplitDescriptor);
    uint32_t at = 0;
    for (uint32_t seen = 1;; ++seen) {
        if (at >= count) return stop_with("a descriptor beyond its indirect table");
        if (seen > count) return stop_with("a loop of descriptors");
        if (seen > kMostElements) return stop_with("a chain of too many descriptors");
        const auto descriptor = copy_of<SplitDescriptor>(bytes->data() +
                                                         at * sizeof(SplitDescriptor));
        if ((descriptor.flags & kIndirect) != 0) {
            return stop_with("an indirect descriptor in an indirect table");
        }
        if (const char* const why = ChainBuilder::add(chain, descriptor.address, descriptor.size,
                                                      (descriptor.flags & kWrite) != 0)) {
            return stop_with(why);
        }
        if ((descriptor.flags & kNext) == 0) break;
        at = descriptor.next;
    }
    if (!dma.intact(table.address, table.size)) {
        return stop_with("an indirect table whose memory was taken away");
    }
    return true;
}

void SplitRing::push(memory::DmaSpace& dma, const Chain& chain, uint32_t written) {
    if (!map(dma)) return;
    const UsedEntry entry{chain.id(), written};
    std::memcpy(used(kEntries + slot(next_used_) * sizeof entry), &entry, sizeof entry);
    ++next_used_;
    ++unannounced_;
    store<uint16_t>(used(kIndex), next_used_, std::memory_order_release);
}

bool SplitRing::needs_interrupt(memory::DmaSpace& dma) {
    if (unannounced_ == 0 || !map(dma)) return false;
    if (!memory_.intact(dma)) return stop_with("the ring's memory was taken away");
    const uint32_t count = std::exchange(unannounced_, 0);
    // The driver asks, then looks once more for what is used; we use, then look what it asks.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!settings_.event_index) return (load<uint16_t>(available(0)) & kNoInterrupt) == 0;
    if (count > UINT16_MAX) return true;  // went past every event there is
    const auto event = load<uint16_t>(available(kEntries + size() * size_t{2}));
    return passes(event, next_used_, static_cast<uint16_t>(next_used_ - count));
}

void SplitRing::want_kicks(memory::DmaSpace& dma, bool wanted) {
    wants_kicks_ = wanted;
    if (!map(dma)) return;
    if (settings_.event_index) {
        if (wanted) publish_event();
        return;  // the driver passes the old event once, and then kicks no more
    }
    store<uint16_t>(used(0), wanted ? uint16_t{0} : kNoKick);
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace mimic::virtio
