// SPDX-License-Identifier: Apache-2.0
// mimic.ComputeDevice: compute units with latency, for any number of devices that ask over links.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sst/core/component.h>
#include <sst/core/link.h>
#include <sst/core/output.h>
#include <sst/core/params.h>

#include "events.h"

namespace mimic_sst {

/// A request takes the first unit that is free, keeps it for launch_cycles + units x
/// cycles_per_unit[model] cycles, and is answered when they are over. Those that find no unit wait
/// in the order in which they came.
class ComputeDevice : public SST::Component {
public:
    SST_ELI_REGISTER_COMPONENT(ComputeDevice, "mimic", "ComputeDevice",
                               SST_ELI_ELEMENT_VERSION(1, 0, 0), "Compute units with latency",
                               COMPONENT_CATEGORY_PROCESSOR)
    SST_ELI_DOCUMENT_PARAMS({"clock", "Of the cycles below", "1GHz"},
                            {"cycles_per_unit",
                             "Cycles of a compute unit; a list: one for each latency_model", "100"},
                            {"launch_cycles", "Cycles of each request besides", "0"},
                            {"units", "Requests that are worked on at the same time", "1"},
                            {"verbose", "0 says nothing", "0"})
    SST_ELI_DOCUMENT_PORTS({"device_port%(n)d", "To devices that ask", {"mimic.ComputeRequest"}})
    SST_ELI_DOCUMENT_STATISTICS({"requests", "Requests", "requests", 1},
                                {"busy_cycles", "Cycles that units worked", "cycles", 1},
                                {"wait_cycles", "Cycles that requests waited for a unit", "cycles",
                                 1})

    ComputeDevice(SST::ComponentId_t id, SST::Params& params);

private:
    void handle_request(SST::Event* event, int port);

    SST::Output out_;
    std::vector<SST::Link*> ports_;
    SST::Statistics::Statistic<uint64_t>* requests_ = nullptr;
    SST::Statistics::Statistic<uint64_t>* busy_cycles_ = nullptr;
    SST::Statistics::Statistic<uint64_t>* wait_cycles_ = nullptr;
    std::vector<uint64_t> cycles_per_unit_;
    uint64_t launch_cycles_ = 0;
    uint64_t period_ = 1000;         // of a cycle, ps
    std::vector<uint64_t> free_at_;  // ps, of each unit
};

/// Picoseconds of a cycle of `clock` ("1GHz", "500ps"); at least 1.
uint64_t period_of(const std::string& clock);

}  // namespace mimic_sst
