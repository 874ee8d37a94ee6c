// SPDX-License-Identifier: Apache-2.0
#include "mediator/config/parse.h"

#include "base/private_files.h"
#include "mediator/config/keys.h"
#include "mediator/config/reader.h"
#include "yaml/fields.h"

namespace mimic::mediator {
namespace {

constexpr yaml::Hints kHints{.content = "'version: 1', 'mediator:' and 'pools:'",
                             .merge = "the keys of each VM and backend written out"};

/// False: the file is for another version of the language, so more messages would mislead.
bool read_version(const yaml::Fields& fields) {
    fields.require("version", "'version: 1'");
    const auto version = fields.text("version", "1");
    if (!version || *version == "1") return true;
    fields.problem(fields.where("version"),
                   fmt::format("version is {}; expected 1, the one this program knows",
                               fields.find("version")->describe()));
    return false;
}

void read_file(const yaml::YamlPtr& root, Config& config, yaml::Diagnostics& diagnostics) {
    const yaml::Fields fields(root, "file", kFileKeys, diagnostics);
    if (root->kind != yaml::YamlNode::Kind::kMap || !read_version(fields)) return;
    if (const auto mediator = fields.share("mediator"))
        read_mediator(mediator, config, diagnostics);
    fields.require("pools", "a list of pools");
    if (const auto* const pools = fields.list("pools", "a list of pools"))
        read_pools(*pools, config, diagnostics);
    if (const auto* const vms = fields.list("vms", "a list of VMs"))
        read_vms(*vms, config, diagnostics);
    if (const auto others = fields.share("others")) read_others(others, config, diagnostics);
    if (!diagnostics.empty()) return;
    if (config.vms.empty() && !config.others)
        fields.problem(fields.where(),
                       "no VM could ask; expected 'vms:' or, for any VM, 'others:'");
    if (!config.vm_sockets.empty() && config.vms.empty())
        fields.problem(fields.where("mediator"),
                       "vm_sockets without 'vms:'; expected the VMs whose sockets to make");
}

}  // namespace

tl::expected<Config, yaml::Diagnostics> parse(std::string_view text, std::string_view file_name) {
    yaml::Diagnostics diagnostics(text, file_name);
    Config config;
    if (const auto root = yaml::read_yaml(text, diagnostics, kHints))
        read_file(root, config, diagnostics);
    if (diagnostics.empty()) return config;
    diagnostics.sort();
    return tl::unexpected<yaml::Diagnostics>(std::move(diagnostics));
}

Result<Config> load(const std::string& path) {
    MIMIC_ASSIGN_OR_RETURN(const std::string text, read_small_file(path));
    auto config = parse(text, path);
    if (config) return std::move(*config);
    std::string report = config.error().str();
    if (report.ends_with('\n')) report.pop_back();
    return fail(std::errc::invalid_argument, "{}", report);
}

}  // namespace mimic::mediator
