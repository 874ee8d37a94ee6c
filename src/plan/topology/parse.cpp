// SPDX-License-Identifier: Apache-2.0
// parse() and load(): the whole file. docs/topology.md, "File".
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "topology/parameters.h"
#include "topology/reader.h"
#include "topology/topology.h"

namespace mimic::topology {
namespace {

/// False: the file is for another version of the language, so more messages would mislead.
bool read_version(const Fields& fields) {
    fields.require("version", "'version: 1'");
    const auto version = fields.text("version", "1");
    if (!version || *version == "1") return true;
    fields.problem(fields.where("version"),
                   fmt::format("version is {}; expected 1, the one this program knows",
                               fields.find("version")->describe()));
    return false;
}

void read_file(const YamlPtr& root, model::Models models, Model& model, Diagnostics& diagnostics) {
    const Scope scope;
    const Fields fields(root, "file", kFileKeys, scope, diagnostics);
    if (root->kind != YamlNode::Kind::kMap || !read_version(fields)) return;
    const DeviceKeys keys(models);
    Templates templates(diagnostics, keys);
    if (const YamlPtr node = fields.share("templates")) templates.read(node);
    ReadState state{.diagnostics = diagnostics,
                    .templates = templates,
                    .models = models,
                    .keys = keys,
                    .identifiers = {}};
    const YamlPtr one = fields.share("machine");
    const YamlNode* many = fields.list("machines", "a list of machines");
    if (one && many) {
        fields.problem(fields.where("machines"),
                       "both 'machine' and 'machines'; expected one of them");
    } else if (one) {
        read_machine_item(one, model, state);
    } else if (many) {
        for (const YamlPtr& item : many->items) {
            if (!read_machine_item(item, model, state)) break;
        }
    }
    if (model.machines.empty() && diagnostics.empty()) {
        fields.problem(fields.where("machines"), "no machine; expected 'machine:' or 'machines:'");
    }
}

void name_fabrics(model::Models models, Model& model) {
    const auto found = std::find_if(models.begin(), models.end(), [](const auto* one) {
        return one->facts.part == model::Part::kFabric;
    });
    for (Machine& machine : model.machines) {
        for (FabricSpec& fabric : machine.fabrics)
            fabric.model = found == models.end() ? nullptr : *found;
    }
}

/// The bytes of `path` up to one more than a topology file may have.
Result<std::string> read_bytes(const std::string& path) {
    const bool is_stdin = path == "-";
    std::FILE* opened = is_stdin ? stdin : std::fopen(path.c_str(), "rbe");
    if (!opened) return fail_errno("cannot open {}", path);
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
        opened, is_stdin ? [](std::FILE*) { return 0; } : &std::fclose);
    std::string text(kMaxFileBytes + 1, '\0');
    errno = 0;
    const size_t size = std::fread(text.data(), 1, text.size(), opened);
    if (std::ferror(opened) != 0) return fail_errno("cannot read {}", path);
    text.resize(size);
    return text;
}

}  // namespace

tl::expected<Model, Diagnostics> parse(std::string_view given, std::string_view file_name,
                                       model::Models models) {
    // Only defaults: what a command line says has been put in before. Without parameters it cannot
    // fail, and a default is shorter than what it stands in.
    const std::string text = *replace_parameters(given, {});
    Diagnostics diagnostics(text, file_name);
    Model model;
    model.file_name = file_name;
    if (const YamlPtr root = topology::read_yaml(text, diagnostics))
        read_file(root, models, model, diagnostics);
    if (diagnostics.empty()) {
        name_fabrics(models, model);
        model.notes = diagnostics.notes();
        return model;
    }
    diagnostics.sort();
    return tl::unexpected<Diagnostics>(std::move(diagnostics));
}

Result<Model> load(const std::string& path, model::Models models, const Parameters& parameters) {
    MIMIC_ASSIGN_OR_RETURN(const std::string bytes, read_bytes(path));
    auto replaced = replace_parameters(bytes, parameters);
    if (!replaced)
        return tl::unexpected(std::move(replaced).error().with_context("mimic: error: " + path));
    const std::string& text = *replaced;
    auto model = parse(text, path == "-" ? "<stdin>" : path, models);
    if (model) return std::move(*model);
    std::string report = model.error().str();
    if (report.ends_with('\n')) report.pop_back();
    return fail(std::errc::invalid_argument, "{}", report);
}

std::string load_report(const Error& error) {
    return error.code() == std::errc::invalid_argument ? error.message()
                                                       : "mimic: error: " + error.message();
}

}  // namespace mimic::topology
