// SPDX-License-Identifier: Apache-2.0
#include "pci/trace/trace_ring.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <utility>
#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#include "base/check.h"

namespace mimic::pci {
namespace {

constexpr uint8_t kInline = 1U << 7;  // of Header::flags: the data is in `value`

// Header::size of an access.
constexpr unsigned kDurationShift = 32;
constexpr uint64_t kSizeMask = UINT32_MAX;

uint64_t packed_duration(int64_t ticks) {
    return static_cast<uint64_t>(std::clamp<int64_t>(ticks, 0, UINT32_MAX)) << kDurationShift;
}

constexpr uint64_t padded(uint64_t size) {
    return (size + 7) & ~uint64_t{7};
}

// Between two looks at the clock: about a tenth of a second at the rates that there are.
constexpr int64_t kAnchorTicks = 1 << 28;

int64_t counter() {
#if defined(__x86_64__)
    return static_cast<int64_t>(__rdtsc());
#else
    return 0;
#endif
}

bool is_access(TraceKind kind) {
    return kind <= TraceKind::kBarWrite;
}

}  // namespace

struct TraceRing::Header {
    uint32_t length;  // of the record, padding included
    uint16_t source;
    uint8_t kind;
    uint8_t bar;
    uint8_t flags;
    uint8_t reserved;
    uint16_t text_size;
    uint32_t data_size;
    int64_t time;
    uint64_t address;
    uint64_t size;
    uint64_t value;
};

TraceTicks cheapest_ticks() {
#if defined(__x86_64__)
    // AMD64 Architecture Programmer's Manual, volume 3, CPUID Fn8000_0007_EDX[TscInvariant]; Intel
    // has the same bit.
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    constexpr unsigned kInvariant = 1U << 8;
    if (__get_cpuid(0x8000'0007, &eax, &ebx, &ecx, &edx) != 0 && (edx & kInvariant) != 0)
        return TraceTicks::kTsc;
#endif
    return TraceTicks::kClock;
}

TraceRing::TraceRing(uint64_t bytes, const Clock& clock, uint64_t first_number, TraceTicks ticks)
    : clock_(clock),
      ticks_(ticks),
      mask_(std::bit_ceil(std::clamp(bytes, kMinTraceBytes, kMaxTraceBytes)) - 1),
      buffer_(new uint8_t[mask_ + 1]),
      oldest_(first_number),
      next_(first_number) {
    static_assert(sizeof(Header) == 48);
    sources_.emplace_back("?");
    if (ticks_ == TraceTicks::kTsc) add_anchor(counter());
}

int64_t TraceRing::ticks() {
    if (ticks_ == TraceTicks::kClock) return clock_.now().time_since_epoch().count();
    const int64_t now = counter();
    if (now - anchors_.back().ticks > kAnchorTicks) [[unlikely]] {
        add_anchor(now);
        // Those before the oldest event say nothing any more.
        const int64_t oldest = tail_ == head_ ? now : header_at(tail_).time;
        while (anchors_.size() > 2 && anchors_[1].ticks <= oldest) anchors_.pop_front();
    }
    return now;
}

// Times must rise with ticks, whatever the counter does when a machine is moved.
void TraceRing::add_anchor(int64_t ticks) const {
    const int64_t now = clock_.now().time_since_epoch().count();
    if (anchors_.empty() || (ticks > anchors_.back().ticks && now >= anchors_.back().ns))
        anchors_.push_back({ticks, now});
}

// Events behind the last look at the clock lie before now.
void TraceRing::cover_newest() const {
    if (ticks_ == TraceTicks::kTsc && last_ticks_ > anchors_.back().ticks) add_anchor(counter());
}

int64_t TraceRing::time_of(int64_t ticks) const {
    if (ticks_ == TraceTicks::kClock) return ticks;
    auto after = std::upper_bound(
        anchors_.begin(), anchors_.end(), ticks,
        [](int64_t wanted, const Anchor& anchor) { return wanted < anchor.ticks; });
    if (after == anchors_.begin()) return anchors_.front().ns;
    if (after == anchors_.end()) return anchors_.back().ns;
    const Anchor& from = *std::prev(after);
    const auto part = static_cast<double>(ticks - from.ticks) /
                      static_cast<double>(after->ticks - from.ticks);
    return from.ns + static_cast<int64_t>(part * static_cast<double>(after->ns - from.ns));
}

int64_t TraceRing::duration_of(const Header& header) const {
    const auto kind = static_cast<TraceKind>(header.kind);
    if (!is_access(kind)) return 0;
    const auto ticks = static_cast<int64_t>(header.size >> kDurationShift);
    const bool is_read = kind == TraceKind::kConfigRead || kind == TraceKind::kBarRead;
    return is_read ? time_of(header.time) - time_of(header.time - ticks)
                   : time_of(header.time + ticks) - time_of(header.time);
}

void TraceRing::set_dma_bytes(uint32_t bytes) {
    dma_bytes_ = static_cast<uint32_t>(
        std::min<uint64_t>({bytes, kMaxTraceDmaBytes, capacity() / 4}));
}

void TraceRing::set_due(uint64_t bytes, std::function<void()> due) {
    due_ = std::move(due);
    due_every_ = bytes;
    due_at_ = due_ ? head_ + bytes : UINT64_MAX;
}

uint32_t TraceRing::source(std::string_view name) {
    if (const auto known = source_ids_.find(name); known != source_ids_.end()) return known->second;
    if (sources_.size() == kMaxSources) return 0;
    sources_.emplace_back(name);
    const auto id = static_cast<uint32_t>(sources_.size() - 1);
    source_ids_.emplace(name, id);
    return id;
}

void TraceRing::put(uint64_t at, const void* data, size_t size) {
    const uint64_t place = at & mask_;
    const size_t first = std::min<uint64_t>(size, mask_ + 1 - place);
    std::memcpy(buffer_.get() + place, data, first);
    if (first < size)
        std::memcpy(buffer_.get(), static_cast<const uint8_t*>(data) + first, size - first);
}

void TraceRing::get(uint64_t at, void* data, size_t size) const {
    const uint64_t place = at & mask_;
    const size_t first = std::min<uint64_t>(size, mask_ + 1 - place);
    std::memcpy(data, buffer_.get() + place, first);
    if (first < size) std::memcpy(static_cast<uint8_t*>(data) + first, buffer_.get(), size - first);
}

TraceRing::Header TraceRing::header_at(uint64_t at) const {
    Header header;
    get(at, &header, sizeof header);
    return header;
}

void TraceRing::make_room(uint64_t size) {
    while (head_ + size - tail_ > mask_ + 1) {
        uint32_t length = 0;
        get(tail_, &length, sizeof length);
        tail_ += length;
        ++oldest_;
        ++overwritten_;
    }
    while (!marks_.empty() && marks_.front().sequence < oldest_) marks_.pop_front();
}

uint64_t TraceRing::record(uint32_t source, const TraceEvent& event) {
    const uint64_t number = record_one(source, event);
    const bool is_dma = event.kind == TraceKind::kDmaRead || event.kind == TraceKind::kDmaWrite;
    if (is_dma && event.data.size() > kMaxTraceDmaBytes) [[unlikely]]
        record_rest(source, event);
    return number;
}

// The write may have caused so much that its own record is overwritten.
void TraceRing::acted(uint64_t number) {
    if (number < tail_ || number >= head_) return;
    const int64_t now = ticks_ == TraceTicks::kTsc ? counter()
                                                   : clock_.now().time_since_epoch().count();
    uint64_t size = 0;
    int64_t time = 0;
    get(number + offsetof(Header, size), &size, sizeof size);
    get(number + offsetof(Header, time), &time, sizeof time);
    size = (size & kSizeMask) | packed_duration(now - time);
    put(number + offsetof(Header, size), &size, sizeof size);
    last_ticks_ = std::max(last_ticks_, now);
}

// The bytes that did not fit the event, in further ones, where all bytes are wanted.
void TraceRing::record_rest(uint32_t source, const TraceEvent& event) {
    if (dma_bytes_ < kMaxTraceDmaBytes || event.data.size() > capacity() / 2) return;
    for (size_t at = kMaxTraceDmaBytes; at < event.data.size(); at += kMaxTraceDmaBytes) {
        const auto piece = event.data.subspan(
            at, std::min<size_t>(kMaxTraceDmaBytes, event.data.size() - at));
        record_one(source, {.kind = TraceKind::kDmaData,
                            .address = event.address + at,
                            .size = piece.size(),
                            .data = piece});
    }
}

uint64_t TraceRing::record_one(uint32_t source, const TraceEvent& event) {
    Header header{.length = 0,
                  .source = static_cast<uint16_t>(source),
                  .kind = static_cast<uint8_t>(event.kind),
                  .bar = event.bar,
                  .flags = event.flags,
                  .reserved = 0,
                  .text_size = 0,
                  .data_size = 0,
                  .time = ticks(),
                  .address = event.address,
                  .size = event.size,
                  .value = event.value};
    size_t kept = event.data.size();
    if (is_access(event.kind)) {
        header.size = std::min(event.size, kSizeMask);
        if (event.begun != 0) header.size |= packed_duration(header.time - event.begun);
        if (kept <= sizeof header.value) {
            std::memcpy(&header.value, event.data.data(), kept);
            header.flags |= kInline;
            kept = 0;
        }
        kept = std::min(kept, kTraceAccessBytes);
    } else {
        kept = std::min<size_t>(kept, dma_bytes_);
    }
    const size_t text = std::min<size_t>(event.text.size(), capacity() / 4);
    header.data_size = static_cast<uint32_t>(kept);
    header.text_size = static_cast<uint16_t>(std::min<size_t>(text, UINT16_MAX));
    const uint64_t length = padded(sizeof header + kept + header.text_size);
    header.length = static_cast<uint32_t>(length);
    if (head_ + length - tail_ > mask_ + 1) make_room(length);
    if (next_ % kIndexStep == 0) marks_.push_back({next_, head_});
    const uint64_t number = head_;
    put(head_, &header, sizeof header);
    if (kept != 0) put(head_ + sizeof header, event.data.data(), kept);
    if (header.text_size != 0)
        put(head_ + sizeof header + kept, event.text.data(), header.text_size);
    head_ += length;
    ++next_;
    last_ticks_ = header.time;
    const bool is_rare = event.kind == TraceKind::kError || event.kind == TraceKind::kFault;
    if (is_rare && listener_) listener_(sources_[source], event);
    if (head_ >= due_at_) [[unlikely]] {
        due_at_ = head_ + due_every_;
        due_();
    }
    return number;
}

void TraceRing::clear() {
    tail_ = head_;
    oldest_ = next_;
    marks_.clear();
}

// The place of event `sequence`, which becomes that of the oldest one if it is gone.
uint64_t TraceRing::find(uint64_t& sequence) const {
    sequence = std::clamp(sequence, oldest_, next_);
    uint64_t at = tail_;
    uint64_t number = oldest_;
    const auto later = std::upper_bound(
        marks_.begin(), marks_.end(), sequence,
        [](uint64_t wanted, const Mark& mark) { return wanted < mark.sequence; });
    if (later != marks_.begin()) {
        at = std::prev(later)->at;
        number = std::prev(later)->sequence;
    }
    for (; number < sequence; ++number) {
        uint32_t length = 0;
        get(at, &length, sizeof length);
        at += length;
    }
    return at;
}

uint64_t TraceRing::read(uint64_t since,
                         const std::function<bool(const TraceRecord&)>& visit) const {
    std::vector<uint8_t> data;
    std::string text;
    cover_newest();
    uint64_t at = find(since);
    for (; since < next_; ++since) {
        const Header header = header_at(at);
        TraceRecord record{.sequence = since,
                           .time_ns = time_of(header.time),
                           .duration_ns = duration_of(header),
                           .source = sources_[header.source],
                           .event = {.kind = static_cast<TraceKind>(header.kind),
                                     .bar = header.bar,
                                     .flags = static_cast<uint8_t>(header.flags & ~kInline),
                                     .address = header.address,
                                     .size = header.size,
                                     .value = header.value}};
        if (is_access(record.event.kind)) record.event.size &= kSizeMask;
        data.resize(header.data_size);
        if (!data.empty()) get(at + sizeof header, data.data(), data.size());
        if ((header.flags & kInline) != 0) {
            data.resize(std::min<uint64_t>(record.event.size, sizeof header.value));
            std::memcpy(data.data(), &header.value, data.size());
            record.event.value = 0;
        }
        text.resize(header.text_size);
        if (!text.empty()) get(at + sizeof header + header.data_size, text.data(), text.size());
        record.event.data = data;
        record.event.text = text;
        if (!visit(record)) break;
        at += header.length;
    }
    return since;
}

std::unique_ptr<TraceRing> TraceRing::copy(uint64_t bytes) const {
    auto result = std::make_unique<TraceRing>(std::min(bytes, head_ - tail_), clock_, 1, ticks_);
    cover_newest();
    result->anchors_ = anchors_;
    result->last_ticks_ = last_ticks_;
    result->dma_bytes_ = dma_bytes_;
    result->sources_ = sources_;
    result->source_ids_ = source_ids_;
    uint64_t at = tail_;
    uint64_t number = oldest_;
    // From an indexed record on where that is possible, so that this takes no longer than the copy.
    for (const Mark& mark : marks_) {
        if (head_ - mark.at <= result->capacity()) break;
        at = mark.at;
        number = mark.sequence;
    }
    for (; head_ - at > result->capacity(); ++number) at += header_at(at).length;
    const uint64_t size = head_ - at;
    const uint64_t place = at & mask_;
    const uint64_t first = std::min(size, mask_ + 1 - place);
    std::memcpy(result->buffer_.get(), buffer_.get() + place, first);
    std::memcpy(result->buffer_.get() + first, buffer_.get(), size - first);
    result->head_ = size;
    result->oldest_ = number;
    result->next_ = next_;
    result->overwritten_ = overwritten_ + (number - oldest_);
    return result;
}

}  // namespace mimic::pci
