// SPDX-License-Identifier: Apache-2.0
// Engine: what the mediator decides. Requests of admitted clients come in, pass limits, wait for
// their pool's rule, run on a backend and are answered. It knows no sockets: server/ does, and
// tests drive it with simulated time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "mediator/backend/backend.h"
#include "mediator/config/config.h"
#include "mediator/schedule/rule.h"

namespace mimic::mediator {

/// A connection as the engine sees it.
struct Client {
    VmId vm = 0;
    uint64_t session = 0;
    char pool = 'A';  // as the device says; the configuration may say otherwise
    Priority priority = Priority::kMedium;
    uint32_t uid = 0;
    bool returns = false;  // the session is of an earlier connection, maybe to an earlier mediator
    bool operator==(const Client&) const = default;
};

struct Answer {
    vgpu_error error = VGPU_OK;
    std::span<const std::byte> response;  // valid during the call
};

/// Who takes the answers of an admitted connection. Borrowed by the engine from admit() to left().
/// Neither call may call left(), which can wait for a later turn.
class ClientSink {
public:
    /// Once for each submit(), within it or in a later turn; never after left() or on_replaced().
    virtual void on_answer(uint64_t request_id, const Answer& answer) = 0;
    /// A newer connection has its session: it hears nothing more, and is to call left().
    virtual void on_replaced() = 0;

protected:
    ~ClientSink() = default;
};

/// Names an admitted connection; never 0, never used again.
using ClientKey = uint64_t;

struct Admission {
    vgpu_error error = VGPU_OK;  // or DENIED, or QUEUE_FULL: more VMs than the engine remembers
    ClientKey key = 0;           // where it is VGPU_OK
};

struct Request {
    uint64_t id = 0;                   // of the client: unique among those of its session that wait
    bool again = false;                // sent before on an earlier connection of the session
    size_t room = 0;                   // for the response
    std::span<const std::byte> bytes;  // the peer's, not checked. Valid during submit()
    std::vector<std::byte> storage;    // what `bytes` points into, if the sender gives it away:
                                       // saves the copy of what has to wait
};

/// Counters of a VM since it was first seen. Times in ns.
struct VmCounters {
    uint64_t submitted = 0;
    uint64_t done = 0;
    uint64_t errors = 0;
    uint64_t rejected_rate = 0;
    uint64_t rejected_depth = 0;
    uint64_t rejected_quarantine = 0;
    uint64_t rejected_denied = 0;
    uint64_t timeouts = 0;
    uint64_t faults = 0;
    uint64_t service_ns = 0;  // on backends

    /// Answered at once, for whatever reason.
    uint64_t rejected() const {
        return rejected_rate + rejected_depth + rejected_quarantine + rejected_denied;
    }
};

/// Counts in buckets of a factor of 2 from 1 us on: [i] counts durations below 1 us << i, the last
/// one all.
struct Histogram {
    static constexpr size_t kBuckets = 26;
    std::array<uint64_t, kBuckets> buckets{};
    uint64_t count = 0;
    uint64_t sum_ns = 0;
    void add(Duration value);
    /// Upper bound of the bucket in which the fraction `p` (0 .. 1) lies; zero where nothing was
    /// counted.
    Duration percentile(double p) const;
};

struct VmStatus {
    VmId id = 0;
    char pool = 'A';
    Priority priority = Priority::kMedium;
    uint32_t weight = 0;
    Limits limits;
    uint32_t connections = 0;
    size_t waiting = 0;
    size_t running = 0;
    bool quarantined = false;
    std::string quarantine_reason;
    Duration quarantine_left{};  // 0: until released by hand
    uint64_t memory_used = 0;
    VmCounters counters;
    Histogram latency;    // from arrival to answer
    Histogram execution;  // on the backend
};

struct PoolStatus {
    char id = 'A';
    size_t waiting = 0;
    std::vector<backend::Backend::State> backends;
    std::vector<VmId> vms;
    uint64_t busy_ns = 0;   // of all backends
    double fairness = 1.0;  // Jain's index of service over weight among VMs that were backlogged in
                            // the last 10 s
    uint64_t switches = 0;  // a job of another VM than the one before
};

struct EngineStatus {
    bool draining = false;
    uint64_t uptime_ns = 0;
    std::vector<PoolStatus> pools;
    std::vector<VmStatus> vms;
};

/// What happened, for the audit log and the event stream.
struct AuditEvent {
    std::string what;  // "connected", "refused", "quarantined", "released", "timeout",
                       // "backend-died", "reloaded", ...
    std::optional<VmId> vm;
    std::string detail;
};

/// Thread-bound to its loop. Every submit() is answered once, as long as the engine
/// lives and its client has not left.
class Engine {
public:
    struct Hooks {
        std::function<void(const AuditEvent&)> audit;
    };

    virtual ~Engine() = default;

    /// Whether the peer may be this VM, by its uid. A connection of a quarantined VM or of an
    /// unknown pool is admitted; its requests are answered with that error, which its guest sees.
    /// With session 0 (protocols without one) it shares what the VM's other such connections have.
    virtual Admission admit(const Client& client, ClientSink& sink) = 0;
    /// The connection ended. What it had in flight is cancelled unless `may_come_back`: then it
    /// goes on, and is answered to who sends it again. Memory of the session is kept for
    /// session_patience.
    virtual void left(ClientKey client, bool may_come_back) = 0;

    /// Answers NOPs of a VM that waits for nothing, and what is refused, before it returns.
    virtual void submit(ClientKey client, Request request) = 0;
    virtual void cancel(ClientKey client, uint64_t request_id) = 0;
    /// This request and those before it (by id) have been seen answered.
    virtual void acknowledge(ClientKey client, uint64_t request_id) = 0;
    /// Its guest was reset: what its session has in flight is cancelled, and memory, modules and
    /// kept results are freed before anything that is submitted later runs.
    virtual void forget(ClientKey client) = 0;
    /// The peer broke the protocol: a fault of its VM (Quarantine).
    virtual void fault(VmId vm, const std::string& reason) = 0;

    // Operations, for the control API.
    virtual Result<void> set_weight(VmId vm, uint32_t weight) = 0;
    virtual Result<void> set_limits(VmId vm, const Limits& limits) = 0;
    virtual Result<void> quarantine(VmId vm, const std::string& reason, Duration release) = 0;
    virtual Result<void> release(VmId vm) = 0;
    /// Nothing that waits is lost; pools that are gone answer POOL once their jobs have ended.
    virtual Result<void> reload(const Config& config) = 0;
    /// New requests are answered CANCELLED... until all in flight has ended; `drained` runs then.
    /// On false: back to work.
    virtual void drain(bool on, std::function<void()> drained) = 0;
    virtual EngineStatus status() const = 0;
    /// Of one VM alone; nothing: it is not known.
    virtual std::optional<VmStatus> vm_status(VmId vm) const = 0;
    virtual const Config& config() const = 0;
};

using MakeBackend =
    std::function<Result<std::unique_ptr<backend::Backend>>(const BackendConfig& config)>;

/// Errors: those of the backends' start are no error, they show in status().
Result<std::unique_ptr<Engine>> make_engine(Config config, MakeBackend make_backend,
                                            TaskRunner& runner, Engine::Hooks hooks);

}  // namespace mimic::mediator
