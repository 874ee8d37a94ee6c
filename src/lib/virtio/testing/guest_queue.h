// SPDX-License-Identifier: Apache-2.0
// GuestQueue: the driver's side of one virtqueue, for tests. Split and packed, with indirect tables
// and event index; and what a driver must not do. Needs no test framework.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "memory/testing/fake_memory.h"
#include "virtio/queue.h"
#include "virtio/ring.h"

namespace mimic::virtio {

/// A ring in a region of its own in `memory`, which ends with it. Thread-bound.
class GuestQueue {
public:
    struct Options {
        uint16_t size = 8;
        bool packed = false;
        bool event_index = false;
    };
    struct Used {
        uint16_t id = 0;
        uint32_t written = 0;
        friend bool operator==(const Used&, const Used&) = default;
    };
    static constexpr uint32_t kTableElements = 32;  // most of an indirect table

    virtual ~GuestQueue() { memory_.remove(base_); }
    GuestQueue(const GuestQueue&) = delete;
    GuestQueue& operator=(const GuestQueue&) = delete;

    QueueAddresses addresses() const { return {descriptors_, driver_, device_}; }
    const Options& options() const { return options_; }

    /// What Queue::start() takes for this ring, with indirect descriptors.
    Queue::Settings settings() const {
        return {.size = options_.size,
                .addresses = addresses(),
                .packed = options_.packed,
                .event_index = options_.event_index,
                .indirect = true};
    }

    /// Makes a buffer available and returns its id; nullopt: the ring is full. An indirect one has
    /// at most kTableElements.
    std::optional<uint16_t> add(const std::vector<Segment>& readable,
                                const std::vector<Segment>& writable, bool indirect = false) {
        std::vector<Element> elements;
        for (const Segment& one : readable) elements.push_back({one.address, one.size, 0});
        for (const Segment& one : writable) elements.push_back({one.address, one.size, kWrite});
        return add_elements(elements, indirect);
    }

    /// Whether the device asked to be kicked for what was added since the last question.
    virtual bool wants_kick() = 0;

    /// The next buffer that the device returned.
    virtual std::optional<Used> take() = 0;

    /// Asks for an interrupt for the next used buffer, or for none.
    virtual void want_interrupts(bool wanted) = 0;

    // --- What a driver must not do -----------------------------------------------------------

    struct Element {
        uint64_t address = 0;
        uint32_t size = 0;
        uint16_t flags = 0;  // DescriptorFlag; kNext is added between elements
    };
    /// As add(), with any elements.
    virtual std::optional<uint16_t> add_elements(const std::vector<Element>& elements,
                                                 bool indirect = false) = 0;

    uint64_t descriptor(uint32_t slot) const { return descriptors_ + uint64_t{slot} * 16; }
    uint64_t table(uint32_t id) const { return tables_ + uint64_t{id} * kTableElements * 16; }

protected:
    GuestQueue(memory::FakeMemory& memory, uint64_t base, const Options& options)
        : memory_(memory), base_(base), options_(options) {
        const auto align = [](uint64_t at) { return (at + 63) / 64 * 64; };
        descriptors_ = base;
        driver_ = align(descriptors_ + uint64_t{options.size} * 16);
        device_ = align(driver_ + 6 + uint64_t{options.size} * 2);
        tables_ = align(device_ + 6 + uint64_t{options.size} * 8);
        memory.add(base, tables_ - base + uint64_t{options.size} * kTableElements * 16);
    }

    memory::FakeMemory& memory_;
    const uint64_t base_;
    const Options options_;
    uint64_t descriptors_ = 0;
    uint64_t driver_ = 0;
    uint64_t device_ = 0;
    uint64_t tables_ = 0;
};

/// A ring as Linux' virtio_ring.c drives it: free descriptors are a list, those of a chain go back
/// when it was used.
class SplitGuestQueue final : public GuestQueue {
public:
    SplitGuestQueue(memory::FakeMemory& memory, uint64_t base, const Options& options)
        : GuestQueue(memory, base, options), chains_(options.size) {
        for (uint16_t i = 0; i < options.size; ++i) free_.push_back(i);
    }

