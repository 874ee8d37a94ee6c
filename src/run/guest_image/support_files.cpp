// SPDX-License-Identifier: Apache-2.0
// Where Mimic's own scripts and sources are: beside an installed program, or in the source tree
// that it was built from.
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <filesystem>

#include "base/private_files.h"
#include "guest_image/guest_image.h"

namespace mimic::guest_image {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kToolsPrefix = "tools/";

/// The folder above the one that holds this program, or an empty path.
fs::path program_prefix() {
    char buffer[PATH_MAX];
    const ssize_t length = ::readlink("/proc/self/exe", buffer, sizeof(buffer));
    if (length <= 0 || static_cast<size_t>(length) == sizeof(buffer)) return {};
    return fs::path(std::string(buffer, static_cast<size_t>(length))).parent_path().parent_path();
}

std::string non_empty_environment(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

std::string with_suffix(std::string path, std::string_view suffix) {
    return path.empty() ? path : path.append(suffix);
}

}  // namespace

Result<std::string> cache_root() {
    std::string path = non_empty_environment("MIMIC_CACHE");
    if (path.empty()) path = with_suffix(non_empty_environment("XDG_CACHE_HOME"), "/mimic");
    if (path.empty()) path = with_suffix(non_empty_environment("HOME"), "/.cache/mimic");
    if (path.empty()) {
        return fail(std::errc::no_such_file_or_directory,
                    "no place for the cache: set MIMIC_CACHE, XDG_CACHE_HOME or HOME");
    }
    // Programs in it are run.
    const Status checked = check_owner(path,
                                       "chown it, or set MIMIC_CACHE to a folder of your own");
    if (!checked && checked.error().code() == std::errc::permission_denied) {
        return tl::unexpected<Error>(checked.error());
    }
    return path;  // it may not be there yet
}

Result<std::string> find_support_file(const std::string& name) {
    const bool is_tool = name.starts_with(kToolsPrefix);
    std::vector<fs::path> places;
    if (const std::string tools = non_empty_environment("MIMIC_TOOLS_DIR"); !tools.empty()) {
        places.push_back(is_tool ? fs::path(tools) / name.substr(kToolsPrefix.size())
                                 : fs::path(tools).parent_path() / name);
    }
    if (const fs::path prefix = program_prefix(); !prefix.empty()) {
        places.push_back(is_tool ? prefix / "libexec/mimic" / name.substr(kToolsPrefix.size())
                                 : prefix / "share/mimic" / name);
    }
    places.push_back(fs::path(MIMIC_SOURCE_DIR) / name);
    std::string tried;
    for (const fs::path& place : places) {
        std::error_code error;
        if (fs::exists(place, error)) return place.string();
        tried += (tried.empty() ? "" : ", ") + place.string();
    }
    return fail(std::errc::no_such_file_or_directory, "{} of Mimic not found; looked at {}", name,
                tried);
}

}  // namespace mimic::guest_image
