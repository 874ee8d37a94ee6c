// SPDX-License-Identifier: Apache-2.0
#include "model/setting.h"

#include <algorithm>

#include <fmt/format.h>

namespace mimic::model {
namespace {

struct Unit {
    std::string_view name;
    uint64_t factor = 1;
};
constexpr Unit kSizeUnits[] = {{"P", uint64_t{1} << 50}, {"T", uint64_t{1} << 40}, {"G", 1u << 30},
                               {"M", 1u << 20},          {"K", 1u << 10},          {"", 1}};
constexpr Unit kDurationUnits[] = {
    {"s", 1'000'000'000'000}, {"ms", 1'000'000'000}, {"us", 1'000'000}, {"ns", 1'000}, {"ps", 1}};
constexpr Unit kFrequencyUnits[] = {{"THz", 1'000'000'000'000},
                                    {"GHz", 1'000'000'000},
                                    {"MHz", 1'000'000},
                                    {"kHz", 1'000},
                                    {"Hz", 1}};

/// In the largest unit that leaves a whole number.
std::string in_units(uint64_t value, std::span<const Unit> units) {
    for (const Unit& unit : units)
        if (value != 0 && value % unit.factor == 0)
            return fmt::format("{}{}", value / unit.factor, unit.name);
    return fmt::format("{}{}", value, units.back().name);
}

std::string range_text(const Setting& setting, std::span<const Unit> units) {
    const std::string least = in_units(setting.min, units);
    return setting.max == UINT64_MAX ? least + " or more"
                                     : fmt::format("{} to {}", least, in_units(setting.max, units));
}

constexpr Unit kPlain[] = {{"", 1}};

}  // namespace

std::string expected_text(const Setting& setting) {
    using Kind = Setting::Kind;
    switch (setting.kind) {
        case Kind::kNumber:
            return "a number, " + range_text(setting, kPlain);
        case Kind::kReal:
            return fmt::format("a number, {} to {}", setting.least, setting.most);
        case Kind::kSize:
            return "a size such as 512M, " + range_text(setting, kSizeUnits);
        case Kind::kDuration:
            return "a time such as 10us, " + range_text(setting, kDurationUnits);
        case Kind::kFrequency:
            return "a frequency such as 1GHz, " + range_text(setting, kFrequencyUnits);
        case Kind::kChoice:
            return fmt::format("{}", fmt::join(setting.words, ", "));
        case Kind::kText:
            return fmt::format("{} printable ASCII characters", range_text(setting, kPlain));
        case Kind::kPath:
            return "a path";
        case Kind::kCommand:
            return fmt::format("a list: a program and its arguments{}",
                               setting.placeholder.empty()
                                   ? ""
                                   : fmt::format(", one of them with {}", setting.placeholder));
        case Kind::kGroup:
            return "a mapping";
        case Kind::kList:
            return fmt::format("a list of {} mappings", range_text(setting, kPlain));
    }
    return "";
}

const Setting* Settings::find(std::string_view key) const {
    const Setting* const found = std::find_if(begin(), end(),
                                              [&](const Setting& one) { return one.key == key; });
    return found == end() ? nullptr : found;
}

const SettingValue* SettingValue::find(std::string_view key) const {
    for (const SettingValue& value : values)
        if (value.setting != nullptr && value.setting->key == key) return &value;
    return nullptr;
}

uint64_t SettingValue::number_of(std::string_view key) const {
    const SettingValue* const value = find(key);
    return value == nullptr ? 0 : value->number;
}

double SettingValue::real_of(std::string_view key) const {
    const SettingValue* const value = find(key);
    return value == nullptr ? 0 : value->real;
}

std::string_view SettingValue::text_of(std::string_view key) const {
    const SettingValue* const value = find(key);
    return value == nullptr ? std::string_view() : value->text;
}

void place_paths(SettingValue& root, const std::string& folder) {
    for_each_value(root, [&](SettingValue& value) {
        if (value.setting == nullptr) return;
        if (value.setting->kind == Setting::Kind::kPath) {
            if (!value.text.empty() && !value.text.starts_with('/'))
                value.text = folder + "/" + value.text;
        } else if (value.setting->kind == Setting::Kind::kCommand && !value.words.empty()) {
            std::string& program = value.words.front();
            if (!program.starts_with('/') && program.find('/') != std::string::npos)
                program = folder + "/" + program;
        }
    });
}

std::string named_program(const SettingValue& root) {
    std::string out;
    for_each_value(root, [&](const SettingValue& value) {
        const bool is_command = value.setting != nullptr &&
                                value.setting->kind == Setting::Kind::kCommand;
        if (is_command && !value.words.empty() && out.empty()) out = value.words.front();
    });
    return out;
}

}  // namespace mimic::model
