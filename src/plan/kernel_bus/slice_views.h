// SPDX-License-Identifier: Apache-2.0
// `mimic plan --format slices`: the ResourceSlices that the node agent publishes on each machine of
// a file once it has booted. What sysfs will say is computed here, and what follows from that is
// left to src/lib/slices, as it is in the agent.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel_bus/bus_layout.h"
#include "slices/dra_facts.h"
#include "slices/function_view.h"
#include "topology/model.h"

namespace mimic::kernel_bus {

/// What the class folder of `facts` shows of `layout`, by name. Pure.
std::vector<slices::FunctionView> function_views(const BusLayout& layout,
                                                 const slices::DraFacts& facts);

/// A List of the slices of all machines, each of which is a node of its name, with `vfs` VFs of
/// each PF enabled: JSON text. What the API would refuse is a line in `left_out`. Errors: those of
/// slices::check(), which say that a bug of ours was found. Pure.
Result<std::string> slices_text(const topology::Model& model,
                                std::span<const slices::DraFacts* const> kinds, unsigned vfs,
                                std::vector<std::string>* left_out);

}  // namespace mimic::kernel_bus
