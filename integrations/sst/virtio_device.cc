// SPDX-License-Identifier: Apache-2.0
#include <sst/core/sst_config.h>

#include "virtio_device.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "compute_device.h"

namespace mimic_sst {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kIdleTicks = 1000;  // without a request before it waits for one; arbitrary
constexpr size_t kWriteOffset = sizeof(SSTRequest::payload.memory);

}  // namespace

VirtIODevice::VirtIODevice(SST::ComponentId_t id, SST::Params& params) : SST::Component(id) {
    out_.init("mimic.VirtIODevice[@t] ", params.find<uint32_t>("verbose", 1), 0,
              SST::Output::STDOUT);
    socket_path_ = params.find<std::string>("socket_path", "/tmp/qemu-sst-linux.sock");
    device_id_ = params.find<uint32_t>("device_id", 0);
    const auto clock = params.find<std::string>("clock", "1GHz");
    period_ = period_of(clock);
    if (params.is_value_array("cycles_per_unit"))
        params.find_array<uint64_t>("cycles_per_unit", cycles_per_unit_);
    else
        cycles_per_unit_ = {params.find<uint64_t>("cycles_per_unit", 100)};
    memory_size_ = params.find<uint64_t>("memory_size", 256ull << 20);
    memory_latency_ = params.find<uint64_t>("memory_cycles", 100) * period_;
    sessions_ = params.find<uint64_t>("sessions", 0);
    idle_wait_ = params.find<uint64_t>("idle_wait", 1000);

    total_ = registerStatistic<uint64_t>("total_requests");
    noops_ = registerStatistic<uint64_t>("noop_requests");
    echoes_ = registerStatistic<uint64_t>("echo_requests");
    computes_ = registerStatistic<uint64_t>("compute_requests");
    memory_requests_ = registerStatistic<uint64_t>("memory_requests");
    invalid_ = registerStatistic<uint64_t>("invalid_requests");
    latency_ = registerStatistic<uint64_t>("latency");

    self_ = configureSelfLink("own", "1ps",
                              MIMIC_SST_HANDLER(SST::Event, VirtIODevice, handle_own));
    if (isPortConnected("compute_port"))
        compute_ = configureLink("compute_port", "1ps",
                                 MIMIC_SST_HANDLER(SST::Event, VirtIODevice, handle_compute));
    registerClock(clock, MIMIC_SST_HANDLER(SST::Clock, VirtIODevice, tick));
    registerAsPrimaryComponent();
    primaryComponentDoNotEndSim();
}

VirtIODevice::~VirtIODevice() = default;

// Not in the constructor: with MPI only the rank that has this component comes here.
void VirtIODevice::setup() {
    bridge_ = std::make_unique<Bridge>(socket_path_);
    std::string error;
    if (!bridge_->start(error)) out_.fatal(CALL_INFO, 1, "%s\n", error.c_str());
    out_.verbose(CALL_INFO, 1, 0, "device %u serves %s\n", device_id_, socket_path_.c_str());
    out_.flush();
}

void VirtIODevice::finish() {
    out_.verbose(CALL_INFO, 1, 0, "device %u: %lu clients, %lu parts of requests\n", device_id_,
                 static_cast<unsigned long>(bridge_->connections()),
                 static_cast<unsigned long>(bridge_->malformed()));
    bridge_.reset();
}

uint64_t VirtIODevice::now() const {
    return getCurrentSimTime("1ps");
}

bool VirtIODevice::is_over() const {
    return sessions_ != 0 && pending_.empty() && bridge_->connections() >= sessions_ &&
           bridge_->clients() == 0 && !bridge_->has_request();
}

bool VirtIODevice::tick(SST::Cycle_t) {
    if (bridge_->has_request()) {
        idle_ticks_ = 0;
        auto pending = std::make_unique<Pending>();
        while (bridge_->poll(pending->asked)) {
            take(std::move(pending));
            pending = std::make_unique<Pending>();
        }
        return false;
    }
    if (!pending_.empty() || ++idle_ticks_ < kIdleTicks) return false;
    if (is_over()) {
        primaryComponentOKToEndSim();
        return true;
    }
    // While nobody asks for anything, simulated time all but stands still.
    if (idle_wait_ != 0)
        bridge_->wait(std::chrono::microseconds(idle_wait_));
    else
        idle_ticks_ = 0;
    return false;
}

void VirtIODevice::take(std::unique_ptr<Pending> pending) {
    const SSTRequest& request = pending->asked.request;
    SSTResponse& response = pending->response;
    pending->arrived = now();
    total_->addData(1);
    out_.verbose(CALL_INFO, 2, 0, "request %lu of type %u\n",
                 static_cast<unsigned long>(pending->asked.request_id), request.type);
    switch (request.type) {
        case SST_REQ_NOOP:
            noops_->addData(1);
            break;
        case SST_REQ_ECHO:
            echoes_->addData(1);
            response.result = SST_MAX_DATA_SIZE;
            std::memcpy(response.payload.data, request.payload.data, SST_MAX_DATA_SIZE);
            break;
        case SST_REQ_COMPUTE:
            return take_compute(std::move(pending));
        case SST_REQ_READ:
        case SST_REQ_WRITE:
            return take_memory(std::move(pending));
        case SST_REQ_RESET:
            memory_.clear();
            default_model_ = 0;
            break;
        case SST_REQ_GET_INFO:
            response.payload.info.version = SST_VERSION;
            response.payload.info.capabilities = 1u << SST_F_ECHO | 1u << SST_F_COMPUTE |
                                                 1u << SST_F_MEMORY | 1u << SST_F_RESET;
            response.payload.info.max_compute_units = SST_MAX_COMPUTE_UNITS;
            response.payload.info.memory_size = memory_size_;
            break;
        case SST_REQ_CONFIGURE:
            if (!configure(request, response)) response.status = SST_STATUS_INVALID;
            break;
        default:
            response.status = SST_STATUS_INVALID;
    }
    answer(*pending);
}

