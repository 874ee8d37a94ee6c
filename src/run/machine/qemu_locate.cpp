// SPDX-License-Identifier: Apache-2.0
#include "machine/qemu_locate.h"

#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "guest_image/guest_image.h"
#include "machine/process.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;

constexpr auto kQueryTimeout = 20s;       // a cold start from a slow disk
constexpr auto kDownloadTimeout = 30min;  // 60 MiB

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
}

std::string in_path(const std::string& name) {
    const char* path = std::getenv("PATH");
    std::istringstream folders(path != nullptr ? path : "/usr/bin:/bin");
    for (std::string folder; std::getline(folders, folder, ':');) {
        const std::string candidate = folder + "/" + name;
        if (!folder.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    return "";
}

std::string sibling_img(const std::string& program) {
    const std::string beside = program.substr(0, program.rfind('/') + 1) + "qemu-img";
    return ::access(beside.c_str(), X_OK) == 0 ? beside : in_path("qemu-img");
}

}  // namespace

Result<Qemu> check_qemu(const std::string& program) {
    constexpr std::string_view kBanner = "QEMU emulator version ";
    MIMIC_ASSIGN_OR_RETURN(const auto about, run_capture({program, "--version"}, kQueryTimeout));
    const size_t banner = about.out.find(kBanner);
    if (!about.exit.ok() || banner == std::string::npos)
        return fail(std::errc::io_error, "{} --version {}: {}", program,
                    about.exit.ok() ? "is not QEMU's" : about.exit.str(), trimmed(about.err));
    Qemu qemu;
    qemu.program = program;
    qemu.img = sibling_img(program);
    const size_t start = banner + kBanner.size();
    qemu.version = about.out.substr(start, about.out.find_first_of(" \n", start) - start);

    std::vector<std::string> argv{program, "-device", "help", "-sandbox", kQemuSandbox};
    MIMIC_ASSIGN_OR_RETURN(auto devices, run_capture(argv, kQueryTimeout));
    qemu.sandbox = devices.exit.ok();
    if (!qemu.sandbox) {  // built without seccomp: the option is an error
        argv.resize(3);
        MIMIC_ASSIGN_OR_RETURN(devices, run_capture(argv, kQueryTimeout));
    }
    // "-device help" goes to stdout; some versions print it to stderr.
    if ((devices.out + devices.err).find("\"vfio-user-pci\"") == std::string::npos)
        return fail(std::errc::not_supported,
                    "{} (QEMU {}) has no vfio-user-pci device, which QEMU has since 10.1. Unset "
                    "MIMIC_QEMU, or run: tools/debs qemu",
                    program, qemu.version);
    return qemu;
}

Result<Qemu> find_qemu() {
    if (const char* chosen = std::getenv("MIMIC_QEMU"); chosen != nullptr && *chosen != '\0')
        return check_qemu(chosen);
    const char* own_only = std::getenv("MIMIC_QEMU_PRIVATE");
    const bool use_system = own_only == nullptr || std::string_view(own_only) != "1";
    if (const auto system = in_path("qemu-system-x86_64"); use_system && !system.empty())
        if (auto qemu = check_qemu(system)) return qemu;
    MIMIC_ASSIGN_OR_RETURN(const auto cache, guest_image::cache_root());
    const std::string own = cache + "/qemu/qemu-system-x86_64";
    if (::access(own.c_str(), X_OK) == 0) return check_qemu(own);
    return fail(std::errc::no_such_file_or_directory,
                "no QEMU with vfio-user-pci (10.1 or newer) is here. Run: tools/debs qemu");
}

Result<Qemu> locate_qemu(guest_image::Progress& progress) {
    progress.step("looking for QEMU");
    auto found = find_qemu();
    if (found || found.error().code() != std::errc::no_such_file_or_directory ||
        std::getenv("MIMIC_QEMU") != nullptr)
        return found;
    MIMIC_ASSIGN_OR_RETURN(const auto tool, guest_image::find_support_file("tools/debs"));
    progress.step("preparing a QEMU with vfio-user-pci (once)");
    MIMIC_ASSIGN_OR_RETURN(const auto made, run_capture({tool, "qemu"}, kDownloadTimeout));
    if (!made.exit.ok())
        return fail(std::errc::io_error, "tools/debs qemu {}:\n{}", made.exit.str(),
                    trimmed(made.err));
    return check_qemu(trimmed(made.out) + "/qemu-system-x86_64");
}

}  // namespace mimic::machine
