// SPDX-License-Identifier: Apache-2.0
#include "yaml/fields.h"

#include <algorithm>

#include <fmt/format.h>

namespace mimic::yaml {
namespace {

std::string range_text(Range range, std::string (*format)(uint64_t)) {
    if (range.max == UINT64_MAX) return fmt::format("{} or more", format(range.min));
    return fmt::format("{} to {}", format(range.min), format(range.max));
}

std::string format_number(uint64_t value) {
    return value > 0xffff ? fmt::format("{:#x}", value) : fmt::format("{}", value);
}

}  // namespace

Fields::Fields(YamlPtr node, std::string_view what, Words keys, Diagnostics& diagnostics)
    : node_(std::move(node)), what_(what), diagnostics_(diagnostics) {
    if (node_->kind != YamlNode::Kind::kMap) {
        problem(node_->where, fmt::format("{} where a {} should be; expected a mapping with {}",
                                          node_->describe(), what_, join_or(keys)));
        return;
    }
    for (const YamlEntry& entry : node_->entries) {
        if (std::find(keys.begin(), keys.end(), entry.key) != keys.end()) continue;
        const std::string_view near = nearest(entry.key, keys);
        YamlNode shown;
        shown.kind = YamlNode::Kind::kScalar;
        shown.text = entry.key;
        problem(entry.where,
                fmt::format("unknown key {} of a {}; expected {}", shown.describe(), what_,
                            near.empty() ? join_or(keys) : fmt::format("'{}'?", near)));
    }
}

const YamlNode* Fields::find(std::string_view key) const {
    return share(key).get();
}

YamlPtr Fields::share(std::string_view key) const {
    const YamlEntry* entry = node_->find(key);
    if (!entry) return nullptr;
    if (entry->value->kind == YamlNode::Kind::kNull) {
        problem(entry->where, fmt::format("'{}' has no value; expected one, or no such key", key));
        return nullptr;
    }
    return entry->value;
}

Location Fields::where(std::string_view key) const {
    const YamlEntry* entry = node_->find(key);
    if (!entry) return node_->where;
    return entry->value->kind == YamlNode::Kind::kNull ? entry->where : entry->value->where;
}

void Fields::note(Location where, const std::string& message) const {
    diagnostics_.note(where, message);
}

void Fields::problem(Location where, std::string message) const {
    diagnostics_.add(where, std::move(message));
}

void Fields::require(std::string_view key, std::string_view expected) const {
    if (node_->kind != YamlNode::Kind::kMap || node_->find(key)) return;
    problem(node_->where, fmt::format("{} without '{}'; expected {}", what_, key, expected));
}

std::optional<std::string> Fields::text(std::string_view key, std::string_view expected) const {
    const YamlNode* node = find(key);
    if (!node) return std::nullopt;
    if (node->kind == YamlNode::Kind::kScalar) return node->text;
    problem(node->where,
            fmt::format(
                "{} as '{}'; expected {}{}", node->describe(), key, expected,
                node->kind == YamlNode::Kind::kMap ? " (quote a value that starts with '{')" : ""));
    return std::nullopt;
}

std::optional<uint64_t> Fields::number(std::string_view key, Range range) const {
    const std::string expected = "a number, " + range_text(range, format_number);
    const auto raw = pattern(key, expected);
    if (!raw) return std::nullopt;
    const auto value = parse_number(*raw);
    if (value && *value >= range.min && *value <= range.max) return value;
    problem(where(key), fmt::format("{} is {}; expected {}", key, find(key)->describe(), expected));
    return std::nullopt;
}

std::optional<uint64_t> Fields::size(std::string_view key, Range range, uint64_t unit) const {
    const std::string expected = fmt::format(
        "a size such as 512M or 2G, {}{}", range_text(range, format_size),
        unit > 1 ? fmt::format(", a multiple of {}", format_size(unit)) : "");
    const auto raw = text(key, expected);
    if (!raw) return std::nullopt;
    const auto value = parse_size(*raw);
    if (value && *value >= range.min && *value <= range.max && *value % unit == 0) return value;
    problem(where(key), fmt::format("{} is {}; expected {}", key, find(key)->describe(), expected));
    return std::nullopt;
}

std::optional<size_t> Fields::choice(std::string_view key, Words words) const {
    const auto raw = text(key, join_or(words));
    if (!raw) return std::nullopt;
    const auto found = std::find(words.begin(), words.end(), *raw);
    if (found != words.end()) return static_cast<size_t>(found - words.begin());
    const std::string_view near = words.size() > 1 ? nearest(*raw, words) : "";
    problem(where(key),
            fmt::format("{} is {}; expected {}{}", key, find(key)->describe(), join_or(words),
                        near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near)));
    return std::nullopt;
}

std::optional<bool> Fields::truth(std::string_view key) const {
    const auto word = choice(key, kTruths);
    return word ? std::optional<bool>(*word == 1) : std::nullopt;
}

const YamlNode* Fields::list(std::string_view key, std::string_view expected) const {
    const YamlNode* node = find(key);
    if (!node || node->kind == YamlNode::Kind::kSequence) return node;
    problem(node->where, fmt::format("{} as '{}'; expected {}", node->describe(), key, expected));
    return nullptr;
}

}  // namespace mimic::yaml
