// SPDX-License-Identifier: Apache-2.0
// The guest image of a direct boot: Debian's kernel, and an initramfs of busybox, qemu-guest-agent,
// lspci and Mimic's driver, made once and kept in the cache under a name that is a hash of
// everything that went in.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "guest_image/progress.h"
#include "model/device_model.h"
#include "topology/model.h"

namespace mimic::guest_image {

/// Files in the cache. They are never written again, so many machines share them; `tools/debs
/// clean` and a person may delete them, which makes the next build_guest_image() build them anew.
struct GuestImage {
    std::string kernel;  // ELF with a PVH entry; the package's own file of a kernel without. Empty:
                         // the user has a kernel of their own
    std::string initrd;  // newc cpio
    /// Of the kernel: its release and folder of modules; empty where a prepared image is used.
    std::string release{};
    std::string modules_folder{};
};

/// Makes, or finds in the cache or among prepared images (prepared_image.h), what a machine with
/// `kernel` boots. Downloads (tools/debs) and
/// compiles when needed; each such step is told to `progress`. Safe to call from many processes at
/// the same time. Errors: invalid_argument (`kernel` names an image, not a release),
/// no_such_file_or_directory (Mimic's sources or tools are not found), no_space_on_device, io_error
/// (a tool failed; the message ends with what it printed). Nothing half-made is left. Thread-safe;
/// blocks.
///
/// For a kernel of the user's own the image is programs alone (own_kernel.h adds the rest).
///
/// A guest of another architecture needs the compiler for it (tools/setup riscv64).
///
/// `modules`: of the kernel package, loaded at boot with those that they need, in this order; a
/// name that ends in '?' may be missing from the kernel.
Result<GuestImage> build_guest_image(const topology::Kernel& kernel, topology::Arch arch,
                                     model::Models models, Progress& progress,
                                     const std::vector<std::string>& modules = {});

/// ${MIMIC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mimic}. Errors: no_such_file_or_directory if none
/// of the three is set; permission_denied if it is there and others could have filled it
/// (check_owner()). Thread-safe.
Result<std::string> cache_root();

/// A file of Mimic's by its place in the source tree ("tools/debs", "guest/init/init"): below
/// $MIMIC_TOOLS_DIR's parent if that is set, else below the source tree that this was built from,
/// else below <prefix>/libexec/mimic. Fails with no_such_file_or_directory and all places that were
/// looked at. Thread-safe.
Result<std::string> find_support_file(const std::string& name);

}  // namespace mimic::guest_image
