// SPDX-License-Identifier: Apache-2.0
#include "../adder.h"
#include "model.h"

namespace adder {

mimic::Result<std::unique_ptr<mimic::pci::Function>> make_function(
    const mimic::model::FunctionRequest& request) {
    return Adder::create(request.function.name);
}

}  // namespace adder
