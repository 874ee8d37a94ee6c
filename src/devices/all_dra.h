// SPDX-License-Identifier: Apache-2.0
// The list of devices that Kubernetes may be told of: those whose folder has a dra.h. Generated
// from the folders here; links nothing of registers, PCI or models.
#pragma once

#include <span>

#include "slices/dra_facts.h"

namespace mimic::devices {

/// Constants of the program, in alphabetical order of their folders. Thread-safe.
std::span<const slices::DraFacts* const> all_dra();

}  // namespace mimic::devices
