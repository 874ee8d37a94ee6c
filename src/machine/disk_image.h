// SPDX-License-Identifier: Apache-2.0
// The user's disk image, looked at before anything is started for it.
#pragma once

#include <string>

#include "base/result.h"

namespace mimic::machine {

/// Checks that `path` is a file that can be read and begins as a qcow2 does. Errors, which say what
/// to do: those of open(2); is_a_directory; invalid_argument for any other kind of file or content.
Status check_disk_image(const std::string& path);

}  // namespace mimic::machine
