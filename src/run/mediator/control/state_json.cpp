// SPDX-License-Identifier: Apache-2.0
#include "mediator/control/state_json.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "mediator/config/keys.h"
#include "mediator/config/parse.h"
#include "service/router.h"

namespace mimic::mediator {
namespace {

using Json = nlohmann::ordered_json;

double seconds(Duration duration) {
    return std::chrono::duration<double>(duration).count();
}

double microseconds(Duration duration) {
    return std::chrono::duration<double, std::micro>(duration).count();
}

Json histogram_json(const Histogram& histogram) {
    const double mean = histogram.count == 0 ? 0
                                             : static_cast<double>(histogram.sum_ns) / 1e3 /
                                                   static_cast<double>(histogram.count);
    return {{"count", histogram.count},
            {"mean_us", mean},
            {"p50_us", microseconds(histogram.percentile(0.5))},
            {"p95_us", microseconds(histogram.percentile(0.95))},
            {"p99_us", microseconds(histogram.percentile(0.99))}};
}

Json limits_json(const Limits& limits) {
    return {{"rate", limits.rate},
            {"burst", limits.burst},
            {"queue_depth", limits.queue_depth},
            {"memory_bytes", limits.memory_bytes},
            {"parallel", limits.parallel},
            {"job_timeout_s", seconds(limits.job_timeout)}};
}

Json counters_json(const VmCounters& counters) {
    return {{"submitted", counters.submitted},
            {"done", counters.done},
            {"errors", counters.errors},
            {"rejected_rate", counters.rejected_rate},
            {"rejected_depth", counters.rejected_depth},
            {"rejected_quarantine", counters.rejected_quarantine},
            {"rejected_denied", counters.rejected_denied},
            {"timeouts", counters.timeouts},
            {"faults", counters.faults},
            {"service_ns", counters.service_ns}};
}

Json sockets_json(const ServerCounters& counters) {
    return {{"connections", counters.connections},
            {"open", counters.open},
            {"held_bytes", counters.held_bytes},
            {"refused", counters.refused},
            {"evicted", counters.evicted},
            {"denied", counters.denied},
            {"requests", counters.requests},
            {"answers", counters.answers},
            {"dropped", counters.dropped},
            {"malformed", counters.malformed},
            {"slow", counters.slow},
            {"unread", counters.unread}};
}

// A number of a request's body; false if it is none that fits.
bool take(const Json& value, double& place) {
    if (!value.is_number()) return false;
    place = value.get<double>();
    return std::isfinite(place);
}
template <typename T>
bool take(const Json& value, T& place) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > std::numeric_limits<T>::max())
        return false;
    place = value.get<T>();
    return true;
}

bool take_limit(const std::string& key, const Json& value, Limits& limits) {
    if (key == "rate") return take(value, limits.rate);
    if (key == "burst") return take(value, limits.burst);
    if (key == "queue_depth") return take(value, limits.queue_depth);
    if (key == "memory_bytes") return take(value, limits.memory_bytes);
    if (key == "parallel") return take(value, limits.parallel);
    double timeout = 0;  // job_timeout_s
    if (!take(value, timeout) || timeout < 0 || timeout > seconds(kLongestSetting)) return false;
    limits.job_timeout = std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(timeout));
    return true;
}

}  // namespace

std::string_view word(Priority priority) {
    return kPriorities[std::min<size_t>(static_cast<size_t>(priority), kPriorities.size() - 1)];
}

std::string_view word(RuleName rule) {
    return kRules[static_cast<size_t>(rule)];
}

Json vm_json(const VmStatus& vm) {
    Json json = {{"id", vm.id},
                 {"pool", std::string(1, vm.pool)},
                 {"priority", word(vm.priority)},
                 {"weight", vm.weight},
                 {"limits", limits_json(vm.limits)},
                 {"connections", vm.connections},
                 {"waiting", vm.waiting},
                 {"running", vm.running},
                 {"quarantine", nullptr},
                 {"memory_bytes", vm.memory_used},
                 {"counters", counters_json(vm.counters)},
                 {"latency", histogram_json(vm.latency)},
                 {"execution", histogram_json(vm.execution)}};
    if (vm.quarantined) {
        json["quarantine"] = {{"reason", vm.quarantine_reason}, {"release_in_s", nullptr}};
        if (vm.quarantine_left > Duration::zero())
            json["quarantine"]["release_in_s"] = seconds(vm.quarantine_left);
    }
    return json;
}

Json pool_json(const PoolStatus& pool) {
    Json backends = Json::array();
    for (const auto& state : pool.backends) {
        backends.push_back({{"name", state.name},
                            {"ready", state.ready},
                            {"what", state.what},
                            {"pid", state.pid},
                            {"restarts", state.restarts},
                            {"jobs", state.jobs},
                            {"memory_used_bytes", state.memory_used},
                            {"memory_bytes", state.memory_bytes}});
    }
    return {{"id", std::string(1, pool.id)},   {"waiting", pool.waiting},
            {"backends", std::move(backends)}, {"vms", pool.vms},
            {"busy_ns", pool.busy_ns},         {"fairness", pool.fairness},
            {"switches", pool.switches}};
}

Json status_json(const Snapshot& snapshot) {
    const auto& status = snapshot.status;
    uint64_t quarantined = 0, connections = 0, waiting = 0, running = 0;
    uint64_t done = 0, errors = 0, rejected = 0;
    for (const auto& vm : status.vms) {
        quarantined += vm.quarantined ? 1 : 0;
        connections += vm.connections;
        waiting += vm.waiting;
        running += vm.running;
        done += vm.counters.done;
        errors += vm.counters.errors;
        rejected += vm.counters.rejected();
    }
    Json pools = Json::array();
    for (const auto& pool : status.pools) pools.push_back(pool_json(pool));
    return {{"uptime_s", static_cast<double>(status.uptime_ns) / 1e9},
            {"rule", word(snapshot.config.rule)},
            {"strict_classes", snapshot.config.strict_classes},
            {"socket", snapshot.config.socket},
            {"vm_sockets", snapshot.config.vm_sockets},
            {"draining", status.draining},
            {"drained", snapshot.drained},
            {"vms", status.vms.size()},
            {"quarantined", quarantined},
            {"connections", connections},
            {"waiting", waiting},
            {"running", running},
            {"jobs", done},
            {"errors", errors},
            {"rejected", rejected},
            {"pools", std::move(pools)},
            {"sockets", sockets_json(snapshot.sockets)},
            {"audit", {{"written", snapshot.audit.written}, {"dropped", snapshot.audit.dropped}}}};
}

service::ApiResult<Limits> merge_limits(Limits limits, const Json& json) {
    if (!json.is_object()) return service::bad_request("limits is no object");
    const std::vector<std::string> known = {"rate",         "burst",    "queue_depth",
                                            "memory_bytes", "parallel", "job_timeout_s"};
    if (auto only = service::only_members(json, known); !only)
        return tl::unexpected(std::move(only).error());
    for (const auto& [key, value] : json.items())
        if (!take_limit(key, value, limits))
            return service::bad_request(fmt::format("{} is no number that fits", key));
    if (auto problem = find_problem(limits); !problem.empty())
        return service::bad_request(std::move(problem));
    return limits;
}

}  // namespace mimic::mediator
