// SPDX-License-Identifier: Apache-2.0
// BuiltinSimulator: latency models on calendars of resources. When a request is submitted, all
// before it are known, so that its end is known at once; the pace only decides when it is told.
// Inside of sim/builtin: others have make_builtin().
#pragma once

#include <vector>

#include "base/timer.h"
#include "sim/builtin/device_memory.h"
#include "sim/builtin/spec.h"
#include "sim/kernel/event_kernel.h"
#include "sim/models/model.h"

namespace mimic::sim {

/// See Simulator. A Done and the observer may submit() and reset(), and must not destroy this.
/// Memory and parameters change in order of submission, at submission.
class BuiltinSimulator final : public Simulator {
public:
    /// `spec` has no find_error(), at least one model, and the points of all files. `runner` is
    /// borrowed.
    BuiltinSimulator(const BuiltinSpec& spec, TaskRunner& runner);

    void submit(const SSTRequest& request, SimTime guest_time, Done done) override;
    void reset() override;
    size_t in_flight() const override { return in_flight_; }
    bool ready() const override { return true; }
    SimTime now() const override;
    Counters counters() const override { return counters_; }
    void set_observer(SimulatorObserver* observer) override { observer_ = observer; }

private:
    // What CONFIGURE changes. Index: the number of the parameter; times in ps.
    struct Parameters {
        uint64_t clock_hz;
        uint64_t model;
        SimTime launch_latency;
        SimTime memory_latency;
        uint64_t memory_bandwidth;
        uint64_t event_mask;
    };

    // A request that has been worked out: what its answer is, and when it comes.
    struct Outcome {
        sst_status status = SST_STATUS_OK;
        SimTime finish = 0;  // of an OK
        uint64_t result = 0;
        uint64_t words[3] = {};     // payload, but for `data`
        std::vector<uint8_t> data;  // payload of READ and ECHO
        bool reset = false;         // tells of a reset
    };

    // A request in flight.
    struct Pending {
        Done done;
        uint64_t request_id = 0;
        uint64_t user_data = 0;
        uint32_t flags = 0;
        SimTime submitted = 0;
        Outcome outcome;
    };

    static Parameters initial(const BuiltinSpec& spec);

    // requests.cpp: what each type does. `time` is that of submission.
    void work_out(const SSTRequest& request, SimTime time, Outcome& outcome);
    void compute(const SSTRequest& request, SimTime time, Outcome& outcome);
    void read(const SSTRequest& request, SimTime time, Outcome& outcome);
    void write(const SSTRequest& request, SimTime time, Outcome& outcome);
    void configure(const SSTRequest& request, Outcome& outcome);
    bool set_parameter(uint32_t id, uint64_t value, uint64_t& before);
    bool set_time(SimTime& time, uint64_t value, uint64_t unit, uint64_t& before);
    bool transfer(SimTime time, uint64_t bytes, SimTime& finish);
    void info(Outcome& outcome) const;
    void restart();

    SimTime submission_time(SimTime guest_time);
    SimTime wall_time() const;
    void answer(const Pending& pending);
    void tell(uint32_t type, SimTime time, uint64_t data);
    void schedule(SimTime finish);
    void deliver();
    uint32_t slot();

    const BuiltinSpec spec_;
    TaskRunner& runner_;
    const uint64_t scale_;  // in 1/1,000,000
    std::vector<Model> models_;
    Servers units_;
    Bus memory_bus_;
    DeviceMemory memory_;
    Parameters parameters_;

    EventKernel kernel_;
    TimePoint epoch_;             // kScaled: when simulated time was 0
    SimTime guest_time_ = 0;      // kLockStep: of the last submission
    std::vector<Pending> slots_;  // as many as were ever in flight
    std::vector<uint32_t> free_;
    std::vector<uint32_t> due_;  // slots whose time has come, out of kernel_
    size_t in_flight_ = 0;
    uint64_t round_ = 0;  // of reset()
    Counters counters_;
    SimulatorObserver* observer_ = nullptr;
    SimTime armed_for_ = EventKernel::kNever;
    Timer timer_;
};

}  // namespace mimic::sim
