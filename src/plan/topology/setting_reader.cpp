// SPDX-License-Identifier: Apache-2.0
// Reads the settings of a device's model: src/plan/model/setting.h.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "topology/reader.h"

namespace mimic::topology {
namespace {

using model::Setting;
using model::SettingValue;
using Kind = Setting::Kind;

constexpr size_t kMaxWord = 4096;  // of a command or a path; arbitrary, as PATH_MAX

bool is_group(const Setting& setting) {
    return setting.kind == Kind::kGroup || setting.kind == Kind::kList;
}

std::vector<std::string_view> keys_of(model::Settings settings) {
    std::vector<std::string_view> out;
    for (const Setting& setting : settings) out.push_back(setting.key);
    return out;
}

std::optional<uint64_t> parse_whole(const Setting& setting, std::string_view text) {
    switch (setting.kind) {
        case Kind::kSize:
            return parse_size(text);
        case Kind::kDuration:
            return parse_duration(text);
        case Kind::kFrequency:
            return parse_frequency(text);
        default:
            return parse_number(text);
    }
}

/// Sets what `text` says; false if it does not fit.
bool parse_scalar(const Setting& setting, std::string_view text, SettingValue& value) {
    value.text = text;
    switch (setting.kind) {
        case Kind::kReal: {
            const auto real = parse_real(text);
            value.real = real.value_or(0);
            return real && *real >= setting.least && *real <= setting.most;
        }
        case Kind::kChoice: {
            const auto word = std::find(setting.words.begin(), setting.words.end(), text);
            value.number = static_cast<uint64_t>(word - setting.words.begin());
            return word != setting.words.end();
        }
        case Kind::kText:
            return is_printable_ascii(text) && text.size() >= setting.min &&
                   text.size() <= setting.max;
        case Kind::kPath:
            return !text.empty() && text.size() <= kMaxWord &&
                   text.find('\0') == std::string_view::npos;
        default: {
            const auto whole = parse_whole(setting, text);
            value.number = whole.value_or(0);
            return whole && *whole >= setting.min && *whole <= setting.max;
        }
    }
}

/// What a setting is that the file does not say; nullopt: nothing.
std::optional<SettingValue> default_value(const Setting& setting, Location where) {
    SettingValue out;
    out.setting = &setting;
    out.line = where.line;
    out.column = where.column;
    if (setting.kind == Kind::kGroup) {
        for (const Setting& inner : setting.settings) {
            if (auto value = default_value(inner, where)) out.values.push_back(std::move(*value));
        }
        return out;
    }
    if (setting.fallback.empty() || !parse_scalar(setting, setting.fallback, out))
        return std::nullopt;
    return out;
}

void read_words(const Fields& fields, const Setting& setting, SettingValue& value) {
    const YamlNode* const list = fields.list(setting.key, expected_text(setting));
    if (list == nullptr) return;
    bool has_placeholder = setting.placeholder.empty();
    for (const YamlPtr& item : list->items) {
        const bool good = item->kind == YamlNode::Kind::kScalar && item->text.size() <= kMaxWord &&
                          item->text.find('\0') == std::string::npos;
        if (!good || value.words.size() == setting.max) {
            fields.problem(item->where, fmt::format("{} in '{}'; expected at most {} texts",
                                                    item->describe(), setting.key, setting.max));
            return;
        }
        value.words.push_back(item->text);
        has_placeholder |= item->text.find(setting.placeholder) != std::string::npos;
    }
    if (!has_placeholder || value.words.empty() || value.words.front().empty()) {
        fields.problem(
            fields.where(setting.key),
            fmt::format("{} is {}; expected {}", setting.key,
                        value.words.empty() ? "empty" : "no such command", expected_text(setting)));
    }
}

void read_scalar(const Fields& fields, const Setting& setting, SettingValue& value) {
    const std::string expected = expected_text(setting);
    const bool takes_pattern = setting.kind == Kind::kNumber || setting.kind == Kind::kText ||
                               setting.kind == Kind::kPath;
    const auto text = takes_pattern ? fields.pattern(setting.key, expected)
                                    : fields.text(setting.key, expected);
    if (!text || parse_scalar(setting, *text, value)) return;
    const std::string_view near = setting.kind == Kind::kChoice ? nearest(*text, setting.words)
                                                                : "";
    fields.problem(
        fields.where(setting.key),
        fmt::format("{} is {}; expected {}{}", setting.key, fields.find(setting.key)->describe(),
                    expected, near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near)));
}

std::vector<SettingValue> read_all(const Fields& fields, model::Settings settings,
                                   const Scope& scope, ReadState& state);

void read_mappings(const Fields& fields, const Setting& setting, const Scope& scope,
                   SettingValue& value, ReadState& state) {
    const auto keys = keys_of(setting.settings);
    if (setting.kind == Kind::kGroup) {
        const Fields inner(fields.share(setting.key), setting.key, keys, scope, state.diagnostics);
        value.values = read_all(inner, setting.settings, scope, state);
        return;
    }
    const YamlNode* const list = fields.list(setting.key, expected_text(setting));
    if (list == nullptr) return;
    if (list->items.size() < setting.min || list->items.size() > setting.max) {
        fields.problem(list->where, fmt::format("{} has {} items; expected {}", setting.key,
                                                list->items.size(), expected_text(setting)));
        return;
    }
    const std::string what = fmt::format("mapping of '{}'", setting.key);
    for (const YamlPtr& item : list->items) {
        const Fields inner(item, what, keys, scope, state.diagnostics);
        SettingValue& one = value.values.emplace_back();
        one.given = true;
        one.line = item->where.line;
        one.column = item->where.column;
        one.values = read_all(inner, setting.settings, scope, state);
    }
}

std::vector<SettingValue> read_all(const Fields& fields, model::Settings settings,
                                   const Scope& scope, ReadState& state) {
    std::vector<SettingValue> out;
    for (const Setting& setting : settings) {
        const Location where = fields.where(setting.key);
        if (!fields.find(setting.key)) {
            if (auto value = default_value(setting, where)) out.push_back(std::move(*value));
            continue;
        }
        SettingValue& value = out.emplace_back();
        value.setting = &setting;
        value.given = true;
        value.line = where.line;
        value.column = where.column;
        if (is_group(setting)) {
            read_mappings(fields, setting, scope, value, state);
        } else if (setting.kind == Kind::kCommand) {
            read_words(fields, setting, value);
        } else {
            read_scalar(fields, setting, value);
        }
    }
    return out;
}

}  // namespace

void read_settings(const Fields& fields, const Scope& scope, FunctionSpec& function,
                   ReadState& state) {
    const model::DeviceModel& model = *function.model;
    function.settings.given = true;
    function.settings.line = fields.where().line;
    function.settings.column = fields.where().column;
    function.settings.values = read_all(fields, model.settings, scope, state);
    for (const std::string_view key : state.keys.settings()) {
        if (model.settings.find(key) != nullptr) continue;
        const std::array one{key};
        refuse_keys(fields, one, fmt::format("of a {}, which has none", model.facts.name));
    }
}

void check_function(const FunctionSpec& function, size_t before, ReadState& state) {
    if (function.model->check == nullptr || state.problem_count() != before) return;
    for (model::SettingProblem& problem : function.model->check(function))
        state.diagnostics.add({problem.line, problem.column}, std::move(problem.message));
}

}  // namespace mimic::topology
