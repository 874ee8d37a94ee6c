// SPDX-License-Identifier: Apache-2.0
// BootChoices: what a boot was told besides its topology file; who boots the same machine again
// tells it the same.
#pragma once

#include <string>
#include <vector>

namespace mimic::machine {

struct BootChoices {
    std::string kernel;                  // --kernel, absolute if a path; empty: as the file says
    std::vector<std::string> modules;    // --modules, absolute
    std::vector<std::string> shares;     // --share, with an absolute HOST
    bool allow_shares = false;           // --allow-shares
    std::string folder;                  // where relative paths of the file begin
    std::vector<std::string> qemu_args;  // the user's own
    bool allow_commands = false;         // --allow-commands

    bool operator==(const BootChoices&) const = default;
};

}  // namespace mimic::machine
