// SPDX-License-Identifier: Apache-2.0
// mimic.VirtIODevice: what a guest's /dev/sstN is, in an SST simulation. Answers the requests that
// come to a socket, from QEMUs with Linux SST's device and from Mimic's device hosts, when their
// simulated time has come.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <sst/core/component.h>
#include <sst/core/link.h>
#include <sst/core/output.h>
#include <sst/core/params.h>

#include "bridge.h"
#include "events.h"

namespace mimic_sst {

/// Parameters and statistics of Linux SST's component keep their names. Every request is answered;
/// clients may go and come back. A COMPUTE goes over `compute_port` where that is connected, and
/// is worked on here, one after the other, where not.
class VirtIODevice : public SST::Component {
public:
    SST_ELI_REGISTER_COMPONENT(VirtIODevice, "mimic", "VirtIODevice",
                               SST_ELI_ELEMENT_VERSION(1, 0, 0),
                               "An accelerator behind a socket, for guests",
                               COMPONENT_CATEGORY_UNCATEGORIZED)
    SST_ELI_DOCUMENT_PARAMS(
        {"socket_path", "UNIX socket to serve", "/tmp/qemu-sst-linux.sock"},
        {"device_id", "Which of the machine's, for messages", "0"},
        {"verbose", "0 says nothing, 2 each request", "1"}, {"clock", "Of its cycles", "1GHz"},
        {"cycles_per_unit", "Of a COMPUTE without a compute_port; a list: one a latency_model",
         "100"},
        {"memory_size", "Bytes that READ and WRITE may address", "268435456"},
        {"memory_cycles", "Cycles of a READ and WRITE", "100"},
        {"sessions", "End the simulation after so many clients have come and gone; 0: never", "0"},
        {"idle_wait",
         "us of wall time to wait for a client while nothing is in flight; 0: none, "
         "and simulated time runs on, as other components may need",
         "1000"})
    SST_ELI_DOCUMENT_PORTS({"compute_port", "To a mimic.ComputeDevice", {"mimic.ComputeDone"}})
    SST_ELI_DOCUMENT_STATISTICS({"total_requests", "Requests", "requests", 1},
                                {"noop_requests", "NOOPs", "requests", 1},
                                {"echo_requests", "ECHOs", "requests", 1},
                                {"compute_requests", "COMPUTEs", "requests", 1},
                                {"memory_requests", "READs and WRITEs", "requests", 1},
                                {"invalid_requests", "Answered INVALID", "requests", 1},
                                {"latency", "Simulated time from request to answer", "ns", 1})

    VirtIODevice(SST::ComponentId_t id, SST::Params& params);
    ~VirtIODevice() override;
    void setup() override;
    void finish() override;

private:
    struct Pending {
        Asked asked;
        SSTResponse response{};
        uint64_t arrived = 0;  // ps
    };

    bool tick(SST::Cycle_t cycle);
    bool is_over() const;
    void take(std::unique_ptr<Pending> pending);
    void take_compute(std::unique_ptr<Pending> pending);
    void take_memory(std::unique_ptr<Pending> pending);
    bool configure(const SSTRequest& request, SSTResponse& response);
    void later(std::unique_ptr<Pending> pending, uint64_t delay);
    void handle_own(SST::Event* event);
    void handle_compute(SST::Event* event);
    void answer(const Pending& pending);
    uint64_t now() const;

    SST::Output out_;
    std::string socket_path_;
    uint32_t device_id_ = 0;
    uint64_t period_ = 1000;  // of a cycle, ps
    std::vector<uint64_t> cycles_per_unit_;
    uint64_t memory_size_ = 0;
    uint64_t memory_latency_ = 0;  // ps
    uint64_t sessions_ = 0;
    uint64_t idle_wait_ = 0;  // us
    uint32_t default_model_ = 0;
    uint64_t free_at_ = 0;  // ps: of the unit without a compute_port
    uint64_t idle_ticks_ = 0;

    std::unique_ptr<Bridge> bridge_;
    SST::Link* self_ = nullptr;
    SST::Link* compute_ = nullptr;
    uint64_t ids_ = 0;
    std::map<uint64_t, std::unique_ptr<Pending>> pending_;
    std::map<uint64_t, std::vector<uint8_t>> memory_;  // pages that were written

    SST::Statistics::Statistic<uint64_t>* total_ = nullptr;
    SST::Statistics::Statistic<uint64_t>* noops_ = nullptr;
    SST::Statistics::Statistic<uint64_t>* echoes_ = nullptr;
    SST::Statistics::Statistic<uint64_t>* computes_ = nullptr;
    SST::Statistics::Statistic<uint64_t>* memory_requests_ = nullptr;
    SST::Statistics::Statistic<uint64_t>* invalid_ = nullptr;
    SST::Statistics::Statistic<uint64_t>* latency_ = nullptr;
};

}  // namespace mimic_sst
