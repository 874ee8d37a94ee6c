// SPDX-License-Identifier: Apache-2.0
// Configuration of the mediator, as values. parse.h reads it from YAML; it may be replaced while
// requests wait.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/task_runner.h"

namespace mimic::mediator {

using VmId = uint32_t;

/// As on the wire.
enum class Priority : uint8_t { kLow = 0, kMedium = 1, kHigh = 2 };

struct CpuBackend {
    uint32_t threads = 1;
    bool operator==(const CpuBackend&) const = default;
};
struct CudaBackend {
    uint32_t device = 0;
    bool operator==(const CudaBackend&) const = default;
};
/// A job takes as long as a latency model of src/lib/sim says, in simulated time scaled to the wall
/// clock.
struct SimBackend {
    std::string model = "linear";  // a name of sim's models, with its parameters
    std::map<std::string, std::string> parameters;
    double scale = 1.0;  // wall seconds a simulated second; 0: at once
    bool operator==(const SimBackend&) const = default;
};

struct BackendConfig {
    std::string name;  // unique in the file; "A0", "A1", ... where it is left out
    std::variant<CpuBackend, CudaBackend, SimBackend> kind;
    uint64_t memory_bytes = uint64_t{1} << 30;  // of all VMs on it
    bool operator==(const BackendConfig&) const = default;
};

struct PoolConfig {
    char id = 'A';
    std::vector<BackendConfig> backends;
    bool operator==(const PoolConfig&) const = default;
};

struct Limits {
    double rate = 0;              // requests a second, token bucket; 0: no limit
    double burst = 0;             // its size; 0: one second of rate
    uint32_t queue_depth = 1024;  // that wait
    uint64_t memory_bytes = 0;    // on backends; 0: no limit of its own
    uint32_t parallel = 1;        // jobs at the same time; 1 keeps them in order
    Duration job_timeout = std::chrono::seconds(30);
    bool operator==(const Limits&) const = default;
};

inline constexpr uint32_t kMaxWeight = 10'000;  // arbitrary

struct VmConfig {
    VmId id = 0;
    std::optional<char> pool;          // what the device says counts where it is left out
    std::optional<Priority> priority;  // the same
    uint32_t weight = 50;              // 1 .. kMaxWeight
    Limits limits;
    std::vector<uint32_t> uids;  // who may be this VM (SO_PEERCRED); empty: those of the mediator's
                                 // admission
    bool operator==(const VmConfig&) const = default;
};

enum class RuleName : uint8_t { kFair, kFifo, kStrict, kUrgency, kDrmFair };

struct Quarantine {
    uint32_t faults = 5;  // timeouts, dead backends and malformed messages of a VM; 0: never
    Duration window = std::chrono::minutes(1);   // within which they count
    Duration release = std::chrono::minutes(1);  // by itself after so long; 0: by hand only
    bool operator==(const Quarantine&) const = default;
};

struct Config {
    std::string vm_sockets;  // template with <vm_id>, for the original's packet; empty: none
    std::string socket;      // framed protocols; empty: none
    std::string run_folder;  // sockets of backends, which outlive a mediator; control socket
    RuleName rule = RuleName::kFair;
    bool strict_classes = false;  // high before medium before low; else the class is not looked at
                                  // by `fair`
    std::vector<PoolConfig> pools;
    std::vector<VmConfig> vms;
    std::optional<VmConfig> others;  // VMs that are not listed; nothing: they are refused
    std::vector<uint32_t> uids;      // admitted; empty: only the mediator's own
    Quarantine quarantine;
    std::string audit_log;  // path; empty: none
    uint32_t max_connections = 256;
    Duration message_timeout = std::chrono::seconds(10);   // a message that was begun must be whole
                                                           // by then
    Duration session_patience = std::chrono::seconds(10);  // memory of a VM that is away is kept so
                                                           // long
    bool operator==(const Config&) const = default;
};

}  // namespace mimic::mediator
