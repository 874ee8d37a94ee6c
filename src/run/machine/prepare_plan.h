// SPDX-License-Identifier: Apache-2.0
// `mimic plan --prepare`: everything that a machine needs to be started by somebody else, libvirt
// or a shell, in a folder of its own.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "guest_image/progress.h"
#include "machine/qemu_locate.h"
#include "machine/up.h"
#include "machine/up_source.h"
#include "outputs/outputs.h"
#include "topology/model.h"

namespace mimic::machine {

/// One machine's folder and the files in it, by absolute path.
struct PreparedMachine {
    std::string name;
    std::string folder;  // also of the sockets that its devices will have
    std::string topology;
    std::string domain;              // for virsh define
    std::string script;              // starts QEMU
    std::vector<std::string> boots;  // kernel and initrd, or disk and cloud-init seed
    std::vector<std::string> serve;  // command that serves its devices; empty: it has none
    std::vector<std::string> notes;  // lines for people
    outputs::RunContext context;     // that both outputs were made of
};

/// Makes `<folder>/<machine>/` for each machine of `source`, and in it:
///
///   topology.yaml            the file as it was read
///   vmlinuz, initrd          copies of what `mimic up` would boot, with what is the user's own, or
///   disk.qcow2, seed.iso     with `image`: a disk over it, which is kept if it is there, and the
///                            cloud-init seed with its ssh_key
///   domain.xml, qemu.sh      which name all of it, and the QEMU that `mimic up` would take
///
/// Downloads and compiles what is missing, as `mimic up` does, and starts nothing. Files that are
/// there are written over. `options` are those that `source` was loaded by. Errors: those of
/// build_guest_image(), gather_own_parts(), check_shares(), locate_qemu(), check_disk_image()
/// and of writing files; filename_too_long if sockets in the folder would have too long paths.
/// Blocks.
Result<std::vector<PreparedMachine>> prepare_machines(const UpSource& source,
                                                      const UpOptions& options,
                                                      const std::string& folder,
                                                      guest_image::Progress& progress);

}  // namespace mimic::machine
