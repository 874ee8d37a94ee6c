// SPDX-License-Identifier: Apache-2.0
// The devices of a sysfs tree in umockdev's text format, for umockdev_testbed_add_from_file().
#pragma once

#include <string>

#include "kernel_bus/file_tree.h"

namespace mimic::kernel_bus {

/// A record for each folder below sys/devices/ that has `uevent` and `subsystem`, parents first:
///   P: path, E: property (of uevent, and SUBSYSTEM), A: text attribute, H: binary one in
///   hexadecimal, L: link.
/// Text is what holds printable ASCII and newlines only; a backslash and a newline are escaped as
/// \\ and \n. What a record cannot hold is left out: files in folders that are no devices. Pure.
std::string umockdev_text(const FileTree& tree);

}  // namespace mimic::kernel_bus
