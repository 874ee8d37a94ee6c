// SPDX-License-Identifier: Apache-2.0
// `mimic console`: a terminal on the serial port of a machine.
#pragma once

#include <string>

namespace mimic::machine {

/// Connects standard input and output to the machine's serial port until Ctrl-], the end of input
/// or the end of the machine; returns the exit status. A terminal is put into raw mode meanwhile
/// and restored in any case but SIGKILL.
int run_console(const std::string& name);

}  // namespace mimic::machine
