// SPDX-License-Identifier: Apache-2.0
#include <sst/core/sst_config.h>

#include "compute_device.h"

#include <algorithm>
#include <memory>

#include <sst/core/unitAlgebra.h>

namespace mimic_sst {

uint64_t period_of(const std::string& clock) {
    SST::UnitAlgebra value(clock);
    if (value.hasUnits("Hz")) value.invert();
    const auto picoseconds = (value / SST::UnitAlgebra("1ps")).getRoundedValue();
    return std::max<uint64_t>(static_cast<uint64_t>(picoseconds), 1);
}

ComputeDevice::ComputeDevice(SST::ComponentId_t id, SST::Params& params) : SST::Component(id) {
    out_.init("mimic.ComputeDevice[@t] ", params.find<uint32_t>("verbose", 0), 0,
              SST::Output::STDOUT);
    period_ = period_of(params.find<std::string>("clock", "1GHz"));
    launch_cycles_ = params.find<uint64_t>("launch_cycles", 0);
    if (params.is_value_array("cycles_per_unit"))
        params.find_array<uint64_t>("cycles_per_unit", cycles_per_unit_);
    else
        cycles_per_unit_ = {params.find<uint64_t>("cycles_per_unit", 100)};
    free_at_.resize(std::max<uint64_t>(params.find<uint64_t>("units", 1), 1));
    for (int port = 0; isPortConnected("device_port" + std::to_string(port)); ++port) {
        ports_.push_back(configureLink(
            "device_port" + std::to_string(port), "1ps",
            MIMIC_SST_NUMBERED_HANDLER(SST::Event, ComputeDevice, handle_request, port)));
    }
    requests_ = registerStatistic<uint64_t>("requests");
    busy_cycles_ = registerStatistic<uint64_t>("busy_cycles");
    wait_cycles_ = registerStatistic<uint64_t>("wait_cycles");
    out_.verbose(CALL_INFO, 1, 0, "%zu units for %zu devices\n", free_at_.size(), ports_.size());
}

void ComputeDevice::handle_request(SST::Event* event, int port) {
    const std::unique_ptr<ComputeRequest> request(static_cast<ComputeRequest*>(event));
    requests_->addData(1);
    if (request->model >= cycles_per_unit_.size()) {
        ports_[static_cast<size_t>(port)]->send(new ComputeDone(request->id, 0, false));
        return;
    }
    const uint64_t now = getCurrentSimTime("1ps");
    const uint64_t cycles = launch_cycles_ + request->units * cycles_per_unit_[request->model];
    const auto unit = std::min_element(free_at_.begin(), free_at_.end());
    const uint64_t start = std::max(now, *unit);
    *unit = start + cycles * period_;
    busy_cycles_->addData(cycles);
    wait_cycles_->addData((start - now) / period_);
    out_.verbose(CALL_INFO, 2, 0, "request %lu of port %d: %lu cycles from %lu ps on\n",
                 static_cast<unsigned long>(request->id), port, static_cast<unsigned long>(cycles),
                 static_cast<unsigned long>(start));
    ports_[static_cast<size_t>(port)]->send(*unit - now,
                                            new ComputeDone(request->id, cycles, true));
}

}  // namespace mimic_sst
