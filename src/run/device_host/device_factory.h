// SPDX-License-Identifier: Apache-2.0
// From the model names of topology files to device models. A new device adds a line to the table in
// the source file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "pci/function/function.h"
#include "topology/model.h"

namespace mimic::device_host {

/// Makes the PCI function that `function` (part of `device`) describes. Nothing is shared between
/// the results, so each may go to its own loop. Errors: not_supported for a model that no device is
/// registered for; those of the model's create(). Thread-safe.
Result<std::unique_ptr<pci::Function>> make_function(const topology::DeviceSpec& device,
                                                     const topology::FunctionSpec& function);

}  // namespace mimic::device_host
