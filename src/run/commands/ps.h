// SPDX-License-Identifier: Apache-2.0
// `mimic ps`.
#pragma once

namespace mimic::commands {

enum class PsFormat { kTable, kJson, kNames };

/// `mimic ps`: running machines and leftovers of killed ones, by the control API. kNames: one name
/// of a running machine a line. Returns an exit status.
int run_ps(PsFormat format);

}  // namespace mimic::commands
