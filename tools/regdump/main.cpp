// SPDX-License-Identifier: Apache-2.0
// regdump: prints what is generated from the models of devices, and keeps the committed copies
// true: register tables and kernel headers, tables of docs/topology.md and of
// docs/kubernetes/api-reference.md, keys of the schema. A device's README is in src/devices/<name
// of its register map>, its kernel header in its driver's folder; a page of docs/ with the markers
// has its table, too.
//
// clang-format off
//   regdump DEVICE markdown|header   prints one text
//   regdump --write ROOT             rewrites all that is generated below the source tree ROOT
//   regdump --check ROOT             exits 1 and names each that --write would change
// clang-format on
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "devices/all_dra.h"
#include "devices/all_models.h"
#include "dra_docs.h"
#include "model_docs.h"
#include "reg/describe.h"

namespace mimic {
namespace {

struct Device {
    reg::MapView map;
    std::string readme;  // relative to the source tree; has the markers
    std::string header;  // empty: no kernel driver
};

/// Devices of this tree with a register map.
std::vector<Device> devices_of(const std::filesystem::path& root) {
    std::vector<Device> out;
    for (const model::DeviceModel* model : devices::all_models()) {
        const reg::MapView* const map = model->map != nullptr ? model->map : model->config_map;
        if (map == nullptr) continue;
        const std::string folder = map->options.name;
        Device device{*map, fmt::format("src/devices/{}/README.md", folder), ""};
        // A folder outside of src/devices (MIMIC_DEVICE_FOLDERS) keeps its own documents.
        if (!root.empty() && !std::filesystem::exists(root / device.readme)) continue;
        if (model->map != nullptr && !model->driver.module_folder.empty()) {
            device.header = fmt::format("{}/{}_regs.h", model->driver.module_folder, folder);
        }
        out.push_back(std::move(device));
    }
    return out;
}

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

/// Returns whether the file at `path` is as wanted. If not: writes it, or only says so.
Result<bool> sync(const std::filesystem::path& path, const std::string& wanted, bool write) {
    std::string found;
    if (std::filesystem::exists(path)) {
        MIMIC_ASSIGN_OR_RETURN(found, read_file(path));
    }
    if (found == wanted) return true;
    if (write) MIMIC_TRY(write_file(path, wanted));
    std::fprintf(stderr, "%s: %s\n", path.c_str(),
                 write ? "rewritten" : "differs from the models; run `regdump --write`");
    return false;
}

/// The device's README, and the pages of docs/ that have a place for its table.
Result<std::vector<std::filesystem::path>> pages_of(const Device& device,
                                                    const std::filesystem::path& root) {
    std::vector<std::filesystem::path> pages = {root / device.readme};
    const std::string marker = fmt::format("<!-- regdump:begin {} -->", device.map.options.name);
    for (const auto& entry : std::filesystem::directory_iterator(root / "docs")) {
        if (entry.path().extension() != ".md") continue;
        MIMIC_ASSIGN_OR_RETURN(const std::string text, read_file(entry.path()));
        if (text.find(marker) != std::string::npos) pages.push_back(entry.path());
    }
    return pages;
}

Result<bool> sync_device(const Device& device, const std::filesystem::path& root, bool write) {
    bool same = true;
    MIMIC_ASSIGN_OR_RETURN(const auto pages, pages_of(device, root));
    for (const std::filesystem::path& page : pages) {
        MIMIC_ASSIGN_OR_RETURN(const std::string text, read_file(page));
        MIMIC_ASSIGN_OR_RETURN(const std::string wanted, with_section(text, device.map.options.name,
                                                                      reg::markdown(device.map)));
        MIMIC_ASSIGN_OR_RETURN(const bool same_page, sync(page, wanted, write));
        same = same && same_page;
    }
    if (!device.header.empty()) {
        MIMIC_ASSIGN_OR_RETURN(const std::string header, reg::c_header(device.map));
        MIMIC_ASSIGN_OR_RETURN(const bool same_header, sync(root / device.header, header, write));
        same = same && same_header;
    }
    return same;
}

/// The documents that have something of every model.
Result<bool> sync_documents(const std::filesystem::path& root, bool write) {
    const auto page_path = root / "docs/topology.md";
    const auto schema_path = root / "docs/schema/mimic-v1.schema.json";
    MIMIC_ASSIGN_OR_RETURN(const std::string page, read_file(page_path));
    MIMIC_ASSIGN_OR_RETURN(const std::string schema, read_file(schema_path));
    const model::Models models = devices::all_models();
    MIMIC_ASSIGN_OR_RETURN(const std::string wanted, with_models(page, models));
    MIMIC_ASSIGN_OR_RETURN(const std::string wanted_schema, schema_with_models(schema, models));
    MIMIC_ASSIGN_OR_RETURN(const bool same, sync(page_path, wanted, write));
    MIMIC_ASSIGN_OR_RETURN(const bool same_schema, sync(schema_path, wanted_schema, write));
    const auto reference_path = root / "docs/kubernetes/api-reference.md";
    MIMIC_ASSIGN_OR_RETURN(const std::string reference, read_file(reference_path));
    MIMIC_ASSIGN_OR_RETURN(const std::string wanted_reference,
                           with_dra(reference, devices::all_dra()));
    MIMIC_ASSIGN_OR_RETURN(const bool same_reference,
                           sync(reference_path, wanted_reference, write));
    return same && same_schema && same_reference;
}

int sync_all(const std::filesystem::path& root, bool write) {
    bool all_same = true;
    std::vector<Result<bool>> results;
    for (const Device& device : devices_of(root))
        results.push_back(sync_device(device, root, write));
    results.push_back(sync_documents(root, write));
    for (const Result<bool>& same : results) {
        if (!same) {
            std::fprintf(stderr, "regdump: %s\n", same.error().message().c_str());
            return 2;
        }
        all_same = all_same && *same;
    }
    return all_same || write ? 0 : 1;
}

int print(std::string_view name, std::string_view format) {
    for (const Device& device : devices_of({})) {
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
    for (const Device& device : devices_of({}))
        std::fprintf(stderr, " %s", device.map.options.name);
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
