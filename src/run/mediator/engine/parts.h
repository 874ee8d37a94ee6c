// SPDX-License-Identifier: Apache-2.0
// What an engine is made of: VMs, sessions, connections, jobs. Private to this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "base/timer.h"
#include "mediator/engine/engine.h"
#include "mediator/engine/share_window.h"
#include "mediator/engine/token_bucket.h"

namespace mimic::mediator {

struct Pool;
struct Vm;
using JobKey = uint64_t;  // in the slab; the rule's JobId

/// A connection's name and what it holds on to: memory, kept results. With id 0 it is that of all
/// connections of a VM whose protocol has none.
struct Session {
    Vm* vm = nullptr;
    uint64_t id = 0;
    std::vector<ClientKey> clients;             // more than one only with id 0
    std::unordered_map<uint64_t, JobKey> jobs;  // by the client's request id; not with id 0
    std::vector<uint32_t> backends;             // of the pool, which carried out something for it
    Timer patience;                             // away: it ends then
};

struct ClientState {
    Client client;
    Session* session = nullptr;
    ClientSink* sink = nullptr;
    bool denied = false;      // by a configuration that came later
    bool other_pool = false;  // says another pool than that in which its VM lives
};

/// Where a VM is of which neither the configuration nor a device has said it yet.
inline constexpr char kFirstPool = 'A';

/// Whether it may be a VM's first that leaves something on the backend.
inline bool needs_home(uint32_t opcode) {
    return opcode == VGPU_OP_MEM_ALLOC || opcode == VGPU_OP_MODULE_LOAD || opcode == VGPU_OP_BATCH;
}

// Not an opcode: of a job that only looks like one of the engine's own.
inline constexpr uint32_t kForBackend = UINT32_MAX;

/// What an answer says that no backend gave, if there is room for it.
Answer done_answer(size_t room);

enum class JobState : uint8_t {
    kWaiting,  // in the rule
    kHeld,     // as its VM is, before the rule
    kFence,    // SYNCHRONIZE: for those of its VM before it
    kRunning,
};

struct EngineJob {
    Vm* vm = nullptr;
    Session* session = nullptr;  // nullptr: it has ended, and so will this
    ClientKey client = 0;        // 0: nobody is there to be answered
    backend::Owner owner;
    uint64_t request_id = 0;
    uint64_t kept_as = 0;  // the name under which the backend keeps the result
    uint32_t opcode = 0;
    JobState state = JobState::kWaiting;
    bool again = false;
    size_t room = 0;
    std::span<const std::byte> bytes;
    std::vector<std::byte> storage;  // holds them unless their sender still does
    TimePoint arrived{};
    TimePoint started{};
    Pool* pool = nullptr;  // where it waits or runs
    uint32_t backend = 0;  // runs
    bool release_after = false;
    JobKey before = 0;  // of its VM, by arrival
    JobKey after = 0;
};

struct Vm {
    VmConfig config;
    bool listed = false;
    char pool_id = 'A';
    Pool* pool = nullptr;  // nullptr: there is none of that name
    Priority priority = Priority::kMedium;
    std::optional<uint32_t> home;  // backend of the pool
    bool held = false;             // until it is known whether a backend has something of it
    TokenBucket bucket;
    uint32_t connections = 0;
    size_t waiting = 0;
    size_t running = 0;
    JobKey first = 0;
    JobKey last = 0;
    uint64_t last_kept_as = 0;  // of session 0; begins with the time, so as to grow over restarts
    std::unordered_map<uint64_t, std::unique_ptr<Session>> sessions;

    std::deque<TimePoint> faults;
    bool quarantined = false;
    std::string quarantine_reason;
    TimePoint quarantine_end{};  // zero: by hand
    Timer quarantine_timer;

    VmCounters counters;
    Histogram latency;
    Histogram execution;
    ShareWindow share;
    // Lines of the audit log: protocols without a session have a connection a request.
    log::RateLimit connected_log{20};
    log::RateLimit left_log{20};

    VmId id() const { return config.id; }
    bool is_idle() const { return sessions.empty() && first == 0 && !quarantined; }
};

}  // namespace mimic::mediator
