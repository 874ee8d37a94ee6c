// SPDX-License-Identifier: Apache-2.0
// What the control API can reach by name: targets (a function, a slot) that live on event loops,
// and call_on(), which takes work there and waits no longer than a deadline.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "pci/describe/function_registers.h"
#include "pci/faults/function_faults.h"

namespace mimic::pci {
class Function;
}

namespace mimic::control {

class TraceTarget;

/// What GET /v1/devices says of a target.
struct TargetInfo {
    std::string name;
    std::string kind;  // "endpoint", "fabric", "port", "function", "virtual-function",
                       // "vhost-user"
    bool connected = false;
    std::optional<unsigned> numa_node{};
    std::string parent{};  // the port, PF or fabric above; empty: none
    std::string pf{};      // of a VF
    std::string bdf{};     // "0000:01:00.0"; empty: unknown
    uint16_t vendor_id = 0;
    uint16_t device_id = 0;
    uint32_t class_code = 0;
    bool in_d0 = true;
    bool bus_master = false;
    std::optional<uint32_t> vfs{};  // enabled, and the most; of a PF
    std::optional<uint32_t> total_vfs{};
    bool present = true;  // in its slot
    std::optional<bool> link_up{};

    /// Injected faults.
    struct Faults {
        uint64_t armed = 0;
        uint64_t active = 0;
        uint64_t struck = 0;  // strikes so far
    };
    Faults faults{};

    /// Names are literals: a loop fills this in for hundreds of functions at once.
    std::vector<std::pair<const char*, uint64_t>> counters{};
};

/// One thing that can be looked at and made to fail, as a handle that is made when it is asked for.
/// Thread-bound to the loop of its group.
class Target {
public:
    virtual ~Target() = default;

    virtual std::string name() const { return info().name; }
    virtual TargetInfo info() const = 0;

    /// The function itself, for what only reads it (registers); nullptr if there is none behind the
    /// name.
    virtual pci::Function* function() = 0;

    /// What there is to see where function() is nullptr; empty: nothing.
    virtual std::vector<pci::RegisterMap> state() { return {}; }

    /// Errors: those of pci::FunctionFaults::arm().
    virtual Status inject(const pci::Fault& fault) = 0;
    virtual std::vector<pci::FaultReport> faults() const = 0;
    virtual void clear_faults() = 0;

    /// Ends one; false: none that stands has this id.
    virtual bool clear_fault(uint64_t id) = 0;

    /// Those that inject() would refuse now, without options and trigger.
    virtual std::vector<pci::FaultRefusal> refusals() const = 0;
};

/// The targets of one loop, which may come and go (virtual functions do). All but runner() are
/// called on the loop.
class TargetGroup {
public:
    virtual ~TargetGroup() = default;

    /// The loop. Thread-safe.
    virtual TaskRunner& runner() = 0;

    virtual std::vector<std::string> names() = 0;

    /// nullptr if there is none. Valid until the caller returns to the loop.
    virtual std::unique_ptr<Target> find(const std::string& name) = 0;

    /// All of them.
    virtual std::vector<TargetInfo> infos() = 0;

    /// The loop's trace, or nullptr where there is none. Lives as long as the group.
    virtual TraceTarget* trace() { return nullptr; }
};

/// Runs `work` on `runner` and returns what it returned, or nullopt if `deadline` passed. Work that
/// has not begun by then never does; work that has may still be at it. Not from a task of `runner`.
template <typename T>
std::optional<T> call_on(TaskRunner& runner, std::function<T()> work, Duration deadline) {
    struct Call {
        std::mutex mutex;
        std::condition_variable changed;
        bool abandoned = false;
        bool begun = false;
        std::optional<T> result;
    };
    // Shared: whoever is last, the loop or the caller, frees it.
    const auto call = std::make_shared<Call>();
    runner.post([call, work = std::move(work)] {
        {
            const std::lock_guard lock(call->mutex);
            if (call->abandoned) return;
            call->begun = true;
        }
        T result = work();
        const std::lock_guard lock(call->mutex);
        call->result.emplace(std::move(result));
        call->changed.notify_all();
    });
    std::unique_lock lock(call->mutex);
    const auto done = [&call] { return call->result.has_value(); };
    if (!call->changed.wait_for(lock, deadline, done)) {
        if (call->begun) call->changed.wait_for(lock, deadline, done);
        call->abandoned = true;
    }
    return std::move(call->result);
}

}  // namespace mimic::control
