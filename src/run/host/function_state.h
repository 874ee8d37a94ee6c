// SPDX-License-Identifier: Apache-2.0
// What a function is between two accesses, as the text of a `state` event of a trace: config space,
// MSI-X table and registers. A replay begins with it where the trace does not begin with a reset.
#pragma once

#include <string>

#include "base/result.h"
#include "pci/function/function.h"

namespace mimic::host {

/// JSON: {"config": bytes, "msix": bytes, "registers": [{"map", "hash", "values": {name:
/// "0x.."}}]}, where bytes are {"0x4": "0701..", ..}, pieces of hex by their offset. What is zero
/// is left out. Without side effects.
std::string capture_state(const pci::Function& function);

/// Makes `function`, fresh and attached, what `text` says; its VFs come to be if they were enabled.
/// Anybody may have written `text`. Errors: invalid_argument for what is no state of this function;
/// those of pci::Function::restore_registers().
Status restore_state(pci::Function& function, const std::string& text);

}  // namespace mimic::host
