// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace mimic {

/// The project's version, from CMakeLists.txt at the top.
inline constexpr const char* kVersion = MIMIC_VERSION;

}  // namespace mimic
