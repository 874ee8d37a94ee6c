// SPDX-License-Identifier: Apache-2.0
// Fuzz target: both rings of virtio, with a driver that keeps the rules or breaks all of them, and
// a device that returns buffers in any order. A driver that keeps the rules gets each buffer back
// once and breaks nothing; whatever a driver does, what the device writes is its part of the ring
// and the writable parts of chains, and no more is out than the ring has.
#include <array>
#include <map>
#include <set>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "virtio/queue.h"
#include "virtio/testing/guest_queue.h"

namespace {

using namespace mimic;
using memory::DmaAccess;
using memory::FakeMemory;
using virtio::Chain;
using virtio::GuestQueue;
using virtio::Queue;
using virtio::Segment;

constexpr uint64_t kRing = 0x10'0000;
constexpr uint64_t kData = 0x1000;
constexpr size_t kDataSize = 0x1000;
constexpr size_t kReadOnly = 0x3000;  // a region that may not be written

// Guest memory that says which bytes were asked for to be written.
class Watched final : public memory::DmaSpace {
public:
    explicit Watched(FakeMemory& memory) : memory_(memory) {}

    std::optional<std::span<std::byte>> span(uint64_t iova, uint64_t size,
                                             DmaAccess access) override {
        FUZZ_REQUIRE(size > 0);
        if (access != DmaAccess::kRead && !is_ring(iova, size)) {
            FUZZ_REQUIRE(written_to != nullptr);
            bool inside = false;
            for (const Segment& one : written_to->writable()) {
                inside = inside || (iova >= one.address && iova - one.address <= one.size &&
                                    size <= one.size - (iova - one.address));
            }
            FUZZ_REQUIRE(inside);
        }
        return memory_.span(iova, size, access);
    }
    // A virtqueue has no time to wait for an answer.
    void read(uint64_t, uint64_t, ReadDone) override { FUZZ_REQUIRE(false); }
    void write(uint64_t, std::span<const std::byte>, WriteDone) override { FUZZ_REQUIRE(false); }

    const Chain* written_to = nullptr;  // by Queue::write() now
    std::array<Segment, 2> ring{};      // what the device may write of the ring

private:
    bool is_ring(uint64_t iova, uint64_t size) const {
        for (const Segment& one : ring) {
            if (one.size > 0 && iova == one.address && size <= one.size) return true;
        }
        return false;
    }

    FakeMemory& memory_;
};

class Harness {
public:
    explicit Harness(fuzz::Input& input) : input_(input) {
        const auto flags = input.take<uint8_t>();
        honest_ = (flags & 1) != 0;
        options_.packed = (flags & 2) != 0;
        options_.event_index = (flags & 4) != 0;
        shares_turn_ = (flags & 8) != 0;
        agrees_indirect_ = honest_ || (flags & 16) != 0;
        options_.size = static_cast<uint16_t>(1U << (flags >> 5) % 6);
        if (options_.packed) options_.size = static_cast<uint16_t>(options_.size + (flags & 1));
        memory_.add(kData, kDataSize);
        memory_.add(kReadOnly, 64, FakeMemory::Kind::kMapped, DmaAccess::kRead);
        if (shares_turn_) queue_.share_turn(&turn_);
        start();
    }

    void run() {
        for (unsigned steps = 0; !input_.empty() && steps < 2000; ++steps) step();
        finish();
    }

private:
    void start() {
        guest_.reset();
        held_.clear();
        out_.clear();
        written_.clear();
        guest_ = virtio::make_guest_queue(memory_, kRing, options_);
        auto settings = guest_->settings();
        settings.indirect = agrees_indirect_;
        FUZZ_REQUIRE(queue_.start(settings));
        ++turn_;
        const uint32_t size = options_.size;
        dma_.ring = {Segment{settings.addresses.device, 6 + size * 8}};
        if (options_.packed) dma_.ring[1] = {settings.addresses.descriptors, size * 16};
    }

    void step() {
        const auto what = input_.take<uint8_t>();
        switch (what % 8) {
            case 0:
            case 1:
                return honest_ ? add_good((what & 8) != 0) : add_bad((what & 8) != 0);
            case 2:
                return pop();
            case 3:
                return push(what);
            case 4:
                return copy(what);
            case 5:
                return honest_ ? take() : poke();
            case 6:
                return events(what);
            default:
                break;
        }
        if (what % 32 == 31) return what % 64 == 63 ? start() : resume();
        ++turn_;  // the loop went on
    }

    void add_good(bool indirect) {
        const auto in = input_.take<uint8_t>();
        std::vector<Segment> readable(in % 4);
        std::vector<Segment> writable(in / 4 % 4 + (in % 4 == 0 ? 1 : 0));
        for (auto* list : {&readable, &writable}) {
            for (Segment& one : *list) {
                one.size = 1 + input_.take<uint8_t>();
                one.address = kData + input_.take<uint16_t>() % (kDataSize - one.size);
            }
        }
        const auto id = guest_->add(readable, writable, indirect);
        if (!id) return;
        FUZZ_REQUIRE(out_.insert(*id).second);
    }

    void add_bad(bool indirect) {
        std::vector<GuestQueue::Element> elements(1 + input_.take<uint8_t>() % 8);
        for (auto& one : elements) {
            const auto kind = input_.take<uint8_t>();
            one.flags = kind & 7;
            one.size = (kind & 8) != 0 ? input_.take<uint32_t>() : kind >> 4;
            one.address = (kind & 16) != 0   ? input_.take<uint64_t>()
                          : (kind & 32) != 0 ? guest_->table(input_.take<uint8_t>() % options_.size)
                          : (kind & 64) != 0 ? kReadOnly
                                             : kData + input_.take<uint16_t>() % kDataSize;
        }
        guest_->add_elements(elements, indirect);
    }

