// SPDX-License-Identifier: Apache-2.0
// OwnParts: what a user brings to a direct boot: a kernel, folders of modules, and hooks for the
// initramfs. They go into a second archive behind the prepared initramfs, which Linux unpacks over
// it: nothing of Mimic's is built anew for them.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "guest_image/guest_image.h"
#include "topology/model.h"

namespace mimic::guest_image {

/// Paths of the host's, absolute, and what messages call them (place in a file, and the name).
struct NamedPath {
    std::string path;
    std::string name;
};

struct OwnPaths {
    NamedPath kernel;  // empty: the guest image's
    std::vector<NamedPath> modules;
    std::vector<NamedPath> initrd;

    bool empty() const { return kernel.path.empty() && modules.empty() && initrd.empty(); }
};

/// All in memory, until the machine has a folder for it.
struct OwnParts {
    std::string release;         // of the kernel that boots; empty if nobody knows
    std::string kernel;          // what QEMU is given in place of the file; empty: the file
    std::string archive;         // behind the initramfs
    std::string modules_folder;  // that a guest may see below /lib/modules; empty: none
    /// Folders of /sys/class that no driver of this guest fills, and names of those drivers.
    std::set<std::string> absent_classes;
    std::set<std::string> absent_drivers;
};

/// Reads and checks all that `paths` names, for `machine` on `image`. Errors begin with the name of
/// the part that is wrong: those of inspect_kernel() and ModuleFolders; invalid_argument for a hook
/// that is neither cpio archive nor script. Blocks.
Result<OwnParts> gather_own_parts(const topology::Machine& machine, const GuestImage& image,
                                  const OwnPaths& paths);

}  // namespace mimic::guest_image
