// SPDX-License-Identifier: Apache-2.0
// Finds UEFI firmware for images: OVMF.
#pragma once

#include <string>

#include "base/result.h"
#include "guest_image/progress.h"

namespace mimic::machine {

struct Firmware {
    std::string code;       // read by all machines
    std::string variables;  // a template: each machine has a copy
};

/// The firmware in the folder $MIMIC_OVMF (then no other is tried), the system's (Debian's and
/// Fedora's places), or what `tools/debs firmware` unpacks into the cache. Blocks. Errors:
/// no_such_file_or_directory for a $MIMIC_OVMF without it, with the names that were looked for;
/// those of running tools/debs.
Result<Firmware> locate_firmware(guest_image::Progress& progress);

}  // namespace mimic::machine