    // Any bytes anywhere in the rings and their tables.
    void poke() {
        const auto at = input_.take<uint16_t>();
        const auto bytes = input_.take_bytes(1 + input_.take<uint8_t>() % 16);
        for (size_t i = 0; i < bytes.size(); ++i) {
            if (std::byte* const to = memory_.at(kRing + at + i)) *to = std::byte{bytes[i]};
        }
    }

    void pop() {
        auto chain = queue_.pop(dma_);
        if (!chain) {
            FUZZ_REQUIRE(!honest_ || !queue_.broken());
            FUZZ_REQUIRE(!honest_ || held_.size() + written_.size() == out_.size());
            return;
        }
        uint64_t readable = 0;
        uint64_t writable = 0;
        for (const Segment& one : chain->readable()) readable += check(one);
        for (const Segment& one : chain->writable()) writable += check(one);
        FUZZ_REQUIRE(readable == chain->readable_bytes() && writable == chain->writable_bytes());
        FUZZ_REQUIRE(chain->readable().size() + chain->writable().size() <= 1024U + options_.size);
        FUZZ_REQUIRE(!honest_ || out_.contains(chain->id()));
        held_.push_back(std::move(*chain));
        FUZZ_REQUIRE(queue_.outstanding() == held_.size() && held_.size() <= options_.size);
    }

    static uint64_t check(const Segment& one) {
        FUZZ_REQUIRE(one.size > 0 && one.address + (one.size - 1) >= one.address);
        return one.size;
    }

    void push(uint8_t which) {
        if (held_.empty()) return;
        const auto at = held_.begin() + which / 8 % static_cast<int>(held_.size());
        const uint32_t room = at->writable_bytes();
        const uint32_t written = honest_ ? room : input_.take<uint32_t>();
        if (honest_) written_[at->id()] = room;
        queue_.push(dma_, std::move(*at), written);
        held_.erase(at);
        FUZZ_REQUIRE(queue_.outstanding() == held_.size());
    }

    void copy(uint8_t which) {
        if (held_.empty()) return;
        const Chain& chain = held_[which / 8 % held_.size()];
        std::array<std::byte, 512> bytes{};
        const auto offset = input_.take<uint16_t>();
        const size_t read = queue_.read(dma_, chain, offset, bytes);
        FUZZ_REQUIRE(read <= bytes.size());
        dma_.written_to = &chain;
        const size_t written = queue_.write(dma_, chain, offset, bytes);
        dma_.written_to = nullptr;
        if (!honest_) return;
        const auto there = [&](uint32_t all) {
            return std::min<size_t>(bytes.size(), all - std::min<size_t>(all, offset));
        };
        FUZZ_REQUIRE(read == there(chain.readable_bytes()));
        FUZZ_REQUIRE(written == there(chain.writable_bytes()));
    }

    // What the driver finds used, each once and with what was written.
    void take() {
        while (const auto used = guest_->take()) {
            FUZZ_REQUIRE(out_.erase(used->id) == 1);
            FUZZ_REQUIRE(written_.at(used->id) == used->written);
            written_.erase(used->id);
        }
        FUZZ_REQUIRE(written_.empty());
        FUZZ_REQUIRE(out_.size() >= held_.size());
    }

    void events(uint8_t what) {
        if ((what & 8) != 0) guest_->want_interrupts((what & 16) != 0);
        if ((what & 32) != 0) queue_.want_kicks(dma_, (what & 64) != 0);
        if ((what & 128) == 0) return;
        guest_->wants_kick();
        queue_.needs_interrupt(dma_);
        FUZZ_REQUIRE(!queue_.needs_interrupt(dma_));  // nothing was pushed since
    }

    // Another queue goes on with the same ring; only with nothing out can it know where.
    void resume() {
        if (queue_.outstanding() > 0) return;
        auto settings = guest_->settings();
        settings.indirect = agrees_indirect_;
        settings.position.next_available = honest_ ? queue_.next_available()
                                                   : input_.take<uint16_t>();
        if ((turn_ & 1) != 0) {
            settings.position.next_used = honest_ ? queue_.next_used() : input_.take<uint16_t>();
        }
        FUZZ_REQUIRE(queue_.start(settings));
        ++turn_;
    }

    void finish() {
        ++turn_;
        if (honest_) {
            for (size_t before = held_.size() + 1; before != held_.size();) {
                before = held_.size();
                pop();
            }
            FUZZ_REQUIRE(held_.size() + written_.size() == out_.size());
        }
        while (!held_.empty()) push(0);
        FUZZ_REQUIRE(queue_.outstanding() == 0);
        if (!honest_) return;
        take();
        FUZZ_REQUIRE(out_.empty() && !queue_.broken());
    }

    fuzz::Input& input_;
    bool honest_ = false;
    bool shares_turn_ = false;
    bool agrees_indirect_ = false;
    GuestQueue::Options options_;
    FakeMemory memory_;
    Watched dma_{memory_};
    uint64_t turn_ = 1;
    Queue queue_;
    std::unique_ptr<GuestQueue> guest_;
    std::vector<Chain> held_;
    std::set<uint16_t> out_;                // made available and not taken back
    std::map<uint16_t, uint32_t> written_;  // pushed and not taken back
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    fuzz::Input input(data, size);
    Harness(input).run();
    return 0;
}