    std::optional<uint16_t> add_elements(const std::vector<Element>& elements,
                                         bool indirect) override {
        const size_t count = indirect ? 1 : elements.size();
        if (count > free_.size()) return std::nullopt;
        std::vector<uint16_t> chain(free_.end() - static_cast<std::ptrdiff_t>(count), free_.end());
        free_.resize(free_.size() - count);
        const uint16_t head = chain.front();
        for (size_t i = 0; i < elements.size(); ++i) {
            const bool last = i + 1 == elements.size();
            const auto next = static_cast<uint16_t>(last ? 0 : indirect ? i + 1 : chain[i + 1]);
            const auto flags = static_cast<uint16_t>(elements[i].flags | (last ? 0 : kNext));
            put(indirect ? table(head) + i * 16 : descriptor(chain[i]),
                {elements[i].address, elements[i].size, flags, next});
        }
        if (indirect) {
            put(descriptor(head),
                {table(head), static_cast<uint32_t>(elements.size() * 16), uint16_t{kIndirect}, 0});
        }
        chains_[head] = std::move(chain);
        make_available(head);
        return head;
    }

    /// Puts any number into the available ring.
    void make_available(uint16_t head) {
        memory_.put<uint16_t>(driver_ + 4 + next_ % options_.size * 2, head);
        memory_.put<uint16_t>(driver_ + 2, ++next_);
    }
    void put(uint64_t at, const SplitDescriptor& descriptor) { memory_.put(at, descriptor); }
    void set_available_index(uint16_t index) { memory_.put<uint16_t>(driver_ + 2, index); }

    bool wants_kick() override {
        const uint16_t old = std::exchange(announced_, next_);
        if (!options_.event_index) return (memory_.get<uint16_t>(device_) & 1) == 0;
        return passes(memory_.get<uint16_t>(device_ + 4 + options_.size * 8), next_, old);
    }

    std::optional<Used> take() override {
        if (memory_.get<uint16_t>(device_ + 2) == used_) return std::nullopt;
        const uint64_t at = device_ + 4 + used_ % options_.size * 8;
        const Used used{static_cast<uint16_t>(memory_.get<uint32_t>(at)),
                        memory_.get<uint32_t>(at + 4)};
        ++used_;
        auto& chain = chains_[used.id % options_.size];
        free_.insert(free_.end(), chain.begin(), chain.end());
        chain.clear();
        if (wants_interrupts_) want_interrupts(true);
        return used;
    }

    void want_interrupts(bool wanted) override {
        wants_interrupts_ = wanted;
        memory_.put<uint16_t>(driver_, wanted ? 0 : 1);
        // Without interest, an event that lies behind is passed in 2^16 buffers at the earliest.
        if (options_.event_index) {
            memory_.put<uint16_t>(driver_ + 4 + options_.size * 2,
                                  static_cast<uint16_t>(used_ - (wanted ? 0 : 1)));
        }
    }

private:
    std::vector<uint16_t> free_;
    std::vector<std::vector<uint16_t>> chains_;  // by head
    uint16_t next_ = 0;
    uint16_t announced_ = 0;
    uint16_t used_ = 0;
    bool wants_interrupts_ = true;
};

/// The same for a packed ring: ids are those of a list, descriptors follow each other.
class PackedGuestQueue final : public GuestQueue {
public:
    PackedGuestQueue(memory::FakeMemory& memory, uint64_t base, const Options& options)
        : GuestQueue(memory, base, options), entries_(options.size), left_(options.size) {
        for (uint16_t i = 0; i < options.size; ++i) free_.push_back(i);
    }

