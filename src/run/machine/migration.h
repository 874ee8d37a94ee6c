// SPDX-License-Identifier: Apache-2.0
// A guest's memory and QEMU's own devices, to a file and from one: QEMU's migration with the
// capability mapped-ram (QEMU docs, devel/migration/mapped-ram), where each page has its place in
// the file and zeros take no room.
//
// Measured with QEMU 11.1.3: vfio-user-pci is no part of it. It has no migration state, asks its
// server for none (VFIO_USER_DEVICE_FEATURE never comes) and blocks nothing, so a guest that was
// loaded finds each of its vfio-user devices as after a power-up. Who saves a guest takes them out
// of it first: see guest_slots.h.
#pragma once

#include <string>

#include "base/result.h"
#include "base/task_runner.h"

namespace mimic::machine {

/// Stops the guest, writes it to `path`, which QEMU creates or empties, and lets it go on, also
/// after an error. Blocks, at most about `timeout`. Errors: invalid_argument with QEMU's reason (a
/// device that cannot be saved, an older QEMU); io_error with QEMU's reason (a full disk);
/// timed_out; interrupted; those of QmpClient.
Status save_guest(const std::string& qmp_socket, const std::string& path, Duration timeout);

/// Lets a guest go on that a save_guest() has left stopped which was killed. Errors:
/// device_or_resource_busy while a debugger holds it; those of QmpClient.
Status let_guest_run(const std::string& qmp_socket);

/// Loads what save_guest() wrote into a QEMU of the same arguments that was started with "-incoming
/// defer", and lets the guest run. Same errors; state_not_recoverable if QEMU ends, which it does
/// for a file that it cannot load.
Status load_guest(const std::string& qmp_socket, const std::string& path, Duration timeout);

}  // namespace mimic::machine
