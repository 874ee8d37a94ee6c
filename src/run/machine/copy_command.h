// SPDX-License-Identifier: Apache-2.0
// `mimic cp`: files and folders between the host and guests. By the guests' stream ports; a single
// file also by an agent, which is slow, and said.
#pragma once

#include <string>

namespace mimic::machine {

/// One side: a path of the host (no machine) or of a guest.
struct CopyPlace {
    std::string run_dir;  // of the machine; empty: the host
    std::string path;     // "-" on the host: standard input or output
};

/// Copies a file with its permission bits, or with `recursive` a folder. A target that is a folder,
/// or of a file ends in '/', gets the source's name. What standard input has gets mode 0644.
/// Returns 0; 1 with a message, also if something was left out of a folder (devices, sockets).
/// Main thread only.
int run_cp(const CopyPlace& from, const CopyPlace& to, bool recursive);

}  // namespace mimic::machine