    std::optional<uint16_t> add_elements(const std::vector<Element>& elements,
                                         bool indirect) override {
        const size_t count = indirect ? 1 : elements.size();
        if (count > left_ || free_.empty()) return std::nullopt;
        const uint16_t id = free_.back();
        free_.pop_back();
        std::vector<Element> written = elements;
        if (indirect) {
            for (size_t i = 0; i < elements.size(); ++i) {
                const Element& one = elements[i];
                memory_.put(table(id) + i * 16,
                            PackedDescriptor{one.address, one.size, 0, one.flags});
            }
            written = {{table(id), static_cast<uint32_t>(elements.size() * 16), kIndirect}};
        }
        uint16_t head_flags = 0;
        const uint16_t head = next_;
        for (size_t i = 0; i < count; ++i) {
            const bool last = i + 1 == count;
            const auto flags = static_cast<uint16_t>(written[i].flags | (last ? 0 : kNext) |
                                                     (wrap_ ? kAvailableFlag : kUsedFlag));
            if (i == 0) head_flags = flags;
            // The head becomes available last.
            memory_.put(descriptor(next_), PackedDescriptor{written[i].address, written[i].size, id,
                                                            i == 0 ? old_flags(next_) : flags});
            advance(next_, wrap_, 1);
        }
        memory_.put<uint16_t>(descriptor(head) + 14, head_flags);
        entries_[id] = static_cast<uint16_t>(count);
        left_ -= count;
        added_ += count;
        return id;
    }

    bool wants_kick() override {
        const size_t added = std::exchange(added_, 0);
        const auto flags = memory_.get<uint16_t>(device_ + 2);
        if (flags != 2) return flags == 0;
        const auto place = memory_.get<uint16_t>(device_);
        auto slot = static_cast<uint16_t>(place & 0x7fff);
        if ((place >> 15 != 0) != wrap_) slot = static_cast<uint16_t>(slot - options_.size);
        return passes(slot, next_, static_cast<uint16_t>(next_ - added));
    }

    std::optional<Used> take() override {
        const auto one = memory_.get<PackedDescriptor>(descriptor(used_));
        const bool available = (one.flags & kAvailableFlag) != 0;
        const bool used = (one.flags & kUsedFlag) != 0;
        if (available != used || used != used_wrap_) return std::nullopt;
        const uint16_t count = std::exchange(entries_[one.id % options_.size], uint16_t{0});
        if (count == 0) return Used{one.id, one.size};  // was not out: the test sees it
        advance(used_, used_wrap_, count);
        left_ += count;
        free_.push_back(one.id);
        if (wants_interrupts_) want_interrupts(true);
        return Used{one.id, one.size};
    }

    void want_interrupts(bool wanted) override {
        wants_interrupts_ = wanted;
        memory_.put<uint16_t>(driver_, static_cast<uint16_t>(used_ | (used_wrap_ ? 1U << 15 : 0)));
        memory_.put<uint16_t>(driver_ + 2, static_cast<uint16_t>(!wanted                ? 1
                                                                 : options_.event_index ? 2
                                                                                        : 0));
    }

private:
    void advance(uint16_t& slot, bool& wrap, size_t count) const {
        slot = static_cast<uint16_t>(slot + count);
        if (slot < options_.size) return;
        slot = static_cast<uint16_t>(slot - options_.size);
        wrap = !wrap;
    }
    uint16_t old_flags(uint16_t slot) { return memory_.get<uint16_t>(descriptor(slot) + 14); }

    std::vector<uint16_t> free_;
    std::vector<uint16_t> entries_;  // that a buffer takes, by id
    size_t left_;
    size_t added_ = 0;
    uint16_t next_ = 0;
    bool wrap_ = true;
    uint16_t used_ = 0;
    bool used_wrap_ = true;
    bool wants_interrupts_ = true;
};

inline std::unique_ptr<GuestQueue> make_guest_queue(memory::FakeMemory& memory, uint64_t base,
                                                    const GuestQueue::Options& options) {
    if (options.packed) return std::make_unique<PackedGuestQueue>(memory, base, options);
    return std::make_unique<SplitGuestQueue>(memory, base, options);
}

}  // namespace mimic::virtio
