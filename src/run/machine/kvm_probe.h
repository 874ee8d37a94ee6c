// SPDX-License-Identifier: Apache-2.0
// Whether a guest really runs under KVM here. That /dev/kvm opens proves nothing: on some (nested)
// hosts a stock kernel never gets anywhere. So the probe boots one, and the verdict is kept until
// the host reboots or QEMU changes.
#pragma once

#include <string>

#include "guest_image/progress.h"
#include "machine/qemu_locate.h"

namespace mimic::machine {

struct KvmVerdict {
    bool usable = false;
    std::string reason;   // one line for people, why (not)
    bool probed = false;  // a guest was booted for it, now or earlier
};

/// Looks at /dev/kvm only, and at a verdict that was kept for this boot, QEMU and kernel. Starts
/// nothing. `probed` is false if only a boot would tell.
KvmVerdict known_kvm_verdict(const Qemu& qemu);

/// known_kvm_verdict(), and if that does not tell boots `kernel` (a bzImage) for at most ten
/// seconds and keeps what came of it. $MIMIC_KVM=0 says no without a probe. Blocks; safe to call
/// from many processes. A kernel that is not `trusted` decides nothing by not booting: a verdict
/// against KVM is then not kept.
KvmVerdict probe_kvm(const Qemu& qemu, const std::string& kernel, guest_image::Progress& progress,
                     bool trusted = true);

}  // namespace mimic::machine
