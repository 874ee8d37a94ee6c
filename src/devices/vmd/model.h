// SPDX-License-Identifier: Apache-2.0
// What the endpoint in front of a fabric says about itself. No topology file names it: a fabric has
// one.
#pragma once

#include "model/device_model.h"

namespace mimic::vmd {

inline constexpr uint16_t kVendorId = 0x8086;
inline constexpr uint16_t kDeviceId = 0xa77f;     // QEMU's quirks leave this one alone
inline constexpr uint32_t kClassCode = 0x010400;  // RAID controller, as the hardware
inline constexpr unsigned kVectors = 16;

inline constexpr model::DeviceModel kModel{.facts = {.name = "vmd",
                                                     .doc = "Intel Volume Management Device",
                                                     .part = model::Part::kFabric,
                                                     .vendor_id = kVendorId,
                                                     .pf_device_id = kDeviceId,
                                                     .class_code = kClassCode,
                                                     .fabric_class_code = kClassCode,
                                                     .vectors = kVectors},
                                           .driver = {.name = "vmd"}};

}  // namespace mimic::vmd
