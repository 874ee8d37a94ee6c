// SPDX-License-Identifier: Apache-2.0
// Ring: up to 256 requests of a guest at once, in its memory. README.md, "Ring". It knows neither
// registers nor PCI: RingPort is what it needs of the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "base/timer.h"
#include "base/weak_ptr.h"
#include "devices/vgpu_stub/errand.h"
#include "devices/vgpu_stub/registers.h"
#include "memory/dma_space.h"

namespace mimic::vgpu_stub {

/// What a driver puts into the ring.
struct RingEntry {
    uint64_t request_address;
    uint32_t request_length;  // 1 .. 16 MiB
    uint32_t flags;           // 0
    uint64_t response_address;
    uint32_t response_size;  // 0 .. 16 MiB
    uint32_t reserved;       // 0
    uint64_t cookie;         // comes back with the completion
    uint8_t zero[24];
};
static_assert(sizeof(RingEntry) == 64);

/// What the device writes when a request is done.
struct RingCompletion {
    uint64_t cookie;
    uint32_t error;            // enum vgpu_error
    uint32_t response_length;  // bytes written to response_address
    uint64_t timestamp_ns;     // as TIMESTAMP
    uint32_t sequence;         // its index + 1, so that memory can be polled
    uint32_t reserved;         // 0
};
static_assert(sizeof(RingCompletion) == 32);

/// Bytes of requests in flight and of room for their answers, together: what a guest can make us
/// hold. One entry is always taken. With the registers' own request no more than Queue::kMaxBytes.
inline constexpr uint64_t kMaxBytesInFlight = uint64_t{48} << 20;

/// What a ring needs. Each `done` may run within the call; none runs once the device was reset.
class RingPort {
public:
    virtual void read_memory(uint64_t iova, uint64_t size, memory::DmaSpace::ReadDone done) = 0;
    virtual void write_memory(uint64_t iova, std::span<const std::byte> data,
                              memory::DmaSpace::WriteDone done) = 0;
    virtual void ask(uint32_t tag, std::vector<std::byte> request, size_t room,
                     Errands::Done done) = 0;

    /// Whether ask() would find room on the way to the mediator.
    virtual bool has_room() const = 0;

    /// An entry is done; for a trace.
    virtual void ring_request_done(const RingCompletion& completion, uint64_t begun_ns) = 0;

    /// Indices, state or error are others. `interrupts`: the driver should hear of it.
    virtual void ring_changed(bool interrupts) = 0;

    virtual TaskRunner& runner() = 0;
    virtual uint64_t now_ns() = 0;

protected:
    ~RingPort() = default;
};

/// Thread-bound with its device.
class Ring {
public:
    struct Setup {
        uint64_t entries = 0;
        uint64_t completions = 0;
        uint32_t size = 0;  // 2 .. 256, a power of two
        vgpu_error length_error = VGPU_ERROR_REQUEST_TOO_LARGE;
    };
    /// All counting on, modulo 2^32.
    struct Indices {
        uint32_t tail = 0;
        uint32_t head = 0;
        uint32_t completion_tail = 0;
        uint32_t completion_head = 0;
    };

    /// `port` is borrowed and outlives the ring.
    explicit Ring(RingPort& port) : port_(port) {}

    /// Starts with nothing in flight: `indices` are zero, or those of a ring that had nothing.
    void start(const Setup& setup, const Indices& indices);

    /// As start(), of a ring that is off or has halted.
    void put_back(RingState state, vgpu_error error, const Indices& indices);

    /// Off; what is in flight is forgotten.
    void stop();

    /// The driver has written RING_TAIL, or COMPLETION_HEAD. Out of range: it halts.
    void tail_written(uint32_t tail);
    void head_written(uint32_t completion_head);

    RingState state() const { return state_; }
    vgpu_error error() const { return error_; }
    const Indices& indices() const { return at_; }

    /// Entries that were taken and have no completion yet.
    uint32_t open() const { return open_; }

    uint64_t halts() const { return halts_; }

private:
    struct Taken {
        RingEntry entry;
        uint64_t begun_ns = 0;
    };

    uint32_t capacity() const;
    void drop();
    void halt(vgpu_error error);
    bool may_begin();
    void pump();
    void pump_later();
    bool share_is_over();
    void fetch();
    void fetched(std::span<const std::byte> bytes);
    void begin(const Taken& taken);
    void read(const Taken& taken, const Result<std::span<const std::byte>>& bytes);
    void answered(const Taken& taken, const compute::Completion& completion);
    void complete(const Taken& taken, vgpu_error error, uint32_t response_length);
    void write_completions();
    void written(uint32_t count);

    RingPort& port_;
    Setup setup_;
    Indices at_;
    RingState state_ = RingState::kOff;
    vgpu_error error_ = VGPU_OK;
    uint32_t open_ = 0;
    uint64_t bytes_ = 0;                    // that kMaxBytesInFlight bounds
    std::deque<Taken> waiting_;             // not begun
    std::vector<RingCompletion> finished_;  // not yet in the guest's memory
    bool fetching_ = false;
    uint32_t writing_ = 0;  // completions that are on their way to memory
    bool pumping_ = false;
    bool pump_again_ = false;
    unsigned begun_ = 0;
    uint64_t halts_ = 0;
    Timer pump_timer_;
    Timer write_timer_;
    WeakOwner<Ring> weak_{this};  // revoked by stop(): callbacks of before find nothing
};

}  // namespace mimic::vgpu_stub
