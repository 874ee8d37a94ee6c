// SPDX-License-Identifier: Apache-2.0
// What a simulation means: shares against what each VM is due, as values, tables and JSON.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "mediator/schedule/simulate/simulator.h"

namespace mimic::mediator::schedule {

/// How fair a result is. Vectors are in the order of the load's VMs.
struct Fairness {
    std::vector<double> shares;  // of the service of all VMs
    std::vector<double> due;     // of the same, by weighted max-min
    double jain = 1.0;           // of share over due, of VMs that are due something
    double min_max = 1.0;        // the same
};

struct SimulatedRule {
    SimulationResult result;
    Fairness fairness;
};

struct SimulationReport {
    std::vector<SimulatedRule> rules;
};

/// Plays `load` against each rule. What a VM is due depends on what it asks for, and a client that
/// thinks asks for what it got when it played alone. Weights that change count by the time that
/// they had. Errors: those of simulate().
Result<SimulationReport> simulate_rules(const Load& load, const std::vector<RuleName>& rules);

/// For people: a line a rule and VM, then a line a rule.
std::string simulation_table(const Load& load, const SimulationReport& report);
/// For programs, with a series over the duration; docs/mediator-scheduling.md has the members.
std::string simulation_json(const Load& load, const SimulationReport& report);

struct SimulateCommand {
    std::string load;                // path; "-": stdin
    std::vector<std::string> rules;  // none: all
    bool json = false;
};

/// `mimic mediator simulate`: prints to stdout, problems to stderr. 0; 2 for a load or rule that is
/// none.
int run_simulate(const SimulateCommand& command);

}  // namespace mimic::mediator::schedule
