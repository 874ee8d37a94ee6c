// SPDX-License-Identifier: Apache-2.0
// The NoCloud seed of a machine that boots a user's cloud image: an ISO 9660 file labelled "cidata"
// with meta-data and user-data, written by libarchive, and an ssh key of the machine's own.
// https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
#pragma once

#include <string>

#include "base/result.h"
#include "topology/model.h"

namespace mimic::guest_image {

/// Makes `dir`/seed.iso, and with ssh-keygen `dir`/ssh_key and ssh_key.pub (0600) unless they are
/// there. The guest gets the machine's name as host name, installs qemu-guest-agent if the
/// image lacks it and starts it, and lets the key in for the image's default user and for root.
/// Returns the path of seed.iso. Without ssh-keygen there is no key and a warning is logged.
/// Errors: those of writing files; io_error if libarchive refuses. Nothing half-made is left.
/// Blocks.
Result<std::string> make_cloud_init_seed(const topology::Machine& machine, const std::string& dir);

}  // namespace mimic::guest_image
