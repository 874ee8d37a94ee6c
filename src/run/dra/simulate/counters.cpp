// SPDX-License-Identifier: Apache-2.0
#include "dra/simulate/counters.h"

#include <fmt/format.h>

namespace mimic::dra {

void Counters::request(std::string_view verb, int status) {
    const std::lock_guard lock(mutex_);
    ++requests_[{std::string(verb), status}];
}

uint64_t Counters::requests(std::string_view verb, int status) const {
    const std::lock_guard lock(mutex_);
    const auto found = requests_.find({std::string(verb), status});
    return found == requests_.end() ? 0 : found->second;
}

std::string Counters::text(const std::vector<std::pair<std::string_view, double>>& gauges) const {
    std::string out;
    const auto add = [&out](std::string_view name, std::string_view help, uint64_t value) {
        out += fmt::format(
            "# HELP mimic_dra_simulate_{0} {1}\n# TYPE mimic_dra_simulate_{0} counter\n"
            "mimic_dra_simulate_{0} {2}\n",
            name, help, value);
    };
    add("slices_written_total", "ResourceSlices created or updated.", published);
    add("slices_removed_total", "ResourceSlices deleted because they were wrong.", removed);
    add("restored_nodes_total", "Nodes whose slices somebody else had changed.", restored);
    add("retries_total", "Nodes put off after a failed request.", retries);
    add("churn_changes_total", "Devices that fell ill or recovered.", churned);
    add("watch_events_total", "Events of a watch about simulated nodes.", events);
    add("strange_objects_total", "Objects in answers that cannot be what was asked for.", strange);
    out +=
        "# HELP mimic_dra_simulate_requests_total Requests to the API server; code 0: no answer.\n"
        "# TYPE mimic_dra_simulate_requests_total counter\n";
    const std::lock_guard lock(mutex_);
    for (const auto& [key, count] : requests_) {
        out += fmt::format("mimic_dra_simulate_requests_total{{verb=\"{}\",code=\"{}\"}} {}\n",
                           key.first, key.second, count);
    }
    for (const auto& [name, value] : gauges) {
        out += fmt::format("# TYPE mimic_dra_simulate_{0} gauge\nmimic_dra_simulate_{0} {1}\n",
                           name, value);
    }
    return out;
}

}  // namespace mimic::dra
