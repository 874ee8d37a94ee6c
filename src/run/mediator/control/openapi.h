// SPDX-License-Identifier: Apache-2.0
// docs/openapi/control-v1.json, which mediators serve, too.
#pragma once

#include <string_view>

namespace mimic::mediator {

/// Lives as long as the process.
std::string_view openapi_document();

}  // namespace mimic::mediator
