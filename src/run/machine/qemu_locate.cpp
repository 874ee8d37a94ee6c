// SPDX-License-Identifier: Apache-2.0
#include "machine/qemu_locate.h"

#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "guest_image/guest_image.h"
#include "machine/process.h"
#include "topology/arch.h"

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

// Behind names of the cache and of programs: nothing for the architecture that Mimic began with.
std::string suffix(topology::Arch arch) {
    return arch == topology::Arch::kX86_64 ? "" : fmt::format("-{}", topology::facts_of(arch).name);
}

std::string program_name(topology::Arch arch) {
    return fmt::format("qemu-system-{}", topology::facts_of(arch).name);
}

// The user's own choice, or nullptr.
const char* chosen_qemu(topology::Arch arch) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here calls setenv(3)
    const char* const chosen = std::getenv(arch == topology::Arch::kX86_64 ? "MIMIC_QEMU"
                                                                           : "MIMIC_QEMU_RISCV64");
    return chosen != nullptr && *chosen != '\0' ? chosen : nullptr;
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

Result<Qemu> find_qemu(topology::Arch arch) {
    if (const char* chosen = chosen_qemu(arch)) return check_qemu(chosen);
    const char* own_only = std::getenv("MIMIC_QEMU_PRIVATE");
    const bool use_system = own_only == nullptr || std::string_view(own_only) != "1";
    if (const auto system = in_path(program_name(arch)); use_system && !system.empty())
        if (auto qemu = check_qemu(system)) return qemu;
    MIMIC_ASSIGN_OR_RETURN(const auto cache, guest_image::cache_root());
    const std::string own = fmt::format("{}/qemu{}/{}", cache, suffix(arch), program_name(arch));
    if (::access(own.c_str(), X_OK) == 0) return check_qemu(own);
    return fail(std::errc::no_such_file_or_directory,
                "no QEMU with vfio-user-pci (10.1 or newer) is here{}. Run: tools/debs qemu{}",
                arch == topology::Arch::kX86_64 ? "" : " for riscv64",
                arch == topology::Arch::kX86_64 ? "" : " riscv64");
}

Result<Qemu> locate_qemu(guest_image::Progress& progress, topology::Arch arch) {
    progress.step("looking for QEMU");
    auto found = find_qemu(arch);
    if (found || found.error().code() != std::errc::no_such_file_or_directory ||
        chosen_qemu(arch) != nullptr)
        return found;
    MIMIC_ASSIGN_OR_RETURN(const auto tool, guest_image::find_support_file("tools/debs"));
    progress.step("preparing a QEMU with vfio-user-pci (once)");
    std::vector<std::string> command{tool, "qemu"};
    if (arch != topology::Arch::kX86_64) command.emplace_back(topology::facts_of(arch).name);
    MIMIC_ASSIGN_OR_RETURN(const auto made, run_capture(command, kDownloadTimeout));
    if (!made.exit.ok())
        return fail(std::errc::io_error, "tools/debs qemu {}:\n{}", made.exit.str(),
                    trimmed(made.err));
    return check_qemu(trimmed(made.out) + "/" + program_name(arch));
}

}  // namespace mimic::machine
