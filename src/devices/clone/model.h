// SPDX-License-Identifier: Apache-2.0
// What a clone says about itself: that the topology file says it all.
#pragma once

#include <memory>

#include "base/result.h"
#include "model/function_spec.h"

namespace mimic::pci {
class Function;
}

namespace mimic::clone {

inline constexpr model::DeviceModel kModel{
    .facts = {.name = "clone",
              .old_name = "replica",
              .doc = "looks like a device that somebody has, by its `config`; does nothing of what "
                     "that one does",
              .source = model::Source::kImages}};

/// Makes the function. Errors: invalid_argument without images, those of Clone::create().
/// Thread-safe.
Result<std::unique_ptr<pci::Function>> make_function(const model::FunctionRequest& request);

}  // namespace mimic::clone
