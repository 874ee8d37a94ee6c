// SPDX-License-Identifier: Apache-2.0
#include "commands/mediator_tables.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/text_table.h"
#include "commands/terminal_text.h"
#include "service/peer_json.h"
#include "yaml/scalars.h"

namespace mimic::commands {
namespace {

using Json = nlohmann::ordered_json;
using Rows = std::vector<std::vector<std::string>>;

const Json& member(const Json& json, const char* key) {
    static const Json kNull;
    const Json* const found = service::find_member(json, key);
    return found == nullptr ? kNull : *found;
}

uint64_t number(const Json& json, const char* key) {
    return service::uint_member(json, key).value_or(0);
}

double real(const Json& json, const char* key) {
    const Json& value = member(json, key);
    return value.is_number() ? value.get<double>() : 0;
}

std::string text(const Json& json, const char* key) {
    return terminal_text(service::string_member(json, key));
}

std::vector<Json> items(const Json& json, const char* key) {
    const Json& list = member(json, key);
    return list.is_array() ? std::vector<Json>(list.begin(), list.end()) : std::vector<Json>();
}

// "87 us", "1.5 ms", "2.0 s".
std::string time_text(double us) {
    if (us < 1e3) return fmt::format("{:.0f} us", us);
    if (us < 1e6) return fmt::format("{:.1f} ms", us / 1e3);
    return fmt::format("{:.1f} s", us / 1e6);
}

uint64_t rejected(const Json& counters) {
    return number(counters, "rejected_rate") + number(counters, "rejected_depth") +
           number(counters, "rejected_quarantine") + number(counters, "rejected_denied");
}

std::string state_of_vm(const Json& vm) {
    const Json& quarantine = member(vm, "quarantine");
    if (quarantine.is_object()) return "quarantined: " + text(quarantine, "reason");
    return number(vm, "connections") != 0 ? "connected" : "away";
}

}  // namespace

std::string mediator_status_text(const Json& status) {
    Rows rows = {{"mediator", fmt::format("{} (pid {}, up {:.0f} s{})", text(status, "name"),
                                          number(status, "pid"), real(status, "uptime_s"),
                                          member(status, "drained") == true    ? ", drained"
                                          : member(status, "draining") == true ? ", draining"
                                                                               : "")},
                 {"rule", text(status, "rule") +
                              (member(status, "strict_classes") == true ? ", strict classes" : "")},
                 {"socket", text(status, "socket")}};
    if (!text(status, "vm_sockets").empty())
        rows.push_back({"sockets of VMs", text(status, "vm_sockets")});
    rows.push_back({"VMs", fmt::format("{}, {}, {} quarantined", number(status, "vms"),
                                       counted(number(status, "connections"), "connection"),
                                       number(status, "quarantined"))});
    rows.push_back({"jobs", fmt::format("{} done, {} failed, {} rejected, {} waiting, {} running",
                                        number(status, "jobs"), number(status, "errors"),
                                        number(status, "rejected"), number(status, "waiting"),
                                        number(status, "running"))});
    return text_table(rows) + "\n" + mediator_pools_table(status);
}

std::string mediator_vms_table(const Json& answer) {
    const auto vms = items(answer, "vms");
    std::map<std::string, double> of_pool;
    for (const Json& vm : vms)
        of_pool[text(vm, "pool")] += real(member(vm, "counters"), "service_ns");
    Rows rows = {{"VM", "POOL", "CLASS", "WEIGHT", "SHARE", "WAIT", "RUN", "DONE", "ERRORS",
                  "REJECTED", "P50", "P99", "MEMORY", "STATE"}};
    for (const Json& vm : vms) {
        const Json& counters = member(vm, "counters");
        const Json& latency = member(vm, "latency");
        const double all = of_pool[text(vm, "pool")];
        const double share = all == 0 ? 0 : real(counters, "service_ns") / all;
        rows.push_back(
            {std::to_string(number(vm, "id")), text(vm, "pool"), text(vm, "priority"),
             std::to_string(number(vm, "weight")), fmt::format("{:.1f}%", 100 * share),
             std::to_string(number(vm, "waiting")), std::to_string(number(vm, "running")),
             std::to_string(number(counters, "done")), std::to_string(number(counters, "errors")),
             std::to_string(rejected(counters)), time_text(real(latency, "p50_us")),
             time_text(real(latency, "p99_us")), yaml::format_size(number(vm, "memory_bytes")),
             state_of_vm(vm)});
    }
    return text_table(rows, {0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
}

std::string mediator_pools_table(const Json& answer) {
    Rows rows = {{"POOL", "BACKEND", "WHAT", "STATE", "PID", "JOBS", "RESTARTS", "MEMORY",
                  "WAITING", "FAIRNESS"}};
    for (const Json& pool : items(answer, "pools")) {
        for (const Json& backend : items(pool, "backends"))
            rows.push_back(
                {text(pool, "id"), text(backend, "name"), text(backend, "what"),
                 member(backend, "ready") == true ? "ready" : "not ready",
                 std::to_string(number(backend, "pid")), std::to_string(number(backend, "jobs")),
                 std::to_string(number(backend, "restarts")),
                 fmt::format("{} of {}", yaml::format_size(number(backend, "memory_used_bytes")),
                             yaml::format_size(number(backend, "memory_bytes"))),
                 std::to_string(number(pool, "waiting")),
                 fmt::format("{:.4f}", real(pool, "fairness"))});
    }
    return text_table(rows, {4, 5, 6, 7, 8, 9});
}

}  // namespace mimic::commands
