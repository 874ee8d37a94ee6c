// SPDX-License-Identifier: Apache-2.0
#include "virtio/queue.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "virtio/packed_ring.h"
#include "virtio/split_ring.h"

namespace mimic::virtio {
namespace {

// Chains whose vectors wait to be used again, and how large these may be: a driver that once asked
// for much does not keep it.
constexpr size_t kMostSpares = 256;
constexpr size_t kLargestSpare = 64;  // elements
constexpr uint64_t kSmallPiece = 4096;

Status check_settings(const Queue::Settings& settings) {
    constexpr uint16_t kMostEntries = 32768;  // 2.6
    if (settings.size == 0 || settings.size > kMostEntries) {
        return fail(std::errc::invalid_argument, "a queue of {} entries", settings.size);
    }
    if (!settings.packed && !std::has_single_bit(settings.size)) {
        return fail(std::errc::invalid_argument, "a split queue of {} entries, no power of two",
                    settings.size);
    }
    // 2.7 and 2.8.10.1
    const auto& at = settings.addresses;
    if (at.descriptors % 16 != 0 || at.driver % (settings.packed ? 4 : 2) != 0 ||
        at.device % 4 != 0) {
        return fail(std::errc::invalid_argument, "a queue at {:#x}, {:#x}, {:#x}: not aligned",
                    at.descriptors, at.driver, at.device);
    }
    return {};
}

// Guest memory of a transfer, and which way it goes.
struct Memory {
    memory::DmaSpace& dma;
    memory::DmaAccess access;
};

// Calls `copy(guest bytes, how many are done)` for `size` bytes at `address`, once where the memory
// is one piece. Returns how many could be moved.
template <typename Copy>
size_t each_piece(const Memory& memory, uint64_t address, size_t size, Copy copy) {
    if (const auto whole = memory.dma.span(address, size, memory.access)) {
        copy(*whole, 0);
        return memory.dma.intact(address, size) ? size : 0;
    }
    // Two regions may meet within a buffer, at a page.
    size_t done = 0;
    while (done < size) {
        const uint64_t at = address + done;
        const auto piece = static_cast<size_t>(
            std::min<uint64_t>(size - done, kSmallPiece - at % kSmallPiece));
        const auto bytes = memory.dma.span(at, piece, memory.access);
        if (!bytes) break;
        copy(*bytes, done);
        if (!memory.dma.intact(at, piece)) break;
        done += piece;
    }
    return done;
}

// A part of `segments`, by bytes.
struct Part {
    const std::vector<Segment>& segments;
    size_t offset;
    size_t size;
};
struct Moved {
    size_t bytes = 0;
    bool missing = false;  // the segments had more, but it is no memory
};

template <typename Copy>
Moved each_segment(const Memory& memory, const Part& part, Copy copy) {
    Moved moved;
    size_t offset = part.offset;
    for (const Segment& segment : part.segments) {
        if (moved.bytes == part.size) break;
        if (offset >= segment.size) {
            offset -= segment.size;
            continue;
        }
        const size_t size = std::min<size_t>(part.size - moved.bytes, segment.size - offset);
        const size_t done = each_piece(
            memory, segment.address + offset, size,
            [&](std::span<std::byte> bytes, size_t within) { copy(bytes, moved.bytes + within); });
        moved.bytes += done;
        moved.missing = done != size;
        if (moved.missing) break;
        offset = 0;
    }
    return moved;
}

}  // namespace

struct Queue::State {
    std::unique_ptr<Ring> ring;
    const uint64_t* turn = nullptr;
    uint32_t generation = 0;
    Counters counters;
    std::vector<Chain> spares;

    bool is_ours(const Chain& chain) const {
        return ring != nullptr && ChainBuilder::generation(chain) == generation;
    }

