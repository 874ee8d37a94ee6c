// SPDX-License-Identifier: Apache-2.0
// What a kernel module says about itself: its .modinfo section (include/linux/moduleparam.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "topology/model.h"

namespace mimic::guest_image {

struct ModuleFacts {
    std::string name;                // "my_driver"; '-' is '_'
    std::string vermagic;            // "6.1.0-50-amd64 SMP preempt mod_unload modversions "
    std::vector<std::string> needs;  // names of the modules that it depends on

    /// The release that it was built for: the first word of its vermagic.
    std::string release() const { return vermagic.substr(0, vermagic.find(' ')); }
};

/// Reads an unpacked module (decompress()). Errors: invalid_argument for what is no kernel module
/// for `arch`; illegal_byte_sequence for one that is cut short. Pure.
Result<ModuleFacts> read_module_facts(std::string_view file, topology::Arch arch);

}  // namespace mimic::guest_image
