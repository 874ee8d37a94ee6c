// SPDX-License-Identifier: Apache-2.0
// Backend: what carries jobs out. Each is a process of its own (worker.h), so that what a job does
// to it is that job's error; it owns the memory of its VMs, outlives the mediator that started it
// for a while, and is found again by the next one.
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
#include "mediator/config/config.h"

namespace mimic::mediator::backend {

/// Whose memory and handles: a VM and the session of its connection (compute::wire::Hello).
struct Owner {
    VmId vm = 0;
    uint64_t session = 0;
    auto operator<=>(const Owner&) const = default;
};

struct Job {
    uint64_t id = 0;  // unique in this mediator
    Owner owner;
    uint64_t request_id = 0;  // of the client: with `owner` the name under which its result is kept
                              // for a resume
    bool again = false;  // may have been carried out already: then its result is given once more
    std::span<const std::byte> request;  // struct vgpu_request and the rest; 1 .. VGPU_MAX_MESSAGE.
                                         // Valid during start()
    size_t room = 0;                     // for the response
    uint64_t memory_limit = 0;           // of the VM; 0: the backend's
    // What the answer to GET_DEVICE_INFO says of the VM.
    uint32_t weight = 0;
    uint32_t priority = 0;
    uint32_t queue_depth = 0;
};

/// Whatever an operation itself says is in the response's status (error is OK then, also where that
/// says HANDLE or MEMORY).
struct Outcome {
    vgpu_error error = VGPU_OK;  // not OK: no response. BACKEND: the process died in this job, or
                                 // its result was not kept for `again`; TIMEOUT, CANCELLED: it was
                                 // ended; INVALID_REQUEST: no struct vgpu_request of our version;
                                 // INVALID_LENGTH: no room for a struct vgpu_response
    std::span<const std::byte> response;  // valid during the call
    Duration took{};                      // on the backend
};

/// Thread-bound to the mediator's loop. One job at a time; the next may be given within `done` of
/// the one before.
class Backend {
public:
    using Done = std::function<void(const Outcome& outcome)>;

    struct State {
        bool ready = false;  // its process is there and initialised
        std::string what;    // kind and name, or why it is not ready
        int pid = 0;
        uint64_t restarts = 0;
        uint64_t memory_used = 0;
        uint64_t memory_bytes = 0;
        uint64_t jobs = 0;
        std::string name{};  // as configured; the engine's status fills it in
    };

    static constexpr Duration kGrace = std::chrono::milliseconds(250);

    virtual ~Backend() = default;  // the process goes on, for the next mediator; stop() ends it

    virtual bool ready() const = 0;
    virtual bool busy() const = 0;
    /// Its process was found again and ends the job of an earlier mediator, which may take as long
    /// as that job's timeout; ready() follows.
    virtual bool attaching() const { return false; }
    /// Only when ready and not busy. `done` runs once, in a later turn, the backend being ready for
    /// the next by then. A job that lasts longer than `timeout` is told to end, and its process is
    /// killed if it has not done so kGrace later: it never goes on behind its TIMEOUT.
    virtual void start(const Job& job, Duration timeout, Done done) = 0;
    /// Tells the running job to end: its outcome is CANCELLED unless it was faster. A process of
    /// many VMs is not killed for it before the job's own timeout, and then the outcome is TIMEOUT;
    /// BACKEND if it dies by itself. cuda's process of one VM is killed kGrace later.
    virtual void cancel() = 0;
    /// Results up to this id have been seen by the client.
    virtual void acknowledge(const Owner& owner, uint64_t request_id) = 0;
    /// Frees memory, modules and kept results of an owner, also while a job of another runs.
    virtual void release(const Owner& owner) = 0;
    /// Owners that have memory here; after a restart of the mediator also those of which only
    /// results are kept.
    virtual std::vector<Owner> owners() const = 0;
    /// Bytes of memory of all owners of a VM.
    virtual uint64_t memory_used(VmId) const { return 0; }
    virtual State state() const = 0;
    /// Ends the process. Then destroy.
    virtual void stop() = 0;
    /// Runs when ready() becomes true, and when an idle backend goes.
    virtual void on_change(std::function<void()> changed) = 0;
};

struct BackendPlace {
    std::string run_folder;  // its socket is <run_folder>/backend-<name>.sock, 0600
    std::string program;     // what `program backend --name ...` starts; empty: /proc/self/exe
    Duration patience = std::chrono::seconds(30);  // without a mediator it goes after so long
};

/// Finds the process of an earlier mediator or starts one; starts it again when it dies. Errors: a
/// run folder that is not ours, or too long for the paths of sockets.
Result<std::unique_ptr<Backend>> make_backend(const BackendConfig& config,
                                              const BackendPlace& place, TaskRunner& runner);

}  // namespace mimic::mediator::backend
