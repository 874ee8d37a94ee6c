// SPDX-License-Identifier: Apache-2.0
// What guest/init/probe must know of a machine before it runs.
#pragma once

#include <string>

#include "topology/model.h"

namespace mimic::verify {

/// Lines of a POSIX shell to put before the probe's text: drivers, vendors, functions and registers
/// of `machine`'s models. Pure.
std::string probe_settings(const topology::Machine& machine);

}  // namespace mimic::verify
