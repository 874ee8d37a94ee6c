// SPDX-License-Identifier: Apache-2.0
#include "machine/up_source.h"

#include <algorithm>
#include <filesystem>

#include "machine/private_files.h"
#include "topology/topology.h"

namespace mimic::machine {
namespace {

// Levenshtein's distance, one row at a time.
size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t above = row[j];
            row[j] = std::min(
                {row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
            diagonal = above;
        }
    }
    return row[b.size()];
}

Status keep_one(topology::Model& model, const std::string& name) {
    std::vector<std::string> names;
    for (const auto& machine : model.machines) names.push_back(machine.name);
    if (model.find_machine(name) == nullptr)
        return fail(std::errc::invalid_argument, "mimic: error: the file has no machine \"{}\"{}",
                    name, did_you_mean(name, names));
    std::erase_if(model.machines, [&](const auto& machine) { return machine.name != name; });
    return {};
}

Status override_kernel(topology::Model& model, const std::string& kernel) {
    for (auto& machine : model.machines) {
        if (!machine.kernel.image.empty())
            return fail(std::errc::invalid_argument,
                        "mimic: error: machine {} boots an image; --kernel does not apply",
                        machine.name);
        machine.kernel.release = kernel;
    }
    return {};
}

}  // namespace

std::string did_you_mean(const std::string& name, const std::vector<std::string>& candidates) {
    const std::string* best = nullptr;
    size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;
    for (const auto& candidate : candidates) {
        const size_t distance = edit_distance(name, candidate);
        if (distance < best_distance) {
            best = &candidate;
            best_distance = distance;
        }
    }
    if (best != nullptr) return fmt::format("; did you mean {}?", *best);
    if (candidates.empty()) return "";
    return fmt::format("; there {} {}", candidates.size() == 1 ? "is" : "are",
                       fmt::join(candidates, ", "));
}

std::string UpSource::resolve(const std::string& name) const {
    return name.starts_with('/') ? name : folder + "/" + name;
}

Result<UpSource> load_up_source(const UpOptions& options) {
    UpSource source;
    std::error_code error;
    const auto here = std::filesystem::current_path(error).string();
    const bool is_stdin = options.file == "-";
    source.path = is_stdin                        ? "<stdin>"
                  : options.file.starts_with('/') ? options.file
                                                  : here + "/" + options.file;
    source.folder = is_stdin ? here : source.path.substr(0, source.path.rfind('/'));
    auto text = read_small_file(is_stdin ? "/dev/stdin" : options.file);
    if (!text) return tl::unexpected(std::move(text).error().with_context("mimic: error"));
    source.text = std::move(*text);
    auto model = topology::parse(source.text, is_stdin ? source.path : options.file);
    if (!model) return fail(std::errc::invalid_argument, "{}", model.error().str());
    source.model = std::move(*model);
    if (!options.machine.empty()) MIMIC_TRY(keep_one(source.model, options.machine));
    if (!options.kernel.empty()) MIMIC_TRY(override_kernel(source.model, options.kernel));
    return source;
}

}  // namespace mimic::machine
