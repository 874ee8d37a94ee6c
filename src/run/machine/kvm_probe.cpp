// SPDX-License-Identifier: Apache-2.0
#include "machine/kvm_probe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/private_files.h"
#include "base/unique_fd.h"
#include "guest_image/guest_image.h"
#include "machine/process.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

// A kernel gets to its missing root file system in 1 to 3 s under KVM, nested included.
constexpr auto kProbeTimeout = 10s;

// What a verdict holds for. Kernels are not told apart: a host that does not run one Debian kernel
// is not to be trusted with the next.
std::string fingerprint(const Qemu& qemu) {
    auto boot_id = read_small_file("/proc/sys/kernel/random/boot_id").value_or("unknown");
    while (!boot_id.empty() && boot_id.back() == '\n') boot_id.pop_back();
    return fmt::format("{} {} {}", boot_id, qemu.program, qemu.version);
}

std::string verdict_file() {
    const auto cache = guest_image::cache_root();
    return cache ? *cache + "/kvm.json" : "";
}

// Prints on the serial line all the way to the missing root file system, and then QEMU ends
// (-no-reboot).
std::vector<std::string> probe_argv(const Qemu& qemu, const std::string& kernel) {
    return {qemu.program,
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-machine",
            "q35,accel=kvm",
            "-cpu",
            "host",
            "-smp",
            "2",
            "-m",
            "256",
            "-serial",
            "stdio",
            "-kernel",
            kernel,
            "-append",
            "console=ttyS0 panic=-1 loglevel=7"};
}

KvmVerdict boot_guest(const Qemu& qemu, const std::string& kernel) {
    const auto booted = run_capture(probe_argv(qemu, kernel), kProbeTimeout);
    if (!booted && booted.error().code() == std::errc::timed_out)
        return {false, "/dev/kvm opens, but a guest kernel does not boot under KVM within 10 s",
                true};
    if (!booted) return {false, booted.error().message(), false};
    if (booted->out.find("Unable to mount root fs") != std::string::npos)
        return {true, "a guest kernel boots under KVM", true};
    const size_t end = booted->err.find('\n');
    return {false,
            fmt::format("/dev/kvm opens, but QEMU {} under KVM: {}", booted->exit.str(),
                        booted->err.substr(0, end)),
            true};
}

}  // namespace

KvmVerdict known_kvm_verdict(const Qemu& qemu) {
    if (const char* wish = std::getenv("MIMIC_KVM"); wish != nullptr && std::strcmp(wish, "0") == 0)
        return {false, "MIMIC_KVM=0 is set", true};
    const UniqueFd device(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
    if (!device) {
        if (errno == EACCES)
            return {false, "no permission to use /dev/kvm (join its group: usermod -aG kvm USER)",
                    true};
        return {false, fmt::format("/dev/kvm: {}", std::strerror(errno)), true};
    }
    const auto text = read_small_file(verdict_file());
    if (!text) return {false, "not tried yet: the first mimic up boots a kernel to see", false};
    const Json kept = Json::parse(*text, nullptr, false);
    // Json::value() throws on another type, and anybody may have edited the file.
    const bool whole = kept.is_object() && kept.contains("for") && kept["for"].is_string() &&
                       kept.contains("usable") && kept["usable"].is_boolean() &&
                       kept.contains("reason") && kept["reason"].is_string();
    if (whole && kept["for"].get<std::string>() == fingerprint(qemu))
        return {kept["usable"].get<bool>(), kept["reason"].get<std::string>(), true};
    return {false, "not tried since the last reboot, or not with this QEMU", false};
}

KvmVerdict probe_kvm(const Qemu& qemu, const std::string& kernel, guest_image::Progress& progress,
                     bool trusted) {
    KvmVerdict verdict = known_kvm_verdict(qemu);
    if (verdict.probed) return verdict;
    progress.step("trying whether a guest runs under KVM (once, 10 s at most)");
    verdict = boot_guest(qemu, kernel);
    if (verdict.probed && (trusted || verdict.usable)) {
        const Json kept{
            {"for", fingerprint(qemu)}, {"usable", verdict.usable}, {"reason", verdict.reason}};
        // Without a cache the next run tries again; nothing is lost.
        [[maybe_unused]] const Status written = write_file_atomically(
            verdict_file(), kept.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    }
    return verdict;
}

}  // namespace mimic::machine
