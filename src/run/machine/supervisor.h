// SPDX-License-Identifier: Apache-2.0
// The supervisor of one machine: a process that owns its device hosts and its QEMU, so that all of
// them end together and nothing is left. It talks with the `mimic up` that started it over a socket
// pair:
//
//   supervisor -> up
//     {"event":"started"}                                  QEMU runs; the guest may boot
//     {"event":"ended","reason":"...","log":["...", ...]}  everything is gone
//   up -> supervisor
//     release\n                                            the machine is up, go on alone
//     running\n                                            it is up, and stays up's
//     stop WHY                                             end of file follows
//
// End of file before `release` means that `up` ended, however it did: the machine goes too. SIGTERM
// stops the machine.
#pragma once

#include <string>
#include <string_view>

namespace mimic::machine {

/// Descriptor numbers that the supervisor is started with.
inline constexpr int kSupervisorLockFd = 3;
inline constexpr int kSupervisorControlFd = 4;

/// What `up` says before it closes its end of the socket pair; the reason follows.
inline constexpr std::string_view kStopMessage = "stop ";
inline constexpr size_t kMaxEndReason = 400;  // bytes; a line of `mimic ps --all`

/// Main function of the hidden command `mimic supervise RUN_DIR`: starts what <run_dir>/launch.json
/// says, waits for the end, cleans up. Returns 0 if the machine was stopped on request, else 1.
int run_supervisor(const std::string& run_dir);

}  // namespace mimic::machine
