// SPDX-License-Identifier: Apache-2.0
// Compares what a guest shows with the expected tree of outputs::tree_json(): the check behind
// `mimic verify`. docs/verify.md says what is compared and documents the JSON.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "outputs/outputs.h"
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
    std::string kind;  // "pf", "vf" or "replica"
    std::string bdf;
    std::string sysfs;           // name in /sys/class/mock-accel
    bool visible = false;        // it should have, and was checked for, a class device
    bool present = true;         // it should be on the bus
    bool in_empty_slot = false;  // not present, because its hot-plug slot is empty
    std::string numa_node;
    std::string link;  // "16 GT/s x16"
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

    bool agrees() const { return differing == 0; }
};

/// Compares. `tree` is the text of outputs::tree_json(). Errors: invalid_argument if it has no
/// machine of this name. A static VF must always be on the bus, and have a class device exactly
/// while sriov_numvfs of its PF covers it; a native one must be on the bus exactly then. A device
/// in a hot-plug slot may be absent. STATUS and NUM_VFS are state, not plan: they must be the same
/// through every layer. Pure.
Result<Verdict> compare_with_plan(const std::string& tree, const std::string& machine,
                                  const Probe& probe);

/// For people: one line a function, then the differences, then a summary.
std::string verdict_table(const Verdict& verdict);

/// For machines: docs/verify.md.
std::string verdict_json(const Verdict& verdict);

}  // namespace mimic::verify
