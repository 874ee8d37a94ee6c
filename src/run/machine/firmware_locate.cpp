// SPDX-License-Identifier: Apache-2.0
#include "machine/firmware_locate.h"

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <utility>

#include "guest_image/guest_image.h"
#include "guest_image/host_tool.h"

namespace mimic::machine {
namespace {

/// Names of the two files in a folder, those without Secure Boot.
constexpr std::pair<const char*, const char*> kNames[] = {{"OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"},
                                                          {"OVMF_CODE.fd", "OVMF_VARS.fd"}};
constexpr const char* kFolders[] = {"/usr/share/OVMF", "/usr/share/edk2/ovmf",
                                    "/usr/share/edk2/x64"};

std::optional<Firmware> firmware_in(const std::string& folder) {
    for (const auto& [code, variables] : kNames) {
        const Firmware found{folder + "/" + code, folder + "/" + variables};
        if (::access(found.code.c_str(), R_OK) == 0 && ::access(found.variables.c_str(), R_OK) == 0)
            return found;
    }
    return std::nullopt;
}

}  // namespace

Result<Firmware> locate_firmware(guest_image::Progress& progress) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here calls setenv(3)
    if (const char* chosen = std::getenv("MIMIC_OVMF"); chosen != nullptr && *chosen != '\0') {
        if (const auto found = firmware_in(chosen)) return *found;
        return fail(std::errc::no_such_file_or_directory,
                    "MIMIC_OVMF={} has no firmware; expected OVMF_CODE_4M.fd and OVMF_VARS_4M.fd, "
                    "or OVMF_CODE.fd and OVMF_VARS.fd",
                    chosen);
    }
    for (const char* folder : kFolders)
        if (const auto found = firmware_in(folder)) return *found;
    progress.step("");  // tools/debs says itself what takes long
    MIMIC_ASSIGN_OR_RETURN(const auto tool, guest_image::find_support_file("tools/debs"));
    MIMIC_ASSIGN_OR_RETURN(const auto folder, guest_image::run_tool({tool, "firmware"}, true));
    if (const auto found = firmware_in(folder)) return *found;
    return fail(std::errc::no_such_file_or_directory, "tools/debs firmware left none in {}",
                folder);
}

}  // namespace mimic::machine
