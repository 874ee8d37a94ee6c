// SPDX-License-Identifier: Apache-2.0
// regdump: prints what is generated from register maps, and keeps the committed copies true. The
// list of all maps is kDevices below; a new device adds its line there.
//
//   regdump DEVICE markdown|header   prints one text
//   regdump --write ROOT             rewrites every README section and kernel header below the
//   source tree ROOT regdump --check ROOT             exits 1 and names each that differs from what
//   --write would make
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "devices/mock_accel/registers.h"
#include "reg/describe.h"

namespace mimic {
namespace {

struct Device {
    reg::MapView map;
    const char* readme;  // relative to the source tree; has the markers
    const char* header;  // nullptr: no kernel driver
};

constexpr std::array<Device, 1> kDevices = {{
    {mock_accel::kMap.view(), "src/devices/mock_accel/README.md",
     "kernel/mock-accel/mock_accel_regs.h"},
}};

Result<std::string> read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail_errno("open {}", path.string());
    return std::string(std::istreambuf_iterator<char>(file), {});
}

/// Replaces a file by way of a temporary one, so that a full disk leaves the old one.
Status write_file(const std::filesystem::path& path, const std::string& text) {
    const std::filesystem::path temporary = path.string() + ".new";
    {
        std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
        file << text;
        file.close();
        if (!file) return fail_errno("write {}", temporary.string());
    }
    std::error_code error;
    std::filesystem::rename(temporary, path, error);
    if (error) return fail(std::errc::io_error, "rename to {}: {}", path.string(), error.message());
    return {};
}

/// `readme` with the text between the device's markers replaced.
Result<std::string> with_section(const std::string& readme, const Device& device) {
    const std::string begin = fmt::format("<!-- regdump:begin {} -->\n", device.map.options.name);
    const std::string end = fmt::format("<!-- regdump:end {} -->\n", device.map.options.name);
    const size_t begin_at = readme.find(begin);
    const size_t end_at = readme.find(end);
    if (begin_at == std::string::npos || end_at == std::string::npos || end_at < begin_at) {
        return fail(std::errc::invalid_argument, "{} lacks the lines {}and {}", device.readme,
                    begin, end);
    }
    return readme.substr(0, begin_at + begin.size()) + reg::markdown(device.map) +
           readme.substr(end_at);
}

/// Makes one file what it should be, or only says whether it is. Returns whether it was.
Result<bool> sync(const std::filesystem::path& path, const std::string& wanted, bool write) {
    std::string found;
    if (std::filesystem::exists(path)) {
        MIMIC_ASSIGN_OR_RETURN(found, read_file(path));
    }
    if (found == wanted) return true;
    if (write) MIMIC_TRY(write_file(path, wanted));
    std::fprintf(stderr, "%s: %s\n", path.c_str(),
                 write ? "rewritten" : "differs from its register map; run `regdump --write`");
    return false;
}

Result<bool> sync_device(const Device& device, const std::filesystem::path& root, bool write) {
    MIMIC_ASSIGN_OR_RETURN(const std::string readme, read_file(root / device.readme));
    MIMIC_ASSIGN_OR_RETURN(const std::string wanted, with_section(readme, device));
    MIMIC_ASSIGN_OR_RETURN(bool same, sync(root / device.readme, wanted, write));
    if (device.header) {
        MIMIC_ASSIGN_OR_RETURN(const std::string header, reg::c_header(device.map));
        MIMIC_ASSIGN_OR_RETURN(const bool same_header, sync(root / device.header, header, write));
        same = same && same_header;
    }
    return same;
}

int sync_all(const std::filesystem::path& root, bool write) {
    bool all_same = true;
    for (const Device& device : kDevices) {
        const Result<bool> same = sync_device(device, root, write);
        if (!same) {
            std::fprintf(stderr, "regdump: %s\n", same.error().message().c_str());
            return 2;
        }
        all_same = all_same && *same;
    }
    return all_same || write ? 0 : 1;
}

int print(std::string_view name, std::string_view format) {
    for (const Device& device : kDevices) {
        if (device.map.options.name != name) continue;
        const Result<std::string> text = format == "header"
                                             ? reg::c_header(device.map)
                                             : Result<std::string>(reg::markdown(device.map));
        if (!text) {
            std::fprintf(stderr, "regdump: %s\n", text.error().message().c_str());
            return 2;
        }
        std::fputs(text->c_str(), stdout);
        return std::fflush(stdout) == 0 ? 0 : 2;
    }
    std::fprintf(stderr, "regdump: no device %s; there are:", std::string(name).c_str());
    for (const Device& device : kDevices) std::fprintf(stderr, " %s", device.map.options.name);
    std::fputs("\n", stderr);
    return 2;
}

int run(std::span<char* const> arguments) {
    if (arguments.size() == 2) {
        const std::string_view first = arguments[0];
        const std::string_view second = arguments[1];
        if (first == "--check" || first == "--write") return sync_all(second, first == "--write");
        if (second == "markdown" || second == "header") return print(first, second);
    }
    std::fputs(
        "Usage: regdump DEVICE markdown|header\n"
        "       regdump --check ROOT | --write ROOT\n",
        stderr);
    return 2;
}

}  // namespace
}  // namespace mimic

int main(int argc, char* argv[]) {
    return mimic::run({argv + 1, static_cast<size_t>(argc > 0 ? argc - 1 : 0)});
}
