// SPDX-License-Identifier: Apache-2.0
// TraceRing: the last events of the functions of a loop, in one buffer of fixed size that can stay
// on: a new event overwrites the oldest, and those are counted. Names of registers are not in it;
// they are found when events are read (trace_names.h).
//
// A record in the buffer, which is a ring of bytes (a record may wrap):
//
//      0        4       6     7    8      9   10         12         16    24       32    40     48
//      | length | source | kind | bar | flags | . | text | data | time | address | size | value |
//      data, text, padding to 8
//
// Up to 8 bytes of an access lie in `value`. The upper half of an access's `size` is how long the
// function took for it, in ticks of the clock that `time` is of.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/task_runner.h"
#include "pci/trace/tracer.h"

namespace mimic::pci {

inline constexpr uint64_t kMinTraceBytes = 64U << 10;
inline constexpr uint64_t kMaxTraceBytes = 256U << 20;
inline constexpr uint32_t kMaxTraceDmaBytes = 64U << 10;

/// Bytes of a config or BAR access that are kept: what one message of a vfio-user client may carry
/// is more, but no driver reads more than this at once.
inline constexpr size_t kTraceAccessBytes = 4096;

/// One event as it is read. Borrowed for the call.
struct TraceRecord {
    uint64_t sequence = 0;  // in the order of recording
    int64_t time_ns = 0;    // CLOCK_MONOTONIC
    // How long the function took for an access, after `time_ns` if it is a write and before it if
    // it is a read; 0: not known.
    int64_t duration_ns = 0;
    std::string_view source;
    TraceEvent event;  // data and text as far as they were kept
};

/// Where the times of events come from.
enum class TraceTicks : uint8_t {
    kClock,  // the clock
    kTsc,    // the processor's time stamp counter, compared with the clock ten times a second
};

/// kTsc where that counter is steady. In a virtual machine whose process was just switched to,
/// CLOCK_MONOTONIC costs most of a microsecond, for the pages that it touches (bench/README.md).
TraceTicks cheapest_ticks();

/// Thread-bound.
class TraceRing final : public Tracer {
public:
    /// `bytes` is rounded up to a power of two of kMinTraceBytes .. kMaxTraceBytes. `clock` is
    /// borrowed.
    TraceRing(uint64_t bytes, const Clock& clock, uint64_t first_number = 1,
              TraceTicks ticks = TraceTicks::kClock);

    /// Who is told of each error and fault once it is recorded. It must not record.
    using Listener = std::function<void(std::string_view source, const TraceEvent& event)>;
    void set_listener(Listener listener) { listener_ = std::move(listener); }

    /// Calls `due` each time that `bytes` more have been recorded, from inside record(). It must
    /// not record either. Of a copy() nothing is due.
    void set_due(uint64_t bytes, std::function<void()> due);

    uint32_t source(std::string_view name) override;
    uint64_t record(uint32_t source, const TraceEvent& event) override;
    int64_t ticks() override;
    void acted(uint64_t number) override;

    /// DMA payload kept from now on, at most kMaxTraceDmaBytes (and a quarter of the buffer) of an
    /// event. With kMaxTraceDmaBytes what is behind that follows in events of kDmaData, of DMA of
    /// at most half of the buffer.
    void set_dma_bytes(uint32_t bytes);

    /// Forgets all events; the numbers go on.
    void clear();

    /// Calls `visit` for the events from number `since` on, oldest first, until it returns false.
    /// Returns the number of the first event that was not visited: what to ask for next.
    uint64_t read(uint64_t since, const std::function<bool(const TraceRecord&)>& visit) const;

    /// The newest events, as many as fit `bytes`, in a ring of their own, with their numbers.
    std::unique_ptr<TraceRing> copy(uint64_t bytes) const;

    uint64_t oldest() const { return oldest_; }  // number of the first one kept
    uint64_t next() const { return next_; }      // number that the next one gets
    uint64_t overwritten() const { return overwritten_; }
    uint64_t capacity() const { return mask_ + 1; }

private:
    struct Header;
    // Where every kIndexStep-th record lies, so that a reader need not walk the whole buffer.
    struct Mark {
        uint64_t sequence;
        uint64_t at;
    };
    // What the counter was at a time. Between two, time is linear.
    struct Anchor {
        int64_t ticks;
        int64_t ns;
    };
    static constexpr uint64_t kIndexStep = 1024;
    static constexpr size_t kMaxSources = 4096;  // arbitrary; more share one name

    uint64_t record_one(uint32_t source, const TraceEvent& event);
    void record_rest(uint32_t source, const TraceEvent& event);
    void put(uint64_t at, const void* data, size_t size);
    void get(uint64_t at, void* data, size_t size) const;
    void make_room(uint64_t size);
    Header header_at(uint64_t at) const;
    uint64_t find(uint64_t& sequence) const;
    int64_t duration_of(const Header& header) const;
    void add_anchor(int64_t ticks) const;
    void cover_newest() const;
    int64_t time_of(int64_t ticks) const;

    const Clock& clock_;
    const TraceTicks ticks_;
    uint64_t mask_;
    std::unique_ptr<uint8_t[]> buffer_;  // not initialised: pages come as they are used
    uint64_t head_ = 0;                  // bytes ever written; the place is this & mask_
    uint64_t tail_ = 0;
    uint64_t oldest_;
    uint64_t next_;
    uint64_t overwritten_ = 0;
    Listener listener_;
    uint64_t due_at_ = UINT64_MAX;  // head_ at which it is due
    uint64_t due_every_ = 0;
    std::function<void()> due_;
    std::deque<Mark> marks_;
    mutable std::deque<Anchor> anchors_;  // of kTsc, by time; a reader adds one for now
    int64_t last_ticks_ = 0;              // of the newest event
    std::vector<std::string> sources_;
    std::map<std::string, uint32_t, std::less<>> source_ids_;
};

}  // namespace mimic::pci
