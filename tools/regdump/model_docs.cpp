// SPDX-License-Identifier: Apache-2.0
#include "model_docs.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace mimic {
namespace {

using Json = nlohmann::ordered_json;
using model::DeviceModel;
using model::Property;

/// "16G", "4K": the largest unit that leaves a whole number.
std::string size_text(uint64_t bytes) {
    constexpr std::string_view kUnits = "KMGTP";
    size_t unit = 0;
    while (bytes != 0 && bytes % 1024 == 0 && unit < kUnits.size()) {
        bytes /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{}", bytes) : fmt::format("{}{}", bytes, kUnits[unit - 1]);
}

std::string number_text(uint64_t value) {
    return value > 0xffff ? fmt::format("{:#x}", value) : fmt::format("{}", value);
}

std::string value_text(const Property& property) {
    switch (property.kind) {
        case Property::Kind::kNumber:
            return fmt::format("[number](#values), {} to {}", property.min,
                               number_text(property.max));
        case Property::Kind::kSize:
            return fmt::format("[size](#values), {} to {}", size_text(property.min),
                               size_text(property.max));
        case Property::Kind::kWord:
            return fmt::format("`{}`", fmt::join(property.words, "`, `"));
        case Property::Kind::kLetter:
            return fmt::format("a letter, {} to {}", property.text(property.min),
                               property.text(property.max));
        case Property::Kind::kPowerOfTwo:
            break;
    }
    return fmt::format("[size](#values), a power of two from {} to {}, or 0",
                       size_text(property.min), size_text(property.max));
}

std::string default_text(const Property& property, bool of_vf) {
    if (of_vf && property.of_vf == Property::OfVf::kAsPf) return "the PF's";
    if (of_vf && property.of_vf == Property::OfVf::kCountOn) return "the PF's + 1 + index";
    const uint64_t value = of_vf ? property.vf_default : property.pf_default;
    switch (property.kind) {
        case Property::Kind::kNumber:
            return number_text(value);
        case Property::Kind::kWord:
        case Property::Kind::kLetter:
            return fmt::format("`{}`", property.text(value));
        default:
            return size_text(value);
    }
}

std::string properties_table(model::Models models, bool of_vf) {
    std::string out = "| key | model | value | default |\n|---|---|---|---|\n";
    for (const DeviceModel* model : models) {
        for (const Property& property : model->properties) {
            out += fmt::format("| `{}` | `{}` | {}: {} | {} |\n", property.key, model->facts.name,
                               value_text(property), property.doc, default_text(property, of_vf));
        }
    }
    return out;
}

void add_settings(const model::Settings settings, const std::string& path, std::string_view model,
                  std::string& out) {
    using Kind = model::Setting::Kind;
    for (const model::Setting& setting : settings) {
        const std::string key = path + std::string(setting.key);
        std::string value = expected_text(setting);
        if (setting.kind == Kind::kChoice)
            value = fmt::format("`{}`", fmt::join(setting.words, "`, `"));
        out += fmt::format("| `{}` | `{}` | {}: {} | {} |\n", key, model, value, setting.doc,
                           setting.fallback.empty() ? "" : fmt::format("`{}`", setting.fallback));
        add_settings(setting.settings, key + (setting.kind == Kind::kList ? "[]." : "."), model,
                     out);
    }
}

std::string settings_table(model::Models models) {
    std::string out = "| key | model | value | default |\n|---|---|---|---|\n";
    for (const DeviceModel* model : models)
        add_settings(model->settings, "", model->facts.name, out);
    return out;
}

std::string models_table(model::Models models) {
    std::string out = "| model | what | ids of PF and VF | VFs at most |\n|---|---|---|---|\n";
    for (const DeviceModel* model : models) {
        const model::ModelFacts& facts = model->facts;
        if (facts.part != model::Part::kDevice) continue;
        const std::string ids = facts.source != model::Source::kFacts
                                    ? std::string("as the file says")
                                    : fmt::format(
                                          "{:04x}:{:04x}{}", facts.vendor(), facts.device(),
                                          facts.vf_device_id == 0
                                              ? ""
                                              : fmt::format(", {:04x}:{:04x}", facts.vendor_id,
                                                            facts.vf_device_id));
        out += fmt::format(
            "| `{}`{} | {} | {} | {} |\n", facts.name,
            facts.old_name.empty() ? "" : fmt::format(" (old word: `{}`)", facts.old_name),
            facts.doc, ids,
            facts.max_static_vfs + facts.max_native_vfs == 0
                ? std::string("-")
                : fmt::format("{} static, {} native", facts.max_static_vfs, facts.max_native_vfs));
    }
    return out;
}

/// What a YAML reader makes of `word` without quotes.
Json scalar_of(std::string_view word) {
    Json value = Json::parse(word, nullptr, false);
    return value.is_boolean() || value.is_number() ? value : Json(word);
}

Json property_schema(const Property& property, bool of_vf) {
    Json out = {{"description", fmt::format("{}{}.", property.doc, of_vf ? ", of each VF" : "")}};
    switch (property.kind) {
        case Property::Kind::kNumber:
            out["anyOf"] = {
                {{"type", "integer"}, {"minimum", property.min}, {"maximum", property.max}},
                {{"$ref", "#/$defs/numberText"}}};
            break;
        case Property::Kind::kSize:
            out["$ref"] = "#/$defs/size";
            break;
        case Property::Kind::kPowerOfTwo:
            out["$ref"] = "#/$defs/barSize";
            break;
        case Property::Kind::kWord:
            for (const std::string_view word : property.words) {
                if (Json value = scalar_of(word); !value.is_string()) out["enum"].push_back(value);
                out["enum"].push_back(word);
            }
            break;
        case Property::Kind::kLetter:
            out["type"] = "string";
            out["pattern"] = fmt::format("^[{}-{}]$", property.text(property.min),
                                         property.text(property.max));
            break;
    }
    return out;
}

Json setting_schema(const model::Setting& setting);

/// A mapping of `settings`.
Json group_schema(const model::Settings settings) {
    Json out = {
        {"type", "object"}, {"additionalProperties", false}, {"properties", Json::object()}};
    for (const model::Setting& setting : settings)
        out["properties"][std::string(setting.key)] = setting_schema(setting);
    return out;
}

Json number_schema(const model::Setting& setting) {
    Json number = {{"type", "integer"}, {"minimum", setting.min}};
    if (setting.max != UINT64_MAX) number["maximum"] = setting.max;
    return number;
}

Json setting_schema(const model::Setting& setting) {
    using Kind = model::Setting::Kind;
    Json out = Json::object();
    switch (setting.kind) {
        case Kind::kNumber:
            out["anyOf"] = {number_schema(setting), {{"$ref", "#/$defs/numberText"}}};
            break;
        case Kind::kReal:
            out["anyOf"] = {
                {{"type", "number"}, {"minimum", setting.least}, {"maximum", setting.most}},
                {{"type", "string"}, {"pattern", "^[0-9.]+([eE][-+]?[0-9]+)?$"}}};
            break;
        case Kind::kSize:
            out["$ref"] = "#/$defs/size";
            break;
        case Kind::kDuration:
            out = {{"type", "string"}, {"pattern", "^[0-9]+([.][0-9]+)?(ps|ns|us|ms|s)$"}};
            break;
        case Kind::kFrequency:
            out = {{"type", "string"}, {"pattern", "^[0-9]+([.][0-9]+)?[kMGT]?Hz$"}};
            break;
        case Kind::kChoice:
            for (const std::string_view word : setting.words) out["enum"].push_back(word);
            break;
        case Kind::kText:
        case Kind::kPath:
            out["$ref"] = "#/$defs/text";
            break;
        case Kind::kCommand:
            out = {{"type", "array"}, {"minItems", 1}, {"items", {{"$ref", "#/$defs/text"}}}};
            break;
        case Kind::kGroup:
            out = group_schema(setting.settings);
            break;
        case Kind::kList:
            out = {{"type", "array"},
                   {"minItems", setting.min},
                   {"items", group_schema(setting.settings)}};
            if (setting.max != UINT64_MAX) out["maxItems"] = setting.max;
            break;
    }
    out["description"] = fmt::format("{}.", setting.doc);
    return out;
}

}  // namespace

Result<std::string> with_section(const std::string& text, const std::string& name,
                                 const std::string& content) {
    const std::string begin = fmt::format("<!-- regdump:begin {} -->\n", name);
    const std::string end = fmt::format("<!-- regdump:end {} -->\n", name);
    const size_t begin_at = text.find(begin);
    const size_t end_at = text.find(end);
    if (begin_at == std::string::npos || end_at == std::string::npos || end_at < begin_at)
        return fail(std::errc::invalid_argument, "the lines {}and {}are missing", begin, end);
    return text.substr(0, begin_at + begin.size()) + content + text.substr(end_at);
}

Result<std::string> with_models(const std::string& page, model::Models models) {
    MIMIC_ASSIGN_OR_RETURN(std::string text, with_section(page, "models", models_table(models)));
    MIMIC_ASSIGN_OR_RETURN(
        text, with_section(text, "device-properties", properties_table(models, false)));
    MIMIC_ASSIGN_OR_RETURN(text, with_section(text, "device-settings", settings_table(models)));
    return with_section(text, "vf-properties", properties_table(models, true));
}

Result<std::string> schema_with_models(const std::string& schema, model::Models models) {
    Json json = Json::parse(schema, nullptr, false);
    for (const char* name : {"device", "vfs", "vf", "templateFields"}) {
        if (!json.is_object() || !json["$defs"].contains(name))
            return fail(std::errc::invalid_argument, "no $defs/{} in the schema", name);
    }
    Json& definitions = json["$defs"];
    Json names = Json::array();
    for (const DeviceModel* model : models) {
        if (model->facts.part == model::Part::kDevice) names.push_back(model->facts.name);
    }
    for (const DeviceModel* model : models)
        if (!model->facts.old_name.empty()) names.push_back(model->facts.old_name);
    definitions["device"]["properties"]["model"]["enum"] = names;
    Json& fields = definitions["templateFields"]["propertyNames"]["enum"];
    const auto allow_in_template = [&](const std::string& key) {
        if (std::find(fields.begin(), fields.end(), key) == fields.end()) fields.push_back(key);
    };
    for (const DeviceModel* model : models) {
        for (const model::Setting& setting : model->settings) {
            const std::string key(setting.key);
            definitions["device"]["properties"][key] = setting_schema(setting);
            allow_in_template(key);
        }
        for (const Property& property : model->properties) {
            const std::string key(property.key);
            definitions["device"]["properties"][key] = property_schema(property, false);
            definitions["vfs"]["properties"][key] = property_schema(property, true);
            definitions["vf"]["properties"][key] = property_schema(property, true);
            allow_in_template(key);
        }
    }
    return json.dump(2) + "\n";
}

}  // namespace mimic
