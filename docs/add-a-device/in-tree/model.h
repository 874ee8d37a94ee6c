// SPDX-License-Identifier: Apache-2.0
// What the adder says about itself, when it is built into Mimic: docs/add-a-device.md, section 7.
#pragma once

#include <array>
#include <memory>

#include "../registers.h"
#include "model/function_spec.h"

namespace mimic::pci {
class Function;
}

namespace adder {

inline constexpr std::array kBars = {mimic::model::Bar{.index = 0, .size = kBarSizeBytes}};

/// What `mimic verify` reads from BAR 0 of an adder that nobody has used.
inline constexpr std::array kExpects = {
    mimic::model::Expectation{.name = "ID", .constant = kIdValue},
    mimic::model::Expectation{.name = "STATUS", .constant = 0},
};

inline constexpr mimic::reg::MapView kMapView = kMap.view();

inline constexpr mimic::model::DeviceModel kModel{
    .facts = {.name = "adder",
              .doc = "adds words of guest memory: the toy device of add-a-device.md",
              .vendor_id = 0x1de5,
              .pf_device_id = 0xadd1,
              .class_code = 0x120000,
              .fabric_class_code = 0x120000,
              .bars = kBars,
              .vectors = 1},
    .expects = kExpects,
    .map = &kMapView,
};

/// Makes the function. Errors: those of Adder::create(). Thread-safe.
mimic::Result<std::unique_ptr<mimic::pci::Function>> make_function(
    const mimic::model::FunctionRequest& request);

}  // namespace adder
