// SPDX-License-Identifier: Apache-2.0
// Text for XML and SVG documents.
#pragma once

#include <string>
#include <string_view>

namespace mimic::outputs {

/// `text` for element content and for attribute values in either quote. Bytes that XML 1.0 cannot
/// carry (control characters, invalid UTF-8) become U+FFFD.
std::string escape_xml(std::string_view text);

}  // namespace mimic::outputs
