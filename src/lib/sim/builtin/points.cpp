// SPDX-License-Identifier: Apache-2.0
// Points of a table, from a file of the user's.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "sim/builtin/spec.h"
#include "sim/models/formulas.h"

namespace mimic::sim {
namespace {

constexpr std::string_view kBlanks = " \t\r,;";

std::string_view next_word(std::string_view& line) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    const auto word = line.substr(0, line.find_first_of(kBlanks));
    line.remove_prefix(word.size());
    return word;
}

// "12.5us"; ns without a unit.
std::optional<SimTime> parse_time(std::string_view text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{}) return std::nullopt;
    const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
    double scale = 0;
    if (unit == "ps") scale = 1;
    if (unit.empty() || unit == "ns") scale = 1e3;
    if (unit == "us") scale = 1e6;
    if (unit == "ms") scale = 1e9;
    if (unit == "s") scale = 1e12;
    const double time = value * scale;
    if (scale == 0 || !(time >= 0) || time > static_cast<double>(kLongest)) return std::nullopt;
    return static_cast<SimTime>(std::llround(time));
}

std::optional<TablePoint> parse_point(std::string_view line) {
    const auto units = next_word(line);
    const auto time = next_word(line);
    if (!next_word(line).empty()) return std::nullopt;
    TablePoint point;
    const auto [end, error] = std::from_chars(units.data(), units.data() + units.size(),
                                              point.units);
    if (error != std::errc{} || end != units.data() + units.size()) return std::nullopt;
    const auto parsed = parse_time(time);
    if (!parsed) return std::nullopt;
    point.time = *parsed;
    return point;
}

}  // namespace

Result<std::vector<TablePoint>> load_points(const std::string& path) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) {
        // A FIFO would be waited for, /dev/zero has no end.
        return fail(error ? std::errc{error.value()} : std::errc::invalid_argument,
                    "the table {} is not a file that can be read", path);
    }
    errno = 0;
    std::ifstream file(path);
    if (!file) return fail_errno("cannot open the table {}", path);
    std::vector<TablePoint> points;
    std::string line;
    for (size_t number = 1; std::getline(file, line); ++number) {
        std::string_view text = std::string_view(line).substr(0, line.find('#'));
        if (text.find_first_not_of(kBlanks) == std::string_view::npos) continue;
        const auto point = parse_point(text);
        if (!point) {
            return fail(std::errc::invalid_argument,
                        "{}:{}: a point is UNITS TIME, such as \"128 2.5us\"", path, number);
        }
        if (points.size() == kMaxTablePoints) {
            return fail(std::errc::argument_list_too_long, "{} has more than {} points", path,
                        kMaxTablePoints);
        }
        points.push_back(*point);
    }
    if (file.bad()) return fail_errno("cannot read the table {}", path);
    if (points.empty()) return fail(std::errc::invalid_argument, "{} has no point", path);
    return points;
}

}  // namespace mimic::sim
