// SPDX-License-Identifier: Apache-2.0
// `mimic doctor --install`: what `mimic up` would fetch, fetched now.
#pragma once

#include <string>
#include <vector>

#include "model/device_model.h"

namespace mimic::machine {

/// Puts a QEMU with vfio-user-pci and what guests with kernels `series` ("6.1") boot into the
/// cache, unless they are there: without root, through tools/debs. Says on stderr what it does, and
/// of all that fails why and what mends it. Returns an exit status.
int run_doctor_install(model::Models models, const std::vector<std::string>& series);

}  // namespace mimic::machine
