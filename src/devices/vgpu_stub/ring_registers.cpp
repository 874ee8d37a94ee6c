// SPDX-License-Identifier: Apache-2.0
// The ring's registers, and what the ring asks of the device.
#include <bit>

#include "devices/vgpu_stub/vgpu_stub.h"

namespace mimic::vgpu_stub {
namespace {

constexpr unsigned kAddressShift = 32;

bool is_ring_size(uint64_t size) {
    return size >= kMinRingSize && size <= kMaxRingSize && std::has_single_bit(size);
}

}  // namespace

/// Ignored while the ring is on.
template <const reg::Register& Reg>
void VgpuStub::bind_setup() {
    bank_.on_write<Reg>([this](const reg::WriteEvent& event) {
        if (bank_.get<RING_CTRL, "ENABLE">() != 0) bank_.set_value<Reg>(event.old);
    });
}

void VgpuStub::bind_ring() {
    bind_setup<RING_LO>();
    bind_setup<RING_HI>();
    bind_setup<COMPLETION_LO>();
    bind_setup<COMPLETION_HI>();
    bank_.on_write<RING_SIZE>([this](const reg::WriteEvent& event) {
        if (bank_.get<RING_CTRL, "ENABLE">() != 0 || !is_ring_size(event.now))
            bank_.set_value<RING_SIZE>(event.old);
    });
    bank_.on_write<RING_CTRL>(
        [this](const reg::WriteEvent& event) { ring_control_written(event); });
    bank_.on_write<RING_TAIL>([this](const reg::WriteEvent& event) {
        ring_.tail_written(static_cast<uint32_t>(event.now));
    });
    bank_.on_write<COMPLETION_HEAD>([this](const reg::WriteEvent& event) {
        ring_.head_written(static_cast<uint32_t>(event.now));
    });
}

void VgpuStub::ring_control_written(const reg::WriteEvent& event) {
    if (event.now == event.old) return;
    if (bank_.get<RING_CTRL, "ENABLE">() != 0) return start_ring({});
    ring_.stop();
    // The registers' request would be forgotten, too; what is answered late is dropped.
    if (!is_busy()) errands_.forget();
}

void VgpuStub::start_ring(const Ring::Indices& indices) {
    ring_.start({.entries = bank_.value<RING_HI>() << kAddressShift | bank_.value<RING_LO>(),
                 .completions = bank_.value<COMPLETION_HI>() << kAddressShift |
                                bank_.value<COMPLETION_LO>(),
                 .size = static_cast<uint32_t>(bank_.value<RING_SIZE>()),
                 .length_error = options_.length_error},
                indices);
}

// --- RingPort --------------------------------------------------------------------------------

void VgpuStub::ask(uint32_t tag, std::vector<std::byte> request, size_t room, Errands::Done done) {
    errands_.send(tag, std::move(request), room, std::move(done));
}

// One place is the registers'.
bool VgpuStub::has_room() const {
    const compute::Queue* const queue = errands_.queue();
    return queue == nullptr || queue->in_flight() < compute::Queue::kMaxInFlight - (sent_ ? 0 : 1);
}

void VgpuStub::ring_changed(bool interrupts) {
    const Ring::Indices& at = ring_.indices();
    bank_.set_value<RING_TAIL>(at.tail);
    bank_.set_value<RING_HEAD>(at.head);
    bank_.set_value<COMPLETION_TAIL>(at.completion_tail);
    bank_.set_value<COMPLETION_HEAD>(at.completion_head);
    bank_.set_value<RING_STATUS>(static_cast<uint32_t>(ring_.state()));
    bank_.set_value<RING_ERROR>(ring_.error());
    if (interrupts) interrupt(kInterruptRing, kRingVector);
}

void VgpuStub::ring_request_done(const RingCompletion& completion, uint64_t begun_ns) {
    trace_request({.kind = pci::TraceKind::kRequest,
                   .bar = kRingVector,
                   .flags = completion.error == VGPU_OK ? uint8_t{0} : pci::kTraceFailed,
                   .address = begun_ns,
                   .size = completion.timestamp_ns - begun_ns,
                   .value = completion.cookie,
                   .text = "RING"});
}

uint64_t VgpuStub::now_ns() {
    if (slot() == nullptr) return 0;  // a tool looks at a function that nobody has plugged in
    return static_cast<uint64_t>(slot()->runner().now().time_since_epoch().count());
}

}  // namespace mimic::vgpu_stub
