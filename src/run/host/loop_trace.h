// SPDX-License-Identifier: Apache-2.0
// LoopTrace: the trace of one loop of a device host: a ring that its functions share, who of them
// is traced, and a dump of the ring when something goes wrong.
//
// A replay begins with the state of a function (function_state.h). So that a dump of a ring that is
// always on has some, states are recorded each time that half of the ring is new, and of a function
// for which a fault is armed.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/task_runner.h"
#include "base/thread_bound.h"
#include "base/timer.h"
#include "base/weak_ptr.h"
#include "control/trace_target.h"
#include "host/trace_dump.h"
#include "host/virtio_trace.h"
#include "pci/fabric/fabric.h"
#include "pci/function/function.h"
#include "pci/trace/trace_names.h"
#include "pci/trace/trace_ring.h"

namespace mimic::host {

/// What a device host traces when nobody has asked: DMA without its bytes.
inline constexpr uint64_t kDefaultTraceBytes = uint64_t{1} << 20;

/// Thread-bound to the loop.
class LoopTrace final : public control::TraceTarget {
public:
    struct Options {
        uint64_t buffer_bytes = kDefaultTraceBytes;  // 0: off until somebody asks
        TraceDumper* dumper = nullptr;               // borrowed; nullptr: no dumps
    };

    /// `runner` is the loop.
    LoopTrace(TaskRunner& runner, const Options& options);
    ~LoopTrace();
    LoopTrace(const LoopTrace&) = delete;
    LoopTrace& operator=(const LoopTrace&) = delete;

    /// Traces `function` and, with a `fabric` (else nullptr), what is behind it. Borrowed until
    /// clear().
    void add(pci::Function& function, pci::Fabric* fabric);

    /// Traces the requests that `device` answers, likewise: one that is no PCI function here.
    void add(virtio::Device& device);

    /// Traces nothing any more. Before the functions and devices go.
    void clear();

    control::TraceStatus status() const override;
    void change(const control::TraceChange& change) override;
    control::TraceSlice events(const control::TraceQuery& query) const override;

private:
    struct Source {
        pci::Function* function;
        pci::Fabric* fabric;
    };

    void for_each(const std::function<void(pci::Function&, bool is_fabric)>& visit) const;
    bool wanted(pci::Function& function, bool is_fabric) const;
    bool is_named(const std::string& name) const;
    void stop_all() const;
    void make_ring();
    void apply();
    void record_states();
    void record_state(pci::Function& function);
    void begin_round();
    void post_round(Duration delay);
    void next_of_round();
    pci::Function* find(std::string_view name) const;
    const pci::TraceNames* names_of(std::string_view device) const;
    void dump(const std::string& device, TraceDumper::Rank rank) const;

    TaskRunner& runner_;
    TraceDumper* dumper_;
    SteadyClock clock_;
    control::TraceSettings settings_;
    std::unique_ptr<pci::TraceRing> ring_;  // there while enabled, and until the next change after
    std::vector<Source> sources_;
    std::vector<std::unique_ptr<VirtioTrace>> virtio_sources_;
    uint64_t first_number_ = 1;        // of the next ring: numbers never go back
    uint64_t overwritten_before_ = 0;  // by earlier rings
    // Functions whose states are to be recorded, and how often each was found at work instead.
    std::deque<std::pair<std::string, unsigned>> round_;
    bool round_due_ = false;
    Timer next_of_round_;
    std::map<std::string, uint64_t, std::less<>> last_states_;  // numbers of events
    // Names that were asked for, also of VFs that are gone.
    mutable std::map<std::string, pci::TraceNames, std::less<>> names_;
    ThreadBound thread_;
    WeakOwner<LoopTrace> weak_{this};  // for dumps that were posted
};

}  // namespace mimic::host
