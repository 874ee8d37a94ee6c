// SPDX-License-Identifier: Apache-2.0
// Errands: requests on their way to the mediator and back, and what faults make of their answers.
// Each is answered once, or forgotten.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/timer.h"
#include "base/weak_ptr.h"
#include "compute/queue.h"
#include "pci/faults/function_faults.h"

namespace mimic::vgpu_stub {

/// Thread-bound with its device.
class Errands {
public:
    using Done = std::function<void(const compute::Completion& completion)>;

    struct Counts {
        uint64_t requests = 0;
        uint64_t responses = 0;  // that brought something
        uint64_t errors = 0;
        uint64_t timeouts = 0;  // answers that a fault has lost
        uint64_t unknown = 0;   // answers that a fault has given the id of no request
        uint64_t late = 0;      // answers that nobody waits for any more
    };

    /// `faults`: those that stand now, or nullptr. `timeout`: of answers that one of them has lost.
    Errands(std::function<pci::FunctionFaults*()> faults, Duration timeout)
        : faults_(std::move(faults)), timeout_(timeout) {}

    /// The way to the mediator, on its loop; nullptr: there is none.
    void open(std::unique_ptr<compute::Queue> queue, TaskRunner& runner);
    void close();

    /// Sends it; `done` runs once, within the call or later, unless it is forgotten.
    void send(uint32_t tag, std::vector<std::byte> request, size_t room, Done done);

    /// All that is under way is forgotten: no `done` runs.
    void forget() { end(&compute::Queue::reset); }

    /// As forget(), and what the guest has on backends is freed: the device was reset.
    void start_over() { end(&compute::Queue::start_over); }

    /// What is under way ends with `error`.
    void fail_all(vgpu_error error);

    size_t in_flight() const { return pending_.size(); }
    compute::Queue* queue() { return line_ == nullptr ? nullptr : line_->queue.get(); }
    const compute::Queue* queue() const { return line_ == nullptr ? nullptr : line_->queue.get(); }
    const Counts& counts() const { return counts_; }

private:
    struct Pending {
        Done done;
        size_t room = 0;
    };
    /// A queue, and how many of its calls are on the stack: DMA of an answer may reach the device's
    /// own registers, and a queue is neither reset nor destroyed below its own calls.
    struct Line {
        std::unique_ptr<compute::Queue> queue;
        unsigned calls = 0;
    };

    void answered(uint64_t id, const compute::Completion& completion);
    void finish(uint64_t id, const compute::Completion& completion);
    void hold(uint64_t id, const compute::Completion& completion, Duration delay);
    void lose(uint64_t id);
    void end(void (compute::Queue::*how)());

    std::function<pci::FunctionFaults*()> faults_;
    Duration timeout_;
    TaskRunner* runner_ = nullptr;  // from open() to close()
    std::shared_ptr<Line> line_;    // nullptr: no way to the mediator
    std::unordered_map<uint64_t, Pending> pending_;
    uint64_t last_id_ = 0;
    Timer reset_later_;
    Counts counts_;
    WeakOwner<Errands> weak_{this};
};

}  // namespace mimic::vgpu_stub
