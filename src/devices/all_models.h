// SPDX-License-Identifier: Apache-2.0
// The list of device models, as data. Generated from the folders here; links no device.
#pragma once

#include "model/device_model.h"

namespace mimic::devices {

/// Constants of the program, in alphabetical order of their folders. Thread-safe.
model::Models all_models();

}  // namespace mimic::devices
