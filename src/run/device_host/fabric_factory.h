// SPDX-License-Identifier: Apache-2.0
// From a fabric of a topology file to the VMD endpoint with its tree of ports and devices.
#pragma once

#include <memory>

#include "base/result.h"
#include "devices/vmd/vmd.h"
#include "topology/model.h"

namespace mimic::device_host {

/// Makes the endpoint, with all that is behind it, that `fabric` of `machine` describes. Errors:
/// those of make_function() and of pci::Fabric for a tree that cannot be. Thread-safe.
Result<std::unique_ptr<vmd::Vmd>> make_fabric(const topology::Machine& machine,
                                              const topology::FabricSpec& fabric);

}  // namespace mimic::device_host
