// SPDX-License-Identifier: Apache-2.0
// What a topology file or the command line names of the host's for a machine, looked at before
// anything starts: folders to share, a kernel, modules, hooks. docs/own-kernel.md.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "guest_image/own_kernel.h"
#include "machine/up_source.h"
#include "topology/model.h"

namespace mimic::machine {

/// The folders of the host for the shares of `machine`, in their order: absolute, without links, so
/// that what was checked is what QEMU opens. Errors, which name file and line: those of
/// realpath(3); not_a_directory; permission_denied for a folder that we may not read (or write, if
/// the guest may); operation_not_permitted for the host's root, for file systems of its kernel
/// (/proc, /sys, /dev), and for a folder that is not below the topology file's, unless the command
/// line named or allowed it (`allow_outside`).
Result<std::vector<std::string>> check_shares(const UpSource& source,
                                              const topology::Machine& machine, bool allow_outside);

/// Paths of what the machine boots of the user's own, with names for messages ("FILE:3:11:
/// ./bzImage"). Errors: operation_not_permitted for a hook that is not below the topology file's
/// folder, unless `allow_outside`.
Result<guest_image::OwnPaths> own_paths(const UpSource& source, const topology::Machine& machine,
                                        bool allow_outside);

/// A share as the command line has it: HOST:GUEST, HOST:GUEST:ro. Errors: invalid_argument, with
/// what was expected.
Result<topology::Share> parse_share(const std::string& text);

}  // namespace mimic::machine
