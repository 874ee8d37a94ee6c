// SPDX-License-Identifier: Apache-2.0
// GET /metrics of a device host, and what all processes say there.
#include <algorithm>

#include "control/routes.h"
#include "control/trace_target.h"
#include "service/metrics.h"
#include "service/process_routes.h"

namespace mimic::control {
namespace {

// One sample for each counter: which of TargetInfo::counters, where to, with which labels.
struct CounterSample {
    std::string_view counter;
    const char* family;
    service::MetricLabels labels;
};

const std::vector<CounterSample>& counter_samples() {
    static const std::vector<CounterSample> kSamples{
        {"config_reads",
         "mimic_device_accesses_total",
         {{"space", "config"}, {"direction", "read"}}},
        {"config_writes",
         "mimic_device_accesses_total",
         {{"space", "config"}, {"direction", "write"}}},
        {"bar_reads", "mimic_device_accesses_total", {{"space", "bar"}, {"direction", "read"}}},
        {"bar_writes", "mimic_device_accesses_total", {{"space", "bar"}, {"direction", "write"}}},
        {"interrupts", "mimic_device_interrupts_total", {}},
        {"dma_reads", "mimic_device_dma_operations_total", {{"direction", "read"}}},
        {"dma_writes", "mimic_device_dma_operations_total", {{"direction", "write"}}},
        {"dma_read_bytes", "mimic_device_dma_bytes_total", {{"direction", "read"}}},
        {"dma_write_bytes", "mimic_device_dma_bytes_total", {{"direction", "write"}}},
        {"virtio_kicks", "mimic_device_virtio_kicks_total", {}},
        {"virtio_buffers_taken", "mimic_device_virtio_buffers_total", {{"direction", "taken"}}},
        {"virtio_buffers_returned",
         "mimic_device_virtio_buffers_total",
         {{"direction", "returned"}}},
        {"errors", "mimic_device_errors_total", {}},
        {"fabric_config_reads",
         "mimic_fabric_accesses_total",
         {{"space", "config"}, {"direction", "read"}}},
        {"fabric_config_writes",
         "mimic_fabric_accesses_total",
         {{"space", "config"}, {"direction", "write"}}},
        {"fabric_memory_reads",
         "mimic_fabric_accesses_total",
         {{"space", "memory"}, {"direction", "read"}}},
        {"fabric_memory_writes",
         "mimic_fabric_accesses_total",
         {{"space", "memory"}, {"direction", "write"}}},
        {"fabric_unsupported", "mimic_fabric_unsupported_requests_total", {}},
        {"fabric_messages", "mimic_fabric_messages_total", {}},
        {"fabric_dropped_messages", "mimic_fabric_dropped_messages_total", {}},
        {"fabric_errors", "mimic_fabric_errors_total", {}},
        {"fabric_peer_to_peer", "mimic_fabric_peer_to_peer_total", {}},
        {"session_connections", "mimic_session_connections_total", {}},
        {"session_messages", "mimic_session_messages_total", {}},
        {"session_errors", "mimic_session_errors_total", {}},
        {"session_protocol_faults", "mimic_session_protocol_faults_total", {}},
    };
    return kSamples;
}

void add_device(service::Metrics& metrics, const std::string& machine, const TargetInfo& info) {
    const service::MetricLabels device{{"machine", machine}, {"device", info.name}};
    const auto with = [&device](const service::MetricLabels& more) {
        service::MetricLabels labels = device;
        labels.insert(labels.end(), more.begin(), more.end());
        return labels;
    };
    metrics.add("mimic_device_connected", device, info.connected ? 1 : 0);
    for (const auto& sample : counter_samples()) {
        const auto found = std::find_if(
            info.counters.begin(), info.counters.end(),
            [&sample](const auto& counter) { return sample.counter == counter.first; });
        if (found != info.counters.end())
            metrics.add(sample.family, with(sample.labels), found->second);
    }
    constexpr std::string_view kModel = "model_";
    for (const auto& [name, value] : info.counters) {
        const std::string_view counter = name;
        if (!counter.starts_with(kModel)) continue;
        metrics.add("mimic_device_model_total",
                    with({{"counter", std::string(counter.substr(kModel.size()))}}), value);
    }
    if (info.vfs) metrics.add("mimic_device_vfs", device, *info.vfs);
    metrics.add("mimic_device_faults", with({{"state", "armed"}}), info.faults.armed);
    metrics.add("mimic_device_faults", with({{"state", "active"}}), info.faults.active);
    metrics.add("mimic_device_faults_struck_total", device, info.faults.struck);
}

// What one loop says.
struct LoopSample {
    std::vector<TargetInfo> infos;
    std::optional<TraceStatus> trace;
};

LoopSample sample(TargetGroup& group) {
    LoopSample sample{.infos = group.infos(), .trace = std::nullopt};
    if (const TraceTarget* const trace = group.trace()) sample.trace = trace->status();
    return sample;
}

// By loop: the sum of those that answer would go back while one is busy.
void add_trace(service::Metrics& metrics, size_t loop, const TraceStatus& status) {
    const service::MetricLabels labels{{"loop", std::to_string(loop)}};
    metrics.add("mimic_trace_events_total", labels, status.recorded_total);
    metrics.add("mimic_trace_overwritten_total", labels, status.overwritten_total);
    metrics.add("mimic_trace_buffer_bytes", labels,
                status.settings.enabled ? status.settings.buffer_bytes : 0);
}

}  // namespace

void add_metric_routes(service::Router& router, Targets& targets,
                       service::ProcessContext& process) {
    router.add({"GET", "/metrics"},
               [&](const service::HttpRequest& /*request*/, const service::PathNames&) {
                   service::Metrics metrics;
                   add_control_metrics(metrics, process);
                   uint64_t busy = 0;
                   const auto samples = targets.each<LoopSample>(&sample);
                   for (size_t loop = 0; loop < samples.size(); ++loop) {
                       if (!samples[loop]) {
                           ++busy;
                           continue;
                       }
                       for (const auto& info : samples[loop]->infos)
                           add_device(metrics, process.machine, info);
                       if (samples[loop]->trace) add_trace(metrics, loop, *samples[loop]->trace);
                   }
                   metrics.add("mimic_trace_dumps_total", {}, process.trace_dumps);
                   metrics.add("mimic_loops", {}, targets.groups().size());
                   metrics.add("mimic_loops_busy", {}, busy);
                   return metrics_answer(metrics);
               });
}

}  // namespace mimic::control
