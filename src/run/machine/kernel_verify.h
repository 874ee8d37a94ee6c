// SPDX-License-Identifier: Apache-2.0
// The checks of `mimic verify`, of a machine that is a bus of a running kernel.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "kernel_bus/kernel_plan.h"
#include "verify/verify.h"

namespace mimic::machine {

/// What was compared, and what could not be.
struct KernelVerdict {
    verify::Verdict verdict;
    std::vector<kernel_bus::KernelLoss> not_checked;
};

/// Compares what `probe` says of the plan's domains with the machine as the kernel bus shows it;
/// other devices do not matter. Registers and class devices are checked where the models' driver is
/// bound and its tool is there. Pure.
KernelVerdict compare_with_kernel(const kernel_bus::KernelPlan& plan, const verify::Probe& probe);

/// verify::verdict_table() with a line for each thing that was not checked, and their number.
std::string kernel_verdict_table(const KernelVerdict& verdict);

/// verify::verdict_json() with `not_checked`: a list of `what` and `checks`.
std::string kernel_verdict_json(const KernelVerdict& verdict);

}  // namespace mimic::machine
