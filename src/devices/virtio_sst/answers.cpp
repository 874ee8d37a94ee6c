// SPDX-License-Identifier: Apache-2.0
// Answers of the simulator on their way to the guest, what faults make of them, and events.
#include <algorithm>
#include <cstring>

#include "devices/virtio_sst/virtio_sst.h"

namespace mimic::virtio_sst {
namespace {

using Verdict = virtio::BackendFaults::Verdict;
using Kind = virtio::BackendFaults::Kind;

constexpr std::string_view kTypeNames[] = {"NOOP",  "ECHO",  "COMPUTE",  "READ",
                                           "WRITE", "RESET", "GET_INFO", "CONFIGURE"};

std::string_view type_name(uint32_t type) {
    return type < std::size(kTypeNames) ? kTypeNames[type] : std::string_view("UNKNOWN");
}

/// What a corrupt simulator has answered: a few bytes of status, result and payload are others.
void corrupt(SSTResponse& response, uint64_t random) {
    constexpr size_t kRandomBytes = 4;
    auto* const bytes = reinterpret_cast<uint8_t*>(&response);
    constexpr size_t kResult = offsetof(SSTResponse, result);
    for (size_t i = 0; i < kRandomBytes; ++i, random >>= 16U) {
        // The first goes where every answer has something.
        const size_t range = i == 0 ? sizeof response.result : sizeof response - kResult;
        bytes[kResult + (random & 0xff) * 17 % range] ^= static_cast<uint8_t>(random >> 8U | 1U);
    }
    if ((random & 1U) != 0) response.status ^= 1U;
}

}  // namespace

// --- From the simulator ----------------------------------------------------------------------

void VirtioSst::answered(uint64_t id, const sim::Answer& answer) {
    const Turn turn(*this);
    if (requests_.find(id) == nullptr) return came_late(id);
    virtio::BackendFaults* const faults = backend_faults();
    const Verdict verdict = faults == nullptr ? Verdict() : faults->next_answer();
    const Outcome when{answer.submitted, answer.finished};
    switch (verdict.kind) {
        case Kind::kDrop:
            return lose_answer(id, when);
        case Kind::kWrongId:
            ++counts_.unknown;
            send_error(SST_ERROR_UNKNOWN_ID, 0);
            return lose_answer(id, when);
        case Kind::kDelay:
            return hold_answer(id, answer, verdict.delay);
        default:
            break;
    }
    Request request = requests_.take(id);
    response_ = answer.response;
    if (verdict.kind == Kind::kCorrupt) corrupt(response_, verdict.random);
    if (request.type == SST_REQ_CONFIGURE) remember_parameter(request);
    respond(std::move(request), when);
}

/// Answers what the simulator will not, or not in time.
void VirtioSst::answer_with(uint64_t id, sst_status status) {
    if (requests_.find(id) == nullptr) return;
    response_ = {};
    response_.status = status;
    respond(requests_.take(id), {now(), now()});
}

/// The answer is lost: a TIMEOUT stands in for it. In lock-step the guest's clock stands still, so
/// it hears at once that the time is over.
void VirtioSst::lose_answer(uint64_t id, Outcome when) {
    if (options_.lock_step) {
        response_ = {};
        response_.status = SST_STATUS_TIMEOUT;
        const auto timeout = static_cast<uint64_t>(options_.timeout.count());
        when.finished = when.submitted + timeout * sim::kPicosecondsPerNanosecond;
        return respond(requests_.take(id), when);
    }
    slot()->runner().post_delayed(
        [weak = weak_.ptr(), id] {
            VirtioSst* const device = weak.get();
            if (device == nullptr || device->requests_.find(id) == nullptr) return;
            const Turn turn(*device);
            ++device->counts_.timeouts;
            device->answer_with(id, SST_STATUS_TIMEOUT);
        },
        options_.timeout);
}

/// The answer comes later; if that is after its time, a TIMEOUT comes before, and it harms nobody.
void VirtioSst::hold_answer(uint64_t id, const sim::Answer& answer, Duration delay) {
    Outcome when{answer.submitted, answer.finished};
    if (options_.lock_step) {
        response_ = answer.response;
        when.finished += static_cast<uint64_t>(delay.count()) * sim::kPicosecondsPerNanosecond;
        return respond(requests_.take(id), when);
    }
    if (delay >= options_.timeout) lose_answer(id, when);
    // Shared, for a task must be one that can be copied.
    auto response = std::make_shared<SSTResponse>(answer.response);
    slot()->runner().post_delayed(
        [weak = weak_.ptr(), id, response = std::move(response), when] {
            VirtioSst* const device = weak.get();
            if (device == nullptr) return;
            const Turn turn(*device);
            if (device->requests_.find(id) == nullptr) return device->came_late(id);
            device->response_ = *response;
            device->respond(device->requests_.take(id), when);
        },
        delay);
}

/// Nobody waits for this answer any more.
void VirtioSst::came_late(uint64_t /*id*/) {
    ++counts_.late;
    send_error(SST_ERROR_LATE, 0);
}

void VirtioSst::remember_parameter(const Request& request) {
    const uint32_t index = request.param_id - 1;
    if (response_.status != SST_STATUS_OK || index >= kParameters) return;
    bank_.set_value<PARAMETER>(request.value, index);
    bank_.set_value<PARAMETERS_SET>(bank_.value<PARAMETERS_SET>() | uint64_t{1} << index);
}

// --- To the guest ----------------------------------------------------------------------------

/// Sends response_. What a simulator says of ids is not believed.
void VirtioSst::respond(Request&& request, Outcome when) {
    response_.reserved = 0;
    response_.request_id = request.guest_id;
    response_.user_data = request.user_data;
    if (response_.status > SST_STATUS_NO_DEVICE) response_.status = SST_STATUS_ERROR;
    ++counts_.responses;
    if (response_.status != SST_STATUS_OK) ++counts_.errors;
    const uint64_t ended_ns = when.finished / sim::kPicosecondsPerNanosecond;
    if (virtio::RequestObserver* const observer = request_observer()) {
        observer->on_request({.name = type_name(request.type),
                              .queue = request_queue(request.pair),
                              .id = request.guest_id,
                              .status = response_.status,
                              .begun_ns = when.submitted / sim::kPicosecondsPerNanosecond,
                              .ended_ns = ended_ns});
    }
    const bool tells = (request.flags & SST_FLAG_EVENT) != 0 && !request.abandoned;
    const SSTEvent event{SST_EVENT_COMPLETION, 0, ended_ns, request.guest_id};
    if (request.abandoned) return;  // its queue has taken the chain back
    if (request.chain.writable_bytes() > 0) {
        write_response(request_queue(request.pair), std::move(request.chain), when);
    } else {
        pairs_[request.pair].unsent.push_back(
            {std::move(request.chain), std::make_unique<SSTResponse>(response_), when});
        send_unsent(request.pair);
    }
    if (tells) send_event(event);
}

/// Returns `chain` with response_, and with its times if the driver wants those and has room.
void VirtioSst::write_response(uint16_t index, virtio::Chain&& chain, Outcome when) {
    memory::DmaSpace* const memory = dma();
    if (memory == nullptr) return complete(index, std::move(chain), 0);
    const auto bytes = std::as_bytes(std::span(&response_, 1));
    size_t written = queue(index).write(*memory, chain, 0, bytes);
    if (has(SST_F_TIMING) && written == sizeof response_) {
        const sim::SimTime latency = when.finished - std::min(when.submitted, when.finished);
        const sst_timing timing{latency / sim::kPicosecondsPerNanosecond,
                                when.finished / sim::kPicosecondsPerNanosecond};
        written += queue(index).write(*memory, chain, written,
                                      std::as_bytes(std::span(&timing, 1)));
    }
    complete(index, std::move(chain), static_cast<uint32_t>(written));
}

/// Answers to requests without room for them, as far as the response queue has buffers. The chain
/// of the request is held until then: so its queue bounds what waits here.
void VirtioSst::send_unsent(uint16_t pair) {
    const Turn turn(*this);
    memory::DmaSpace* const memory = dma();
    std::deque<Unsent>& unsent = pairs_[pair].unsent;
    while (memory != nullptr && !unsent.empty() && queue_enabled(response_queue(pair))) {
        auto room = queue(response_queue(pair)).pop(*memory);
        if (!room) return;
        Unsent one = std::move(unsent.front());
        unsent.pop_front();
        response_ = *one.response;
        write_response(response_queue(pair), std::move(*room), one.when);
        complete(request_queue(pair), std::move(one.chain), 0);
    }
}

// --- Events ----------------------------------------------------------------------------------

void VirtioSst::send_event(const SSTEvent& event) {
    const uint64_t mask = bank_.value<EVENT_MASK>();
    if (!is_live() || !has(SST_F_EVENTS) || event.type >= 64 || (mask >> event.type & 1) == 0)
        return;
    if (backlog_.size() == kMaxEventBacklog) {
        ++counts_.events_dropped;
        return;
    }
    backlog_.push_back(event);
    flush_events();
}

void VirtioSst::send_error(sst_error error, uint64_t id) {
    constexpr unsigned kErrorShift = 56;
    const uint64_t low = id & ((uint64_t{1} << kErrorShift) - 1);
    send_event({SST_EVENT_ERROR, 0, now() / sim::kPicosecondsPerNanosecond,
                uint64_t{error} << kErrorShift | low});
}

void VirtioSst::send_notice(sst_notice notice) {
    send_event(
        {SST_EVENT_NOTIFICATION, 0, now() / sim::kPicosecondsPerNanosecond, uint64_t{notice}});
}

void VirtioSst::flush_events() {
    const Turn turn(*this);
    memory::DmaSpace* const memory = dma();
    while (memory != nullptr && !backlog_.empty() && queue_enabled(SST_EVENT_QUEUE)) {
        auto room = queue(SST_EVENT_QUEUE).pop(*memory);
        if (!room) return;
        const SSTEvent event = backlog_.front();
        backlog_.pop_front();
        ++counts_.events;
        const size_t written = queue(SST_EVENT_QUEUE)
                                   .write(*memory, *room, 0, std::as_bytes(std::span(&event, 1)));
        complete(SST_EVENT_QUEUE, std::move(*room), static_cast<uint32_t>(written));
    }
}

}  // namespace mimic::virtio_sst
