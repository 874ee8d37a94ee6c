// SPDX-License-Identifier: Apache-2.0
// Session: requests about rings, and the start and stop of the device that follow from them.
#include <algorithm>
#include <cstring>

#include "base/peer_eventfd.h"
#include "vhost_user/request_body.h"
#include "vhost_user/session.h"

namespace mimic::vhost_user {
namespace {

using virtio::feature;

// Where a ring begins that nobody has used: of a packed one, both wrap counters are 1.
constexpr uint16_t kPackedStart = 0x8000;

constexpr Duration kDrainLook = std::chrono::microseconds(200);  // between two; arbitrary

bool same_addresses(const VringAddress& a, const VringAddress& b) {
    return a.descriptors == b.descriptors && a.used == b.used && a.available == b.available;
}

}  // namespace

Result<Ring*> Session::ring_of(uint64_t index, bool may_run) {
    if (index >= rings_.size())
        return fail(std::errc::invalid_argument, "ring {}, and there are {}", index, rings_.size());
    Ring* const ring = rings_[index].get();
    if (ring->running && !may_run)
        return fail(std::errc::device_or_resource_busy, "ring {} runs", index);
    return ring;
}

Session::Outcome Session::on_vring_num() {
    MIMIC_TRY(no_fds());
    MIMIC_ASSIGN_OR_RETURN(const auto state, body_of<VringState>(channel_));
    MIMIC_ASSIGN_OR_RETURN(Ring* const ring, ring_of(state.index, /*may_run=*/false));
    const uint16_t index = ring->index();
    if (state.value == 0 || state.value > device_.max_queue_size(index))
        return fail(std::errc::invalid_argument, "ring {} of {} entries, at most {}", index,
                    state.value, device_.max_queue_size(index));
    ring->size = static_cast<uint16_t>(state.value);
    return {};
}

// Where the memory of these addresses is, and whether they are aligned, is asked when the ring
// starts.
Session::Outcome Session::on_vring_addr() {
    MIMIC_TRY(no_fds());
    MIMIC_ASSIGN_OR_RETURN(const auto address, body_of<VringAddress>(channel_));
    MIMIC_ASSIGN_OR_RETURN(Ring* const ring, ring_of(address.index, /*may_run=*/true));
    if (ring->running) {
        // QEMU says it once more when it begins to log dirty pages.
        if (same_addresses(*ring->addresses, address)) return {};
        return fail(std::errc::device_or_resource_busy, "ring {} moves while it runs",
                    address.index);
    }
    ring->addresses = address;
    return {};
}

Session::Outcome Session::on_vring_base() {
    MIMIC_TRY(no_fds());
    MIMIC_ASSIGN_OR_RETURN(const auto state, body_of<VringState>(channel_));
    MIMIC_ASSIGN_OR_RETURN(Ring* const ring, ring_of(state.index, /*may_run=*/false));
    ring->next_available = static_cast<uint16_t>(state.value);
    ring->next_used = static_cast<uint16_t>(state.value >> 16);  // of a split ring it is in memory
    return {};
}

Session::Outcome Session::on_get_vring_base() {
    MIMIC_TRY(no_fds());
    MIMIC_ASSIGN_OR_RETURN(const auto state, body_of<VringState>(channel_));
    MIMIC_ASSIGN_OR_RETURN(Ring* const ring, ring_of(state.index, /*may_run=*/true));
    answered_ = true;  // now or later
    (void)ring->set_kick({});
    if (!ring->running) {
        ring->addresses.reset();
        answer_vring_base(*ring);
        return {};
    }
    if (drain_end_ == TimePoint{}) drain_end_ = loop_.now() + options_.drain_timeout;
    draining_ = true;
    drain(*ring);
    return {};
}

void Session::on_kick(uint16_t index) {
    thread_.check();
    ++counters_.kicks;
    device_.kick(index);
    if (!closed_ && queue_of(*rings_[index]).broken()) rings_[index]->signal_error();
}

// Answers GET_VRING_BASE of `ring` once the device has returned the ring's buffers.
void Session::drain(Ring& ring) {
    if (queue_of(ring).outstanding() != 0 && loop_.now() < drain_end_) {
        drain_timer_.start(loop_, kDrainLook, [this, &ring] {
            drain(ring);
            if (!draining_ && !closed_) watch_again();
        });
        return;
    }
    draining_ = false;
    stop_ring(ring);
    answer_vring_base(ring);
}

void Session::answer_vring_base(const Ring& ring) {
    uint32_t value = ring.next_available;
    if ((features_ & feature(virtio::kRingPacked)) != 0) value |= uint32_t{ring.next_used} << 16;
    const VringState state{ring.index(), value};
    reply({reinterpret_cast<const uint8_t*>(&state), sizeof state});
}

Session::Outcome Session::on_vring_descriptor(Request request) {
    MIMIC_ASSIGN_OR_RETURN(const uint64_t value, u64());
    MIMIC_ASSIGN_OR_RETURN(Ring* const ring, ring_of(value & kVringIndexMask, /*may_run=*/true));
    UniqueFd fd;
    if ((value & kVringNoDescriptor) != 0) {
        MIMIC_TRY(no_fds());
    } else {
        MIMIC_ASSIGN_OR_RETURN(fd, one_fd());
        MIMIC_TRY(check_peer_eventfd(fd.get()));
    }
    if (request == Request::kSetVringCall) {
        ring->set_call(std::move(fd));
        // Buffers that were returned while nobody could be told are told of now; one interrupt too
        // many harms nobody.
        if (ring->running && ring->call()) ++counters_.interrupts;
        return {};
    }
    if (request == Request::kSetVringErr) {
        ring->set_error(std::move(fd));
        return {};
    }
    if (!fd) return fail(std::errc::not_supported, "a ring without kicks, to be polled");
    MIMIC_TRY(ring->set_kick(std::move(fd)));
    if ((features_ & feature(kProtocolFeaturesBit)) == 0) ring->enabled = true;
    start_rings();
    return {};
}

Session::Outcome Session::on_vring_enable() {
    MIMIC_TRY(no_fds());
    MIMIC_ASSIGN_OR_RETURN(const auto state, body_of<VringState>(channel_));
    MIMIC_ASSIGN_OR_RETURN(Ring* const ring, ring_of(state.index, /*may_run=*/true));
    if (state.value > 1)
        return fail(std::errc::invalid_argument, "ring {} enabled by {}", state.index, state.value);
    ring->enabled = state.value == 1;
    if (!ring->enabled) return {};  // buffers that are out may come back, and no more are popped
    if (ring->running)
        device_.kick(ring->index());
    else
        start_rings();
    return {};
}

bool Session::any_running() const {
    return std::any_of(rings_.begin(), rings_.end(),
                       [](const auto& ring) { return ring->running; });
}

// Starts what is ready. The device starts with the first of them, which waits for all others that
// have been set up, so that the device finds the queues that its driver has given it.
//
// What cannot be is the driver's doing, as a rule: the front-end hears nothing of it, and keeps its
// connection.
void Session::start_rings() {
    std::vector<Ring*> ready;
    for (const auto& ring : rings_) {
        if (!ring->addresses || ring->running) continue;
        if (ring->is_ready())
            ready.push_back(ring.get());
        else if (!any_running())
            return;
    }
    if (ready.empty()) return;
    const bool begins = !any_running() && !goes_on(ready);
    Status status = begins ? begin_device() : Status();
    for (Ring* const ring : ready)
        if (status) status = start_ring(*ring);
    if (!status) warn(status.error().message(), Complaint::kOther);
    drain_end_ = {};
    if (begins) device_.set_status(device_.status() | virtio::kDriverOk);
    // The driver may have kicked before, and a back-end that was here before may have left buffers.
    for (Ring* const ring : ready)
        if (ring->running) device_.kick(ring->index());
}

// Whether `rings` go on where they were stopped, as after a pause of the machine. The driver has
// not reset the device then: it would have begun with new rings.
bool Session::goes_on(const std::vector<Ring*>& rings) const {
    if (!device_.is_live() ||
        device_.driver_features() != (features_ & ~feature(kProtocolFeaturesBit)))
        return false;
    const uint16_t first = (features_ & feature(virtio::kRingPacked)) != 0 ? kPackedStart
                                                                           : uint16_t{0};
    bool used = false;
    for (const Ring* const ring : rings) {
        const auto& stop = ring->stopped;
        if (!stop || stop->size != ring->size || stop->next_available != ring->next_available ||
            !same_addresses(stop->addresses, *ring->addresses))
            return false;
        used = used || stop->next_available != first;
    }
    return used;
}

// Takes the device through what a driver would have done, up to FEATURES_OK.
Status Session::begin_device() {
    using namespace virtio;
    device_.reset();
    device_.set_status(kAcknowledge | kDriver);
    device_.set_driver_features(features_ & ~feature(kProtocolFeaturesBit));
    device_.set_status(kAcknowledge | kDriver | kFeaturesOk);
    if ((device_.status() & kFeaturesOk) != 0) return {};
    return fail(std::errc::not_supported, "features {:#x} that the device cannot work with",
                features_);
}

Status Session::start_ring(Ring& ring) {
    const VringAddress& theirs = *ring.addresses;
    const auto descriptors = memory_.translate(theirs.descriptors);
    const auto driver = memory_.translate(theirs.available);
    const auto used = memory_.translate(theirs.used);
    if (!descriptors || !driver || !used)
        return fail(std::errc::bad_address, "ring {} is not in guest memory", ring.index());
    if ((features_ & feature(virtio::kRingPacked)) == 0) {
        // A back-end that was here before has left its index there.
        constexpr uint64_t kIndexOffset = 2;  // virtio 1.3, 2.7.8
        const auto index = memory_.span(*used + kIndexOffset, sizeof ring.next_used,
                                        memory::DmaAccess::kRead);
        if (!index) return fail(std::errc::bad_address, "used ring {}", ring.index());
        std::memcpy(&ring.next_used, index->data(), sizeof ring.next_used);
    }
    device_.enable_queue(ring.index(), ring.size, {*descriptors, *driver, *used},
                         {ring.next_available, ring.next_used});
    if (!device_.queue_enabled(ring.index()))
        return fail(std::errc::invalid_argument, "ring {} of {} entries at {:#x}, {:#x}, {:#x}",
                    ring.index(), ring.size, *descriptors, *driver, *used);
    ring.running = true;
    ring.stopped.reset();
    return {};
}

// Buffers that are still out are lost to the device. The next back-end, or this one when the ring
// goes on, finds them again from the used index on: right if buffers were returned in order.
void Session::stop_ring(Ring& ring) {
    const virtio::Queue& queue = queue_of(ring);
    ring.running = false;
    ring.next_used = queue.next_used();
    ring.next_available = queue.outstanding() == 0 ? queue.next_available() : queue.next_used();
    device_.reset_queue(ring.index());
    ring.stopped = Ring::Stop{*ring.addresses, ring.size, ring.next_available};
    ring.addresses.reset();  // the next driver may use fewer rings
}

void Session::stop_all_rings() {
    for (const auto& ring : rings_) {
        if (ring->running) stop_ring(*ring);
        ring->stopped.reset();
    }
}

}  // namespace mimic::vhost_user
