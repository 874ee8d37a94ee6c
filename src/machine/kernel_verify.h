// SPDX-License-Identifier: Apache-2.0
// The checks of `mimic verify`, of a machine that is a bus of a running kernel.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "guest/verify.h"
#include "kernelbus/kernel_plan.h"

namespace mimic::machine {

/// What was compared, and what could not be.
struct KernelVerdict {
    guest::Verdict verdict;
    std::vector<kernelbus::KernelLoss> not_checked;
};

/// Compares what `probe` says of the plan's domains with `model`'s machine as the kernel bus shows
/// it; other devices do not matter. Registers and class devices are checked where mock-accel is
/// bound and mock-accel-ctl is there. Errors: those of guest::compare_with_plan(). Pure.
Result<KernelVerdict> compare_with_kernel(const topology::Model& model,
                                          const kernelbus::KernelPlan& plan,
                                          const guest::Probe& probe);

/// guest::verdict_table() with a line for each thing that was not checked, and their number.
std::string kernel_verdict_table(const KernelVerdict& verdict);

/// guest::verdict_json() with `not_checked`: a list of `what` and `checks`.
std::string kernel_verdict_json(const KernelVerdict& verdict);

}  // namespace mimic::machine
