// SPDX-License-Identifier: Apache-2.0
// VirtioSst: an accelerator that a simulator answers for. The device of Linux SST; README.md
// describes it, sim/sst_protocol.h has its bytes.
//
//   queue 0   requests of pair 0, with room for the response behind them
//   queue 1   buffers for responses of pair 0 to requests without room
//   queue 2   buffers for events
//   3, 4      pair 1, and so on: MULTI_QUEUE
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/timer.h"
#include "base/weak_ptr.h"
#include "devices/virtio_sst/registers.h"
#include "devices/virtio_sst/request_table.h"
#include "reg/bank.h"
#include "sim/simulator.h"
#include "virtio/device.h"

namespace mimic::virtio_sst {

/// Makes the simulator when the device is plugged in, for the loop of its slot.
using MakeSimulator = std::function<Result<std::unique_ptr<sim::Simulator>>(TaskRunner& runner)>;

struct Options {
    std::string name{};                    // for logs, as the topology calls it
    uint32_t device_id = 0;                // SSTConfig.device_id
    uint16_t pairs = 1;                    // queue pairs, 1 .. SST_MAX_QUEUE_PAIRS
    uint16_t queue_size = 256;             // most entries of a queue: a power of two up to 1024
    uint64_t memory_bytes = 256ull << 20;  // that READ and WRITE may address
    bool lock_step = false;  // offers SST_F_LOCK_STEP: the simulator answers within submit()
    Duration timeout = std::chrono::seconds(5);  // of a request whose answer a fault has lost
    MakeSimulator make_simulator{};
};

inline constexpr uint16_t kMaxQueueSize = 1024;
inline constexpr size_t kMaxEventBacklog = 256;  // events that wait for buffers; arbitrary

/// Thread-bound to the loop that owns it. The driver's side is virtio::Device's.
class VirtioSst final : public virtio::Device, private sim::SimulatorObserver {
public:
    /// Error invalid_argument, beginning with the device's name, for options out of range.
    static Result<std::unique_ptr<VirtioSst>> create(Options options);
    ~VirtioSst() override;

    /// The simulator; nullptr while the device is not plugged in, or could not be given one.
    sim::Simulator* simulator() { return simulator_.get(); }

    size_t in_flight() const { return requests_.size(); }

    /// Sends an event if its driver has accepted those and lets its type through. Without a buffer
    /// it waits for one, unless kMaxEventBacklog wait already.
    void send_event(const SSTEvent& event);

    /// Configuration space, and the state behind it. Without side effects.
    const reg::BankCore& registers() const;

    /// Goes on as another device of the kind whose registers `snapshot` holds: parameters are
    /// configured again in the simulator. Memory of the simulator is not part of it. Errors: those
    /// of reg::BankCore::restore(); not_supported while that one had requests in flight.
    Status restore(const reg::Snapshot& snapshot);

    // virtio::Device
    std::vector<virtio::RegisterBlock> register_blocks() const override;
    std::vector<virtio::Counter> counters() const override;
    Status restore_registers(std::span<const reg::Snapshot> snapshots) override;
    /// Requests in flight, or events that wait: no register tells of them.
    bool at_work() const override { return requests_.size() != 0 || !backlog_.empty(); }
    bool has_backend() const override { return true; }
    void backend_changed() override;

private:
    explicit VirtioSst(Options options);

    // virtio::Device
    void on_attach() override;
    void on_detach() override;
    void on_start() override;
    void on_reset() override;
    void on_kick(uint16_t index) override;
    void on_queue_reset(uint16_t index) override;
    void on_config_read(uint32_t offset, std::span<uint8_t> data) override;

    // sim::SimulatorObserver
    void on_event(const SSTEvent& event) override { send_event(event); }

    // When a request was asked and answered, in the simulator's time.
    struct Outcome {
        sim::SimTime submitted = 0;
        sim::SimTime finished = 0;
    };

    // A queue pair, and what of it is left for a later turn of the loop.
    struct Unsent {  // an answer that waits for a buffer of the response queue
        virtio::Chain chain;
        std::unique_ptr<SSTResponse> response;
        Outcome when;
    };
    struct Pair {
        Timer again;
        std::deque<Unsent> unsent;
    };
    static uint16_t request_queue(uint16_t pair) {
        return static_cast<uint16_t>(pair == 0 ? SST_REQUEST_QUEUE : 1 + 2 * pair);
    }
    static uint16_t response_queue(uint16_t pair) {
        return static_cast<uint16_t>(pair == 0 ? SST_RESPONSE_QUEUE : 2 + 2 * pair);
    }

    void show_counts() const;
    void serve(uint16_t pair);
    void take(uint16_t pair, virtio::Chain&& chain);
    void dispatch(Request&& request, uint32_t payload_bytes, sim::SimTime guest_time);
    bool answer_locally(const Request& request, uint32_t payload_bytes);
    void answer_info();
    bool is_within_memory(const SSTRequest& request) const;
    void configure_events();
    void reset_simulator();
    void submit(Request&& request, sim::SimTime guest_time);
    void answered(uint64_t id, const sim::Answer& answer);
    void answer_with(uint64_t id, sst_status status);
    void lose_answer(uint64_t id, Outcome when);
    void hold_answer(uint64_t id, const sim::Answer& answer, Duration delay);
    void came_late(uint64_t id);
    void remember_parameter(const Request& request);
    void respond(Request&& request, Outcome when);
    void write_response(uint16_t queue, virtio::Chain&& chain, Outcome when);
    void send_unsent(uint16_t pair);
    void send_error(sst_error error, uint64_t id);
    void send_notice(sst_notice notice);
    void flush_events();
    bool share_is_over();
    sim::SimTime now() const { return simulator_ == nullptr ? 0 : simulator_->now(); }

    const Options options_;
    mutable reg::Bank<kMap> bank_;  // show_counts() puts counts into it
    RequestTable requests_;
    std::vector<Pair> pairs_;
    std::deque<SSTEvent> backlog_;
    SSTRequest request_{};    // of the chain that is looked at: 4 KiB that need no stack
    SSTResponse response_{};  // of the answer that is written
    struct Counts {
        uint64_t requests = 0;
        uint64_t responses = 0;
        uint64_t errors = 0;                           // responses that are not OK
        uint64_t late = 0;                             // answers whose request has gone
        uint64_t unknown = 0, timeouts = 0, lost = 0;  // by faults; as sim::Simulator::Counters
        uint64_t events = 0;
        uint64_t events_dropped = 0;
    };
    Counts counts_;
    unsigned served_ = 0;  // since the clock was asked whether the loop's share is over
    std::unique_ptr<sim::Simulator> simulator_;
    WeakOwner<VirtioSst> weak_{this};
};

}  // namespace mimic::virtio_sst
