// SPDX-License-Identifier: Apache-2.0
// Compares what a guest shows with what its topology says: the check behind `mimic verify`.
// docs/verify.md says what is compared and documents the JSON.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "topology/model.h"
#include "verify/verify_probe.h"

namespace mimic::verify {

/// One fact that is not as planned. `what` names layer and fact: "sysfs uuid", "resource0
/// MEMORY_SIZE".
struct Difference {
    std::string what;
    std::string expected;
    std::string got;
};

/// One function of the plan.
struct FunctionVerdict {
    std::string name;
    std::string kind;  // "pf", "vf" or "clone"
    std::string bdf;
    std::string sysfs;           // name in the driver's class folder; "-" without
    bool visible = false;        // it should have, and was checked for, a class device
    bool present = true;         // it should be on the bus
    bool in_empty_slot = false;  // not present, because its hot-plug slot is empty
    std::string numa_node;
    std::string link;  // the guest's where it is known, else the plan's: "16 GT/s x16"
    size_t checks = 0;
    std::vector<Difference> differences;
};

/// One machine.
struct Verdict {
    std::string machine;
    std::string kernel;  // of the guest
    std::vector<FunctionVerdict> functions;
    std::vector<Difference> differences;  // NUMA nodes, and devices that the plan does not have
    size_t checks = 0;                    // all, those of the functions included
    size_t differing = 0;                 // all
    /// What was not compared, and why: lines for people. A kernel of the user's may lack drivers.
    std::vector<std::string> unverified;

    bool agrees() const { return differing == 0; }
};

/// What differs for a machine that is not in a VM of ours.
struct PlanOptions {
    /// What is above a device in sysfs, by the device's name; others: the port above.
    std::map<std::string, std::string> parents{};
    /// Class devices have the names that they have: others may have been there before.
    bool any_class_names = false;
    /// Drivers that the guest's kernel came without. Where one is not bound, what it would show is
    /// not compared, and Verdict::unverified says so.
    std::set<std::string> absent_drivers{};
};

/// Compares. A static VF must always be on the bus, and have a class device exactly while
/// sriov_numvfs of its PF covers it; a native one must be on the bus exactly then. A device in a
/// hot-plug slot may be absent. What a model calls state must be the same through every layer.
/// Pure.
Verdict compare_with_plan(const topology::Machine& machine, const Probe& probe,
                          const PlanOptions& options = {});

/// For people: one line a function, then the differences, then a summary.
std::string verdict_table(const Verdict& verdict);

/// For machines: docs/verify.md.
std::string verdict_json(const Verdict& verdict);

}  // namespace mimic::verify
