// SPDX-License-Identifier: Apache-2.0
#include "dra/agent/metrics.h"

#include <functional>
#include <map>

#include <fmt/format.h>

namespace mimic::dra {
namespace {

constexpr std::array kMetrics = {
    AgentMetric{"mimic_dra_calls_total", "counter", "driver, method", "Calls of the kubelet."},
    AgentMetric{"mimic_dra_call_duration_seconds", "histogram", "driver, method",
                "How long calls of the kubelet took, with all of their claims."},
    AgentMetric{"mimic_dra_calls_inflight", "gauge", "driver, method",
                "Calls that are under way now."},
    AgentMetric{"mimic_dra_claims_total", "counter", "driver, method",
                "Claims in calls of the kubelet."},
    AgentMetric{"mimic_dra_claim_errors_total", "counter", "driver, method",
                "Claims that were answered with an error."},
    AgentMetric{"mimic_dra_prepared_claims", "gauge", "driver",
                "Claims that the checkpoint holds now."},
    AgentMetric{"mimic_dra_prepared_devices", "gauge", "driver", "Devices of these claims."},
    AgentMetric{"mimic_dra_devices", "gauge", "driver, health (healthy, unhealthy, unknown)",
                "Devices of the node."},
    AgentMetric{"mimic_dra_registered", "gauge", "driver",
                "Whether the kubelet took the driver when it asked last."},
    AgentMetric{"mimic_dra_registration_errors_total", "counter", "driver",
                "Times that the kubelet refused the driver."},
    AgentMetric{"mimic_dra_health_streams", "gauge", "driver", "Health streams that are open."},
    AgentMetric{"mimic_dra_stale_claims_total", "counter", "driver",
                "Claims that were gone from the API server without being unprepared, and were "
                "undone."},
    AgentMetric{"mimic_dra_cleanup_errors_total", "counter", "driver",
                "Searches for stale claims that failed."},
    AgentMetric{"mimic_dra_scans_total", "counter", "driver", "Times that sysfs was looked at."},
    AgentMetric{"mimic_dra_slices", "gauge", "driver", "ResourceSlices of the node."},
    AgentMetric{"mimic_dra_slices_settled", "gauge", "driver",
                "Whether they say what the node has."},
    AgentMetric{"mimic_dra_slice_writes_total", "counter", "driver",
                "Slices that were created, updated or deleted."},
    AgentMetric{"mimic_dra_slice_conflicts_total", "counter", "driver",
                "Writes that were refused since somebody else had written."},
    AgentMetric{"mimic_dra_slice_errors_total", "counter", "driver",
                "Requests about slices that failed otherwise."},
    AgentMetric{"mimic_dra_slice_foreign_changes_total", "counter", "driver",
                "Changes of slices by somebody else."},
    AgentMetric{"mimic_dra_slice_sync_seconds", "gauge", "driver",
                "How long it took until the slices said what had changed last."},
};

using Lines = std::map<std::string_view, std::string>;

std::string_view method_name(Method method) {
    return method == Method::kPrepare ? "prepare" : "unprepare";
}

class Writer {
public:
    Writer(Lines& lines, const std::string& driver) : lines_(lines), driver_(driver) {}

    template <typename Value>
    void add(std::string_view family, Value value, std::string_view more = "",
             std::string_view suffix = "") {
        lines_[family] += fmt::format("{}{}{{driver=\"{}\"{}{}}} {}\n", family, suffix, driver_,
                                      more.empty() ? "" : ",", more, value);
    }

private:
    Lines& lines_;
    const std::string& driver_;
};

void add_calls(Writer& out, const CallCounters& calls, Method method) {
    const auto& of = calls.of(method);
    const auto label = fmt::format("method=\"{}\"", method_name(method));
    constexpr std::string_view kDuration = "mimic_dra_call_duration_seconds";
    out.add("mimic_dra_calls_total", of.calls.load(), label);
    uint64_t below = 0;
    for (size_t i = 0; i < CallCounters::kBuckets.size(); ++i) {
        below += of.buckets[i];
        out.add(kDuration, below, fmt::format("{},le=\"{}\"", label, CallCounters::kBuckets[i]),
                "_bucket");
    }
    out.add(kDuration, of.calls.load(), label + ",le=\"+Inf\"", "_bucket");
    out.add(kDuration, static_cast<double>(of.nanoseconds) / 1e9, label, "_sum");
    out.add(kDuration, of.calls.load(), label, "_count");
    out.add("mimic_dra_calls_inflight", of.inflight.load(), label);
    out.add("mimic_dra_claims_total", of.claims.load(), label);
    out.add("mimic_dra_claim_errors_total", of.errors.load(), label);
}

void add_driver(Lines& lines, const AgentFigures& f) {
    Writer out(lines, f.driver);
    add_calls(out, *f.calls, Method::kPrepare);
    add_calls(out, *f.calls, Method::kUnprepare);
    out.add("mimic_dra_prepared_claims", f.prepared_claims);
    out.add("mimic_dra_prepared_devices", f.prepared_devices);
    out.add("mimic_dra_devices", f.devices_healthy, "health=\"healthy\"");
    out.add("mimic_dra_devices", f.devices_unhealthy, "health=\"unhealthy\"");
    out.add("mimic_dra_devices", f.devices_unknown, "health=\"unknown\"");
    out.add("mimic_dra_registered", f.registered ? 1 : 0);
    out.add("mimic_dra_registration_errors_total", f.registration_errors);
    out.add("mimic_dra_health_streams", f.health_streams);
    out.add("mimic_dra_stale_claims_total", f.stale_claims);
    out.add("mimic_dra_cleanup_errors_total", f.cleanup_errors);
    out.add("mimic_dra_scans_total", f.scans);
    out.add("mimic_dra_slices", f.slices);
    out.add("mimic_dra_slices_settled", f.slices_settled ? 1 : 0);
    out.add("mimic_dra_slice_writes_total", f.slice_writes);
    out.add("mimic_dra_slice_conflicts_total", f.slice_conflicts);
    out.add("mimic_dra_slice_errors_total", f.slice_errors);
    out.add("mimic_dra_slice_foreign_changes_total", f.slice_foreign_changes);
    out.add("mimic_dra_slice_sync_seconds", f.slice_sync_seconds);
}

}  // namespace

std::span<const AgentMetric> agent_metrics() {
    return kMetrics;
}

void CallCounters::begin(Method method) {
    ++of_[static_cast<size_t>(method)].inflight;
}

void CallCounters::end(Method method, std::chrono::nanoseconds took, size_t claims, size_t errors) {
    auto& of = of_[static_cast<size_t>(method)];
    --of.inflight;
    ++of.calls;
    of.claims += claims;
    of.errors += errors;
    of.nanoseconds += static_cast<uint64_t>(took.count());
    const double seconds = std::chrono::duration<double>(took).count();
    for (size_t i = 0; i < kBuckets.size(); ++i) {
        if (seconds > kBuckets[i]) continue;
        ++of.buckets[i];
        break;
    }
}

std::string metrics_text(std::span<const AgentFigures> drivers) {
    Lines lines;
    for (const auto& driver : drivers) add_driver(lines, driver);
    std::string out;
    for (const auto& metric : kMetrics)
        out += fmt::format("# HELP {} {}\n# TYPE {} {}\n{}", metric.name, metric.help, metric.name,
                           metric.type, lines[metric.name]);
    return out;
}

}  // namespace mimic::dra
