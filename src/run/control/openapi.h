// SPDX-License-Identifier: Apache-2.0
// The document of the control API: docs/openapi/control-v1.json.
#pragma once

#include <string_view>

namespace mimic::control {

/// The OpenAPI 3 document, JSON. Immutable.
std::string_view openapi_document();

}  // namespace mimic::control
