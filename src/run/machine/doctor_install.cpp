// SPDX-License-Identifier: Apache-2.0
#include "machine/doctor_install.h"

#include <cstdio>

#include "base/terminal_text.h"
#include "guest_image/guest_image.h"
#include "machine/qemu_locate.h"

namespace mimic::machine {
namespace {

template <typename T>
bool tell_outcome(const std::string& subject, const Result<T>& outcome, const std::string& where) {
    if (!outcome) {
        fmt::print(stderr, "mimic: error: {}: {}\n", subject,
                   terminal_lines(outcome.error().message()));
        return false;
    }
    fmt::print(stderr, "mimic: {}: {}\n", subject, terminal_text(where));
    return true;
}

}  // namespace

int run_doctor_install(model::Models models, const std::vector<std::string>& series) {
    guest_image::StderrProgress progress;
    bool good = true;
    // Each alone: who has no network may still have what the others need.
    const auto qemu = locate_qemu(progress);
    good &= tell_outcome("QEMU", qemu, qemu ? qemu->version + ", " + qemu->program : "");
    for (const std::string& each : series) {
        const bool foreign = each.ends_with("-riscv64");
        const auto arch = foreign ? topology::Arch::kRiscv64 : topology::Arch::kX86_64;
        if (foreign) {
            const auto other = locate_qemu(progress, arch);
            good &= tell_outcome("QEMU for riscv64", other, other ? other->program : "");
        }
        topology::Kernel kernel;
        kernel.release = each.substr(0, each.find('-'));
        const auto image = guest_image::build_guest_image(kernel, arch, models, progress);
        good &= tell_outcome("guest kernel " + each, image, image ? image->kernel : "");
    }
    return good ? 0 : 1;
}

}  // namespace mimic::machine