bool VirtIODevice::configure(const SSTRequest& request, SSTResponse& response) {
    const uint64_t value = request.payload.config.value;
    switch (request.payload.config.param_id) {
        case SST_PARAM_LATENCY_MODEL:
            if (value > UINT32_MAX) return false;
            response.result = std::exchange(default_model_, static_cast<uint32_t>(value));
            return true;
        case SST_PARAM_MEMORY_LATENCY_NS:
            if (value > 1'000'000'000'000) return false;
            response.result = std::exchange(memory_latency_, value * 1000) / 1000;
            return true;
        default:
            return false;
    }
}

void VirtIODevice::take_compute(std::unique_ptr<Pending> pending) {
    computes_->addData(1);
    const auto& asked = pending->asked.request.payload.compute;
    const uint32_t model = asked.latency_model != 0 ? asked.latency_model : default_model_;
    const bool own = compute_ == nullptr;
    if (asked.compute_units > SST_MAX_COMPUTE_UNITS || (own && model >= cycles_per_unit_.size())) {
        pending->response.status = SST_STATUS_INVALID;
        return answer(*pending);
    }
    if (!own) {
        const uint64_t id = ++ids_;
        auto* const request = new ComputeRequest(id, asked.compute_units, model);
        pending_[id] = std::move(pending);
        return compute_->send(request);
    }
    const uint64_t cycles = asked.compute_units * cycles_per_unit_[model];
    const uint64_t start = std::max(pending->arrived, free_at_);
    free_at_ = start + cycles * period_;
    pending->response.result = cycles;
    pending->response.payload.compute.cycles = cycles;
    pending->response.payload.compute.timestamp = free_at_ / period_;
    later(std::move(pending), free_at_ - now());
}

void VirtIODevice::take_memory(std::unique_ptr<Pending> pending) {
    memory_requests_->addData(1);
    const SSTRequest& request = pending->asked.request;
    const bool write = request.type == SST_REQ_WRITE;
    const uint64_t size = request.payload.memory.size;
    const uint64_t most = SST_MAX_DATA_SIZE - (write ? kWriteOffset : 0);
    uint64_t address = request.payload.memory.addr;
    if (size > most || size > memory_size_ || address > memory_size_ - size) {
        pending->response.status = SST_STATUS_INVALID;
        return answer(*pending);
    }
    for (uint64_t done = 0; done < size;) {
        const uint64_t offset = address % kPage;
        const uint64_t length = std::min(kPage - offset, size - done);
        auto page = memory_.find(address / kPage);
        if (write) {
            if (page == memory_.end())
                page = memory_.emplace(address / kPage, std::vector<uint8_t>(kPage)).first;
            std::memcpy(page->second.data() + offset, request.payload.data + kWriteOffset + done,
                        length);
        } else if (page != memory_.end()) {
            std::memcpy(pending->response.payload.data + done, page->second.data() + offset,
                        length);
        }
        done += length;
        address += length;
    }
    pending->response.result = size;
    later(std::move(pending), memory_latency_);
}

void VirtIODevice::later(std::unique_ptr<Pending> pending, uint64_t delay) {
    const uint64_t id = ++ids_;
    pending_[id] = std::move(pending);
    self_->send(delay, new ComputeDone(id, 0, true));
}

void VirtIODevice::handle_own(SST::Event* event) {
    const std::unique_ptr<ComputeDone> done(static_cast<ComputeDone*>(event));
    const auto found = pending_.find(done->id);
    if (found == pending_.end()) return;
    answer(*found->second);
    pending_.erase(found);
}

void VirtIODevice::handle_compute(SST::Event* event) {
    const std::unique_ptr<ComputeDone> done(static_cast<ComputeDone*>(event));
    const auto found = pending_.find(done->id);
    if (found == pending_.end()) return;
    SSTResponse& response = found->second->response;
    response.status = done->valid ? SST_STATUS_OK : SST_STATUS_INVALID;
    response.result = done->cycles;
    response.payload.compute.cycles = done->cycles;
    response.payload.compute.timestamp = now() / period_;
    answer(*found->second);
    pending_.erase(found);
}

void VirtIODevice::answer(const Pending& pending) {
    if (pending.response.status == SST_STATUS_INVALID) invalid_->addData(1);
    const sst_timing timing{(now() - pending.arrived) / 1000, now() / 1000};
    latency_->addData(timing.latency);
    bridge_->answer(pending.asked, pending.response, timing);
}

}  // namespace mimic_sst
