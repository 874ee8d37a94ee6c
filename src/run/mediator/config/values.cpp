// SPDX-License-Identifier: Apache-2.0
// Values that several kinds of mappings have.
#include <fmt/format.h>

#include "mediator/config/parse.h"
#include "mediator/config/reader.h"

namespace mimic::mediator {
namespace {

constexpr uint64_t kPicosecondsPerNanosecond = 1000;

// "90s", "5m", "1.5h": nanoseconds. Minutes and hours are for people; nothing that is simulated
// lasts so long.
std::optional<uint64_t> parse_nanoseconds(std::string_view text) {
    uint64_t factor = 1;
    std::string in_seconds(text);
    if (text.ends_with('m') || text.ends_with('h')) {
        factor = text.back() == 'm' ? 60 : 3600;
        in_seconds.back() = 's';
    }
    const auto picoseconds = text == "0" ? std::optional<uint64_t>(0)
                                         : yaml::parse_duration(in_seconds);
    uint64_t nanoseconds = 0;
    if (!picoseconds ||
        __builtin_mul_overflow(*picoseconds / kPicosecondsPerNanosecond, factor, &nanoseconds))
        return std::nullopt;
    return nanoseconds;
}

}  // namespace

std::optional<Duration> duration(const yaml::Fields& fields, std::string_view key, Duration min) {
    constexpr std::string_view kExpected = "a duration such as 10s, 500ms or 5m";
    const auto text = fields.text(key, kExpected);
    if (!text) return std::nullopt;
    const auto nanoseconds = parse_nanoseconds(*text);
    const auto longest = static_cast<uint64_t>(kLongestSetting.count());
    if (nanoseconds && *nanoseconds <= longest) {
        const Duration value(static_cast<int64_t>(*nanoseconds));
        if (value >= min) return value;
    }
    fields.problem(
        fields.where(key),
        fmt::format("{} is {}; expected {}, {} us to 7 days", key, fields.find(key)->describe(),
                    kExpected, std::chrono::duration_cast<std::chrono::microseconds>(min).count()));
    return std::nullopt;
}

std::optional<double> real(const yaml::Fields& fields, std::string_view key, double min,
                           double max) {
    const std::string expected = fmt::format("a number, {} to {}", min, max);
    const auto text = fields.text(key, expected);
    if (!text) return std::nullopt;
    const auto value = yaml::parse_real(*text);
    if (value && *value >= min && *value <= max) return value;
    fields.problem(fields.where(key), fmt::format("{} is {}; expected {}", key,
                                                  fields.find(key)->describe(), expected));
    return std::nullopt;
}

std::vector<uint32_t> user_ids(const yaml::Fields& fields) {
    constexpr std::string_view kExpected = "a list of user ids such as [1000, 1001]";
    std::vector<uint32_t> ids;
    const yaml::YamlNode* const list = fields.list("uids", kExpected);
    if (list == nullptr) return ids;
    if (list->items.size() > kMaxUids)
        fields.problem(list->where, fmt::format("{} user ids; expected at most {}",
                                                list->items.size(), kMaxUids));
    for (const auto& item : list->items) {
        const auto number = item->kind == yaml::YamlNode::Kind::kScalar
                                ? yaml::parse_number(item->text)
                                : std::nullopt;
        // The last one is "no user" to the kernel.
        if (number && *number < UINT32_MAX)
            ids.push_back(static_cast<uint32_t>(*number));
        else
            fields.problem(
                item->where,
                fmt::format("{} is no user id; expected a number such as 1000", item->describe()));
        if (ids.size() >= kMaxUids) break;
    }
    return ids;
}

std::optional<char> pool_letter(const yaml::Fields& fields, std::string_view key) {
    const auto text = fields.text(key, "a letter, A to Z");
    if (!text) return std::nullopt;
    if (text->size() == 1 && text->front() >= 'A' && text->front() <= 'Z') return text->front();
    fields.problem(fields.where(key),
                   fmt::format("{} is {}; expected a letter, A to Z: it is a byte of the protocol",
                               key, fields.find(key)->describe()));
    return std::nullopt;
}

}  // namespace mimic::mediator
