// SPDX-License-Identifier: Apache-2.0
// `mimic doctor`: what Mimic needs on this machine, what is there, and the command that mends what
// is not.
#pragma once

#include <string>
#include <vector>

namespace mimic::machine {

/// kNote: works without, but slower or not everything.
enum class Health { kOk, kNote, kMissing };

struct Finding {
    std::string subject;  // "QEMU"
    Health health = Health::kOk;
    std::string text;  // what was found
    std::string mend;  // a shell command; empty if nothing needs to be done, or nothing can be
};

/// Looks at everything; changes nothing, downloads nothing, boots nothing. Blocks for about a
/// second.
std::vector<Finding> examine();

/// Prints the findings, as a table or as JSON; returns 1 if something is missing, else 0.
int run_doctor(bool json);

}  // namespace mimic::machine
