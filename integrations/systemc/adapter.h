// SPDX-License-Identifier: Apache-2.0
// Adapter: a TLM-2.0 target is the device behind a simulator's socket. Requests become blocking
// transactions; the time that they take in SystemC is their latency. For SystemC 2.3.4 and 3.0, in
// a process of its own, for SystemC has one kernel a process. README.md shows how.
#pragma once

#ifndef SC_INCLUDE_DYNAMIC_PROCESSES
#define SC_INCLUDE_DYNAMIC_PROCESSES
#endif
#include <tlm_utils/simple_initiator_socket.h>
#include <systemc>
#include <tlm>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/simulator.h"
#include "sim/socket/server.h"

namespace mimic::systemc {

/// The request behind a transaction, for targets that want more than its bytes; others ignore it.
/// A target may set `response`'s result and payload, not its ids. Valid during the transaction.
struct RequestExtension : tlm::tlm_extension<RequestExtension> {
    const SSTRequest* request = nullptr;
    SSTResponse* response = nullptr;

    tlm::tlm_extension_base* clone() const override { return new RequestExtension(*this); }
    void copy_from(const tlm::tlm_extension_base& other) override {
        *this = static_cast<const RequestExtension&>(other);
    }
};

struct AdapterOptions {
    std::string socket;        // path of the UNIX socket to serve
    uint64_t memory_size = 0;  // READ and WRITE beyond are INVALID
    uint64_t memory_base = 0;  // added to their addresses
    /// Where a COMPUTE is written: payload.compute (16 bytes) and, with SST_FLAG_WORK, the
    /// struct sst_work behind it (48). Unset: COMPUTE is INVALID.
    std::optional<uint64_t> compute_window;
    /// The same for CONFIGURE: payload.config, 16 bytes.
    std::optional<uint64_t> configure_window;
    uint64_t clock_hz = 1'000'000'000;  // of the cycles that COMPUTE tells
    /// kFast: as it goes. kScaled: by the wall clock. kLockStep: a request begins at the time that
    /// its client says (sst_submit), or now if that is past: SystemC does not go back.
    sim::Pace pace = sim::Pace::kFast;
    double scale = 1;     // kScaled: wall time is simulated time times this
    size_t threads = 64;  // transactions at the same time, each on an SC_THREAD
    bool end_with_last_client = false;
    std::function<void()> reset;  // RESET, on an SC_THREAD; may be empty
};

/// The initiator of the device. Make it and the target, bind `socket`, call serve(). Thread-bound
/// to SystemC's thread but for stop().
class Adapter : public sc_core::sc_module {
public:
    /// Blocking transactions only; a target with nb_transport alone gets them through its
    /// tlm_utils::simple_target_socket, which translates.
    tlm_utils::simple_initiator_socket<Adapter> socket;

    Adapter(const sc_core::sc_module_name& name, AdapterOptions options);
    ~Adapter() override;

    /// Serves until stop(), or the last client has gone: in place of sc_start(). Simulated time
    /// stands still while nothing is asked (kScaled and kLockStep catch up when something is).
    /// Errors: those of PolledServer::listen(); EINVAL for options out of range.
    Status serve();

    /// Makes serve() return soon. Thread-safe, and safe in a signal handler.
    void stop() { stop_.store(true, std::memory_order_relaxed); }

private:
    // An SC_THREAD and the request that it has.
    struct Slot {
        sc_core::sc_event start;
        sim::PolledServer::Request asked{};
        uint64_t submitted = 0;  // simulated ns
    };

    // The bytes of a transaction.
    struct Transfer {
        tlm::tlm_command command;
        uint64_t address;
        uint8_t* data;
        uint32_t size;
    };

    void work(Slot& slot);
    void perform(Slot& slot);
    sst_status transact(Slot& slot, SSTResponse& response);
    sst_status memory(SSTRequest& request, SSTResponse& response);
    sst_status compute(SSTRequest& request, SSTResponse& response);
    sst_status transport(Transfer transfer, const SSTRequest& request, SSTResponse& response);
    uint64_t cycles(uint64_t simulated_ticks) const;
    void take_requests();
    void step();
    void rest(Duration limit);
    sc_core::sc_time allowed() const;

    const AdapterOptions options_;
    uint64_t ticks_per_ns_ = 0;
    std::vector<std::unique_ptr<Slot>> slots_;
    std::vector<Slot*> idle_;
    std::unique_ptr<sim::PolledServer> server_;
    TimePoint epoch_{};  // kScaled: when simulated time was 0
    std::atomic<bool> stop_{false};
};

}  // namespace mimic::systemc
