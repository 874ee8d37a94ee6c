// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/simulate/load_fields.h"

#include <algorithm>
#include <utility>

#include "base/terminal_text.h"
#include "mediator/config/keys.h"

namespace mimic::mediator::schedule {

namespace {

using FieldJson = nlohmann::ordered_json;

/// Of a list of lengths. Arbitrary.
constexpr size_t kMostLengths = 256;
constexpr size_t kLongestName = 128;
/// Of a line: an object, and in it an object or a list.
constexpr int kDeepest = 2;

}  // namespace

Result<FieldJson> parse_load_line(std::string_view text) {
    // JSON parsers keep one of two members of the same name, and which is nobody's rule.
    std::set<std::pair<int, std::string>> seen;
    bool twice = false;
    bool deep = false;
    const auto watch = [&](int depth, FieldJson::parse_event_t event, FieldJson& parsed) {
        if (depth > kDeepest) deep = true;
        if (event == FieldJson::parse_event_t::object_start)
            std::erase_if(seen, [depth](const auto& member) { return member.first == depth + 1; });
        if (event == FieldJson::parse_event_t::key &&
            !seen.emplace(depth, parsed.get<std::string>()).second)
            twice = true;
        return !deep;
    };
    const FieldJson json = FieldJson::parse(text, watch, false);
    if (deep || json.is_discarded() || !json.is_object())
        return fail(std::errc::invalid_argument, "no JSON object");
    if (twice) return fail(std::errc::invalid_argument, "a member is there twice");
    return json;
}

void LoadFields::problem(std::string what) {
    if (problem_.empty()) problem_ = std::move(what);
}

const FieldJson* LoadFields::find(const char* key, bool required) {
    asked_.insert(key);
    const auto found = json_.find(key);
    if (found != json_.end()) return &*found;
    if (required) problem(fmt::format("{} is missing", key));
    return nullptr;
}

std::optional<uint64_t> LoadFields::number(const char* key, uint64_t least, uint64_t most,
                                           bool required) {
    const FieldJson* json = find(key, required);
    if (json == nullptr) return std::nullopt;
    if (!json->is_number_unsigned() || json->get<uint64_t>() < least ||
        json->get<uint64_t>() > most) {
        problem(fmt::format("{} is a whole number from {} to {}", key, least, most));
        return std::nullopt;
    }
    return json->get<uint64_t>();
}

std::optional<std::string> LoadFields::text(const char* key) {
    const FieldJson* json = find(key, false);
    if (json == nullptr) return std::nullopt;
    if (!json->is_string() || json->get_ref<const std::string&>().size() > kLongestName) {
        problem(fmt::format("{} is a text of at most {} bytes", key, kLongestName));
        return std::nullopt;
    }
    return json->get<std::string>();
}

std::optional<bool> LoadFields::flag(const char* key) {
    const FieldJson* json = find(key, false);
    if (json == nullptr) return std::nullopt;
    if (!json->is_boolean()) {
        problem(fmt::format("{} is true or false", key));
        return std::nullopt;
    }
    return json->get<bool>();
}

std::optional<Time> LoadFields::length(const FieldJson& json, const char* key, uint64_t least,
                                       uint64_t most) {
    if (json.is_number_unsigned() && json.get<uint64_t>() >= least && json.get<uint64_t>() <= most)
        return static_cast<Time>(json.get<uint64_t>()) * 1000;
    problem(fmt::format(
        "{} is a whole number from {} to {}, a list of 1 to {} of them, or {{\"from\", \"to\"}}",
        key, least, most, kMostLengths));
    return std::nullopt;
}

std::optional<Lengths> LoadFields::lengths(const char* key, uint64_t least, uint64_t most,
                                           bool required) {
    const FieldJson* json = find(key, required);
    if (json == nullptr) return std::nullopt;
    Lengths made;
    std::vector<const FieldJson*> values;
    if (json->is_object()) {
        made.range = true;
        if (json->size() == 2 && json->contains("from") && json->contains("to"))
            values = {&(*json)["from"], &(*json)["to"]};
    } else if (json->is_array()) {
        for (const FieldJson& value : *json) values.push_back(&value);
    } else {
        values = {json};
    }
    if (values.empty() || values.size() > kMostLengths) values = {json};
    for (const FieldJson* value : values) {
        const auto read = length(*value, key, least, most);
        if (!read) return std::nullopt;
        made.of.push_back(*read);
    }
    if (made.range && made.of[0] > made.of[1]) {
        problem(fmt::format("{} goes from more to less", key));
        return std::nullopt;
    }
    return made;
}

void LoadFields::share(Share& share) {
    if (const auto weight = number("weight", 1, 10'000, false))
        share.weight = static_cast<uint32_t>(*weight);
    if (const auto parallel = number("parallel", 1, kMaxLoadBackends, false))
        share.parallel = static_cast<uint32_t>(*parallel);
    const FieldJson* priority = find("priority", false);
    if (priority == nullptr) return;
    const auto found = priority->is_string() ? std::find(kPriorities.begin(), kPriorities.end(),
                                                         priority->get<std::string>())
                                             : kPriorities.end();
    if (found == kPriorities.end())
        problem("priority is low, medium or high");
    else
        share.priority = static_cast<Priority>(found - kPriorities.begin());
}

Status LoadFields::end() {
    for (const auto& [key, value] : json_.items())
        if (!asked_.contains(key))
            problem(fmt::format("\"{}\" is not known here", terminal_text(key)));
    if (problem_.empty()) return {};
    return fail(std::errc::invalid_argument, "{}", problem_);
}

}  // namespace mimic::mediator::schedule
