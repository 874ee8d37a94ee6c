// SPDX-License-Identifier: Apache-2.0
// Reads what a machine boots and how time passes in it. docs/topology.md, "Machine" and
// "Lock-step".
#include <algorithm>

#include <fmt/format.h>

#include "topology/arch.h"
#include "topology/reader.h"

namespace mimic::topology {
namespace {

constexpr size_t kMaxKernelArgs = 1024;  // arbitrary; COMMAND_LINE_SIZE of x86 is 2048

/// Text for the kernel's command line under `key`; empty without, or after a problem.
std::string read_line(const Fields& fields, std::string_view key, std::string_view what) {
    const auto text = fields.text(key, what);
    if (!text) return {};
    if (is_printable_ascii(*text) && text->size() <= kMaxKernelArgs) return *text;
    fields.problem(
        fields.where(key),
        fmt::format("{}; expected at most {} printable ASCII characters", key, kMaxKernelArgs));
    return {};
}

void read_image(const Fields& fields, const std::string& image, Machine& machine) {
    const bool good = !image.empty() && image.size() < 4096 &&
                      std::none_of(image.begin(), image.end(),
                                   [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
    if (!good) fields.problem(fields.where("image"), "image is no path; expected a qcow2 file");
    const ArchFacts& facts = facts_of(machine.arch);
    if (!facts.boots_images) {
        fields.problem(fields.where("image"),
                       fmt::format("'image' on {}, which has no firmware here that boots one; "
                                   "expected 'kernel'",
                                   facts.name));
    }
    machine.kernel.image = image;
    machine.kernel.firmware = static_cast<Firmware>(
        fields.choice("firmware", kFirmwares).value_or(0));
    constexpr std::pair<std::string_view, std::string_view> kNotWithImage[] = {
        {"kernel_args", "them in the image's boot loader"},
        {"run", "it among the image's own services"},
        {"modules", "them in the image"},
        {"initrd", "it in the image"}};
    for (const auto& [key, expected] : kNotWithImage) {
        if (!fields.find(key)) continue;
        fields.problem(fields.where(key),
                       fmt::format("'{}' with 'image'; expected {}", key, expected));
    }
}

/// A name with a slash is a file, any other one of Debian's series.
void read_kernel(const Fields& fields, Machine& machine) {
    constexpr std::string_view kExpected = "a release of Debian's, or the path of a kernel";
    machine.kernel.release = facts_of(machine.arch).kernels.front();
    const auto name = fields.pattern("kernel", kExpected);
    if (!name) return;
    if (name->find('/') != std::string::npos) {
        if (const auto path = read_host_path(fields, "kernel", *name)) {
            machine.kernel.file = *path;
            machine.kernel.release.clear();
        }
        return;
    }
    if (std::find(kKernels.begin(), kKernels.end(), *name) == kKernels.end()) {
        fields.problem(fields.where("kernel"),
                       fmt::format("kernel is {}; expected {}, or the path of a kernel, with a '/' "
                                   "in it (./bzImage)",
                                   fields.find("kernel")->describe(), join_or(kKernels)));
        return;
    }
    machine.kernel.release = *name;
    if (const auto problem = kernel_problem(machine.arch, machine.kernel.release))
        fields.problem(fields.where("kernel"), *problem);
}

}  // namespace

void read_boot(const Fields& fields, Machine& machine) {
    if (fields.find("kernel") && fields.find("image")) {
        fields.problem(fields.where("image"), "both 'kernel' and 'image'; expected one of them");
    }
    if (const auto image = fields.pattern("image", "the path of a qcow2 file")) {
        read_image(fields, *image, machine);
        return;
    }
    if (fields.find("firmware")) {
        fields.problem(fields.where("firmware"),
                       "'firmware' without 'image': a kernel needs none; expected 'image'");
    }
    read_kernel(fields, machine);
    machine.kernel.modules = read_host_paths(fields, "modules", "the path of a folder");
    machine.kernel.initrd = read_host_paths(fields, "initrd", "the path of an archive or script");
    machine.kernel.args = read_line(fields, "kernel_args", "kernel parameters in one string");
    machine.kernel.run = read_line(fields, "run", "a shell command in one string");
}

void read_time(const Fields& fields, Machine& machine) {
    machine.time = static_cast<GuestTime>(fields.choice("time", kTimes).value_or(0));
    const auto seed = fields.number("seed", {0, UINT32_MAX});
    machine.seed = seed.value_or(machine.seed);
    if (machine.time != GuestTime::kLockStep) {
        if (seed) {
            fields.problem(fields.where("seed"),
                           "'seed' of a machine whose time is that of the host; expected "
                           "time: lock-step");
        }
        return;
    }
    if (machine.cpus != 1) {
        fields.problem(fields.where(machine.has_numa ? "numa" : "cpus"),
                       fmt::format("time: lock-step with {} CPUs, whose order differs from run to "
                                   "run; expected cpus: 1",
                                   machine.cpus));
    }
    if (!machine.kernel.image.empty()) {
        fields.problem(fields.where("image"),
                       "time: lock-step with 'image', whose services wait for the world outside; "
                       "expected 'kernel'");
    }
    if (!machine.shares.empty()) {
        fields.problem(fields.where("share"),
                       "time: lock-step with 'share', whose answers come when the host has them; "
                       "expected no 'share'");
    }
    if (machine.accel == Accel::kKvm) {
        fields.problem(fields.where("accel"),
                       "time: lock-step with accel: kvm, where nobody counts instructions; "
                       "expected tcg or auto");
    }
    machine.accel = Accel::kTcg;
}

void settle_lock_step(const Fields& fields, Machine& machine) {
    if (machine.time != GuestTime::kLockStep) return;
    for (DeviceSpec& device : machine.devices) {
        device.isolation = Isolation::kProcess;
        for (FunctionSpec& function : device.functions) function.lock_step = true;
        if (!device.is_vhost_user()) continue;
        fields.problem(fields.where("devices"),
                       fmt::format("device '{}' with transport: vhost-user on a machine with time: "
                                   "lock-step, which does not wait for its answers; expected "
                                   "transport: pci",
                                   device.name));
    }
}

}  // namespace mimic::topology
