// SPDX-License-Identifier: Apache-2.0
#include "mediator/control/mediator_metrics.h"

namespace mimic::mediator {
namespace {

using service::MetricLabels;
using service::Metrics;

double from_ns(uint64_t nanoseconds) {
    return static_cast<double>(nanoseconds) / 1e9;
}

uint64_t whole_us(Duration duration) {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

// The last bucket of the engine has everything, which is what "+Inf" says.
void add_histogram(Metrics& metrics, std::string_view family, const MetricLabels& labels,
                   const Histogram& histogram) {
    if (histogram.count == 0) return;
    std::array<double, Histogram::kBuckets - 1> bounds{};
    std::array<uint64_t, Histogram::kBuckets - 1> counts{};
    uint64_t below = 0;
    for (size_t i = 0; i < bounds.size(); ++i) {
        below += histogram.buckets[i];
        bounds[i] = 1e-6 * static_cast<double>(uint64_t{1} << i);
        counts[i] = below;
    }
    metrics.add_histogram(family, labels, bounds, counts, from_ns(histogram.sum_ns),
                          histogram.count);
}

void add_vm(Metrics& metrics, const VmStatus& vm) {
    const MetricLabels label{{"vm", std::to_string(vm.id)}};
    const auto& counters = vm.counters;
    metrics.add("mimic_mediator_vm_requests_total", label, counters.submitted);
    metrics.add("mimic_mediator_vm_errors_total", label, counters.errors);
    const std::pair<const char*, uint64_t> reasons[] = {
        {"rate", counters.rejected_rate},
        {"depth", counters.rejected_depth},
        {"quarantine", counters.rejected_quarantine},
        {"denied", counters.rejected_denied}};
    for (const auto& [reason, count] : reasons)
        metrics.add("mimic_mediator_vm_rejected_total", {label[0], {"reason", reason}}, count);
    metrics.add("mimic_mediator_vm_timeouts_total", label, counters.timeouts);
    metrics.add("mimic_mediator_vm_faults_total", label, counters.faults);
    metrics.add_real("mimic_mediator_vm_service_seconds_total", label,
                     from_ns(counters.service_ns));
    metrics.add("mimic_mediator_vm_queue_depth", label, vm.waiting);
    metrics.add("mimic_mediator_vm_running", label, vm.running);
    metrics.add("mimic_mediator_vm_connections", label, vm.connections);
    metrics.add("mimic_mediator_vm_memory_bytes", label, vm.memory_used);
    metrics.add("mimic_mediator_vm_weight", label, vm.weight);
    metrics.add("mimic_mediator_vm_quarantined", label, vm.quarantined ? 1 : 0);
    const MetricLabels with_class{
        label[0], {"pool", std::string(1, vm.pool)}, {"class", std::string(word(vm.priority))}};
    add_histogram(metrics, "mimic_mediator_vm_latency_seconds", with_class, vm.latency);
    add_histogram(metrics, "mimic_mediator_vm_execution_seconds", with_class, vm.execution);
}

// By the names of the public mediator.
void add_public(Metrics& metrics, const Snapshot& snapshot) {
    uint64_t jobs = 0, errors = 0, refused = 0, switches = 0, restarts = 0;
    for (const auto& vm : snapshot.status.vms) {
        const MetricLabels label{{"vm_id", std::to_string(vm.id)}};
        metrics.add("vgpu_vm_jobs_total", label, vm.counters.done);
        metrics.add("vgpu_vm_latency_p95_us", label, whole_us(vm.latency.percentile(0.95)));
        metrics.add("vgpu_vm_latency_p99_us", label, whole_us(vm.latency.percentile(0.99)));
        jobs += vm.counters.done;
        errors += vm.counters.errors;
        refused += vm.counters.rejected();
    }
    for (const auto& pool : snapshot.status.pools) {
        switches += pool.switches;
        for (const auto& backend : pool.backends) restarts += backend.restarts;
    }
    metrics.add("vgpu_jobs_total", {}, jobs);
    metrics.add("vgpu_errors_total", {}, errors);
    metrics.add("vgpu_rejected_total", {}, refused);
    metrics.add("vgpu_context_switches_total", {}, switches);
    metrics.add("vgpu_gpu_resets_total", {}, restarts);
}

void add_pool(Metrics& metrics, const PoolStatus& pool) {
    const MetricLabels label{{"pool", std::string(1, pool.id)}};
    metrics.add("mimic_mediator_pool_queue_depth", label, pool.waiting);
    metrics.add_real("mimic_mediator_pool_fairness", label, pool.fairness);
    metrics.add_real("mimic_mediator_pool_busy_seconds_total", label, from_ns(pool.busy_ns));
    metrics.add("mimic_mediator_pool_switches_total", label, pool.switches);
    for (const auto& backend : pool.backends) {
        const MetricLabels both{label[0], {"backend", backend.name}};
        metrics.add("mimic_mediator_backend_ready", both, backend.ready ? 1 : 0);
        metrics.add("mimic_mediator_backend_jobs_total", both, backend.jobs);
        metrics.add("mimic_mediator_backend_restarts_total", both, backend.restarts);
        metrics.add("mimic_mediator_backend_memory_bytes", both, backend.memory_used);
        metrics.add("mimic_mediator_backend_memory_limit_bytes", both, backend.memory_bytes);
    }
}

void add_sockets(Metrics& metrics, const ServerCounters& counters) {
    metrics.add("mimic_mediator_sockets_open", {}, counters.open);
    metrics.add("mimic_mediator_sockets_held_bytes", {}, counters.held_bytes);
    const std::pair<const char*, uint64_t> kinds[] = {{"connections", counters.connections},
                                                      {"refused", counters.refused},
                                                      {"evicted", counters.evicted},
                                                      {"denied", counters.denied},
                                                      {"requests", counters.requests},
                                                      {"answers", counters.answers},
                                                      {"dropped", counters.dropped},
                                                      {"malformed", counters.malformed},
                                                      {"slow", counters.slow},
                                                      {"unread", counters.unread}};
    for (const auto& [kind, count] : kinds)
        metrics.add("mimic_mediator_sockets_total", {{"kind", kind}}, count);
}

}  // namespace

void add_mediator_metrics(Metrics& metrics, const Snapshot& snapshot) {
    add_public(metrics, snapshot);
    metrics.add("mimic_mediator_draining", {}, snapshot.status.draining ? 1 : 0);
    metrics.add_real("mimic_mediator_uptime_seconds", {}, from_ns(snapshot.status.uptime_ns));
    for (const auto& vm : snapshot.status.vms) add_vm(metrics, vm);
    for (const auto& pool : snapshot.status.pools) add_pool(metrics, pool);
    add_sockets(metrics, snapshot.sockets);
    metrics.add("mimic_mediator_audit_lines_total", {{"state", "written"}}, snapshot.audit.written);
    metrics.add("mimic_mediator_audit_lines_total", {{"state", "dropped"}}, snapshot.audit.dropped);
}

}  // namespace mimic::mediator
