// SPDX-License-Identifier: Apache-2.0
// What tools see of the device, what they break, and how its state is put back.
#include <array>
#include <string>

#include "base/log.h"
#include "devices/virtio_sst/virtio_sst.h"

namespace mimic::virtio_sst {
namespace {

constexpr uint16_t kMostQueues = 1 + 2 * SST_MAX_QUEUE_PAIRS;

/// Names of the counters of a queue; they live as long as the program.
struct QueueNames {
    std::string popped;
    std::string kicks;
    std::string interrupts;
};

const std::array<QueueNames, kMostQueues>& queue_names() {
    static const auto kNames = [] {
        std::array<QueueNames, kMostQueues> names;
        for (size_t i = 0; i < names.size(); ++i) {
            const std::string queue = "model_queue" + std::to_string(i);
            names[i] = {queue + "_buffers", queue + "_kicks", queue + "_interrupts"};
        }
        return names;
    }();
    return kNames;
}

}  // namespace

const reg::BankCore& VirtioSst::registers() const {
    show_counts();
    return bank_;
}

std::vector<virtio::RegisterBlock> VirtioSst::register_blocks() const {
    return {{"virtio_sst", &registers()}};
}

// Nothing asks for the numbers while requests run: they are put where tools look when tools look.
void VirtioSst::show_counts() const {
    bank_.set_value<IN_FLIGHT>(requests_.size());
    bank_.set_value<REQUESTS>(counts_.requests);
    bank_.set_value<RESPONSES>(counts_.responses);
    bank_.set_value<ERRORS>(counts_.errors);
    bank_.set_value<EVENTS>(counts_.events);
    bank_.set_value<EVENTS_DROPPED>(counts_.events_dropped);
}

std::vector<virtio::Counter> VirtioSst::counters() const {
    std::vector<virtio::Counter> out = {
        {"model_requests", counts_.requests},     {"model_responses", counts_.responses},
        {"model_request_errors", counts_.errors}, {"in_flight", requests_.size()},
        {"model_events", counts_.events},         {"model_events_dropped", counts_.events_dropped}};
    const sim::Simulator::Counters simulator = simulator_ == nullptr ? sim::Simulator::Counters()
                                                                     : simulator_->counters();
    out.push_back({"model_simulator_timeouts", simulator.timeouts + counts_.timeouts});
    out.push_back({"model_simulator_late", simulator.late + counts_.late});
    out.push_back({"model_simulator_unknown", simulator.unknown + counts_.unknown});
    out.push_back({"model_simulator_lost", simulator.lost + counts_.lost});
    out.push_back({"model_simulator_connections", simulator.connections});
    for (uint16_t i = 0; i < queue_count(); ++i) {
        const virtio::Queue::Counters& counts = queue(i).counters();
        out.push_back({queue_names()[i].popped.c_str(), counts.popped});
        out.push_back({queue_names()[i].kicks.c_str(), counts.kicks});
        out.push_back({queue_names()[i].interrupts.c_str(), counts.interrupts});
    }
    return out;
}

// The simulator is dead by a fault, or back.
void VirtioSst::backend_changed() {
    virtio::BackendFaults* const faults = backend_faults();
    if (simulator_ == nullptr || faults == nullptr) return;
    const Turn turn(*this);
    if (!faults->is_dead()) return send_notice(SST_NOTICE_SIMULATOR_READY);
    const std::vector<uint64_t> ids = requests_.ids();
    counts_.lost += ids.size();
    for (const uint64_t id : ids) answer_with(id, SST_STATUS_NO_DEVICE);
    send_error(SST_ERROR_SIMULATOR_LOST, 0);
}

Status VirtioSst::restore_registers(std::span<const reg::Snapshot> snapshots) {
    if (snapshots.size() != 1)
        return fail(std::errc::invalid_argument, "{}: one block of registers", name());
    return restore(snapshots.front());
}

Status VirtioSst::restore(const reg::Snapshot& snapshot) {
    const auto in_flight = snapshot.values.find("IN_FLIGHT");
    if (in_flight != snapshot.values.end() && in_flight->second != 0) {
        return fail(std::errc::not_supported,
                    "{}: it had {} requests in flight, which no register tells of", name(),
                    in_flight->second);
    }
    MIMIC_TRY(bank_.restore(snapshot));
    counts_.requests = bank_.value<REQUESTS>();
    counts_.responses = bank_.value<RESPONSES>();
    counts_.errors = bank_.value<ERRORS>();
    counts_.events = bank_.value<EVENTS>();
    counts_.events_dropped = bank_.value<EVENTS_DROPPED>();
    for (uint32_t i = 0; simulator_ != nullptr && i < kParameters; ++i) {
        if ((bank_.value<PARAMETERS_SET>() >> i & 1) == 0) continue;
        SSTRequest request{};
        request.type = SST_REQ_CONFIGURE;
        request.request_id = ~uint64_t{i};  // no id of the table
        request.payload.config.param_id = i + 1;
        request.payload.config.value = bank_.value<PARAMETER>(i);
        simulator_->submit(request, 0, [name = name(), i](const sim::Answer& answer) {
            if (answer.response.status == SST_STATUS_OK) return;
            MIMIC_LOG("sst", kWarn, "{}: the simulator refuses parameter {} of the saved state",
                      name, i + 1);
        });
    }
    return {};
}

}  // namespace mimic::virtio_sst
