// SPDX-License-Identifier: Apache-2.0
// Queue: where a vGPU device sends its requests. A mediator behind a socket is one; tests have
// another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "compute/vgpu_protocol.h"

namespace mimic::compute {

/// Who asks. The original vGPU's properties of a device.
struct Identity {
    uint32_t vm_id = 0;
    char pool_id = 'A';
    uint8_t priority = 1;  // 0 low, 1 medium, 2 high

    bool operator==(const Identity&) const = default;
};

/// How a request ended. Valid during the call that brings it.
struct Completion {
    vgpu_error error = VGPU_OK;
    std::span<const std::byte> response;  // struct vgpu_response and what follows, the peer's and
                                          // not checked; empty on an error. May be memory that the
                                          // peer can still change: read each byte once
};

/// Answers each request once. Thread-bound to the loop of its device; destroyed on it.
class Queue {
public:
    /// Runs once for each submit(), on the loop: within submit() or in a later turn.
    using Done = std::function<void(const Completion& completion)>;

    struct Counters {
        uint64_t submitted = 0;
        uint64_t answered = 0;
        uint64_t failed = 0;       // answered with an error, of those
        uint64_t resent = 0;       // sent again after the mediator was back
        uint64_t unknown = 0;      // answers whose id matches nothing: dropped
        uint64_t late = 0;         // answers to what was reset or had failed with TIMEOUT: dropped
        uint64_t connections = 0;  // times that the mediator came (back)
    };

    virtual ~Queue() = default;

    /// Asks. `request` is 1 .. VGPU_MAX_MESSAGE bytes of a guest, not looked at here; `room` is how
    /// many bytes of answer the asker can take (a longer one: INVALID_LENGTH). `tag` is the guest's
    /// request id, for a peer that shows it. MEDIATOR_UNAVAILABLE at once while nobody is connected
    /// and nothing can be resumed; QUEUE_FULL above kMaxInFlight, or above kMaxBytes of requests.
    virtual void submit(uint32_t tag, std::vector<std::byte> request, size_t room, Done done) = 0;

    /// Forgets all in flight: their `done` never runs. What they were to do may still happen.
    virtual void reset() = 0;

    /// As reset(), for a device that was reset: what its guest has on backends (memory, modules) is
    /// freed, too: with v3 before anything that is asked later. Other protocols cannot say it, and
    /// all connections of a VM share what it has: that is freed when none has been there for the
    /// mediator's session_patience. Until then it counts against the VM's limit, and what is asked
    /// meanwhile puts that off.
    virtual void start_over() = 0;

    /// Requests whose `done` has not run.
    virtual size_t in_flight() const = 0;

    /// Whether a mediator is there now.
    virtual bool connected() const = 0;

    virtual Counters counters() const = 0;

    /// Most in flight: a full ring of the device, and its registers' one.
    static constexpr size_t kMaxInFlight = 257;
    /// Most bytes of requests in flight: four of the longest.
    static constexpr size_t kMaxBytes = size_t{4} * VGPU_MAX_MESSAGE;
};

/// Made when a device is plugged in, on its loop.
using MakeQueue = std::function<Result<std::unique_ptr<Queue>>(TaskRunner& runner)>;

enum class Protocol : uint8_t { kPacket, kV1, kV2, kV3 };

struct SocketOptions {
    Identity identity;
    std::string path;  // "<vm_id>" in it becomes the number
    Protocol protocol = Protocol::kV3;
    Duration answer_timeout = std::chrono::seconds(35);    // then VGPU_ERROR_TIMEOUT; a late answer
                                                           // is dropped
    Duration resume_patience = std::chrono::seconds(10);   // without a mediator: then what was in
                                                           // flight fails (v3)
    Duration retry_least = std::chrono::milliseconds(50);  // between attempts to connect; doubles
                                                           // up to retry_most
    Duration retry_most = std::chrono::seconds(2);
    uint32_t shared_bytes = 2 * VGPU_MAX_MESSAGE;  // v3; 0: none
};

/// A mediator behind a UNIX socket; connects by itself, again and again. With v3 unanswered
/// requests are sent again within `resume_patience`; other protocols fail them at once with
/// MEDIATOR_UNAVAILABLE. Errors: a path that is too long. Needs runner.event_loop().
Result<std::unique_ptr<Queue>> make_socket_queue(SocketOptions options, TaskRunner& runner);

}  // namespace mimic::compute
