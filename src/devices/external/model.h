// SPDX-License-Identifier: Apache-2.0
// A device that Mimic does not make: a vfio-user server of the user's, by `socket:` or `command:`
// of the topology file. What the file states of it is what `mimic verify` expects.
#pragma once

#include "model/device_model.h"

namespace mimic::external {

inline constexpr model::DeviceModel kModel{
    .facts = {.name = "external",
              .doc = "a vfio-user server of yours, by `socket` or `command`: "
                     "[add a device](add-a-device.md)",
              .source = model::Source::kExternal}};

}  // namespace mimic::external
