// SPDX-License-Identifier: Apache-2.0
// Tables of docs/kubernetes/api-reference.md, printed from the DraFacts of all devices.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "slices/dra_facts.h"

namespace mimic {

/// `page` with the text between its markers replaced. Errors: invalid_argument without the markers.
Result<std::string> with_dra(const std::string& page,
                             std::span<const slices::DraFacts* const> kinds);

}  // namespace mimic