    Chain take_spare() {
        if (spares.empty()) return {};
        Chain chain = std::move(spares.back());
        spares.pop_back();
        return chain;
    }
    void keep_spare(Chain&& chain) {
        if (spares.size() >= kMostSpares || ChainBuilder::capacity(chain) > kLargestSpare) return;
        ChainBuilder::clear(chain);
        spares.push_back(std::move(chain));
    }
};

Queue::Queue() : state_(std::make_unique<State>()) {}
Queue::~Queue() = default;

void Queue::share_turn(const uint64_t* turn) {
    state_->turn = turn;
    if (state_->ring != nullptr) state_->ring->memory().share_turn(turn);
}

Status Queue::start(const Settings& settings) {
    MIMIC_TRY(check_settings(settings));
    stop();
    if (settings.packed) {
        state_->ring = std::make_unique<PackedRing>(settings);
    } else {
        state_->ring = std::make_unique<SplitRing>(settings);
    }
    state_->ring->memory().share_turn(state_->turn);
    return {};
}

void Queue::stop() {
    state_->ring.reset();
    ++state_->generation;
}

bool Queue::is_running() const {
    return state_->ring != nullptr;
}
bool Queue::broken() const {
    return why_broken() != nullptr;
}
const char* Queue::why_broken() const {
    return is_running() ? state_->ring->broken() : nullptr;
}

std::optional<Chain> Queue::pop(memory::DmaSpace& dma) {
    if (!is_running() || broken()) return std::nullopt;
    Chain chain = state_->take_spare();
    if (!state_->ring->pop(dma, chain)) {
        state_->keep_spare(std::move(chain));
        return std::nullopt;
    }
    ChainBuilder::set_generation(chain, state_->generation);
    ++state_->counters.popped;
    return chain;
}

size_t Queue::read(memory::DmaSpace& dma, const Chain& chain, size_t offset,
                   std::span<std::byte> out) {
    const Moved moved = each_segment({dma, memory::DmaAccess::kRead},
                                     {chain.readable(), offset, out.size()},
                                     [&](std::span<std::byte> bytes, size_t at) {
                                         std::memcpy(out.data() + at, bytes.data(), bytes.size());
                                     });
    if (moved.missing && state_->is_ours(chain)) {
        state_->ring->break_queue("a readable buffer where no memory is");
    }
    return moved.bytes;
}

size_t Queue::write(memory::DmaSpace& dma, const Chain& chain, size_t offset,
                    std::span<const std::byte> bytes) {
    const Moved moved = each_segment({dma, memory::DmaAccess::kWrite},
                                     {chain.writable(), offset, bytes.size()},
                                     [&](std::span<std::byte> to, size_t at) {
                                         std::memcpy(to.data(), bytes.data() + at, to.size());
                                     });
    if (moved.missing && state_->is_ours(chain)) {
        state_->ring->break_queue("a writable buffer where no memory is");
    }
    return moved.bytes;
}

void Queue::push(memory::DmaSpace& dma, Chain&& chain, uint32_t written) {
    Chain mine = std::move(chain);
    if (!state_->is_ours(mine)) return;
    state_->ring->push(dma, mine, std::min(written, mine.writable_bytes()));
    state_->ring->returned(mine);
    ++state_->counters.pushed;
    state_->keep_spare(std::move(mine));
}

void Queue::drop(Chain&& chain) {
    Chain mine = std::move(chain);
    if (!state_->is_ours(mine)) return;
    state_->ring->returned(mine);
    state_->keep_spare(std::move(mine));
}

bool Queue::needs_interrupt(memory::DmaSpace& dma) {
    if (!is_running() || !state_->ring->needs_interrupt(dma)) return false;
    ++state_->counters.interrupts;
    return true;
}

void Queue::want_kicks(memory::DmaSpace& dma, bool wanted) {
    if (is_running()) state_->ring->want_kicks(dma, wanted);
}

uint16_t Queue::next_available() const {
    return is_running() ? state_->ring->next_available() : uint16_t{0};
}
uint16_t Queue::next_used() const {
    return is_running() ? state_->ring->next_used() : uint16_t{0};
}
size_t Queue::outstanding() const {
    return is_running() ? state_->ring->chains_out() : 0;
}
const Queue::Counters& Queue::counters() const {
    return state_->counters;
}
Queue::Counters& Queue::counters() {
    return state_->counters;
}

}  // namespace mimic::virtio
