// SPDX-License-Identifier: Apache-2.0
// `mimic ps`.
#pragma once

namespace mimic::commands {

enum class PsFormat { kTable, kJson, kNames };

/// `mimic ps`: running machines and leftovers of killed ones, by the control API, and with
/// `with_ended` those that ended, by the files that they left. kNames: one name of a machine that
/// is not dead a line. Returns an exit status.
int run_ps(PsFormat format, bool with_ended);

/// `mimic ps --ready`: 0 if there are machines and all of them run, else 1 with a line that says
/// what is not so. For who looks after a process from outside, such as a kubelet.
int run_ps_ready();

}  // namespace mimic::commands
