// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace mimic {

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

std::vector<std::string> nearest_names(std::string_view name,
                                       const std::vector<std::string>& candidates, size_t limit) {
    const size_t far = std::max<size_t>(2, name.size() / 3) + 1;
    std::vector<std::pair<size_t, const std::string*>> near;
    for (const auto& candidate : candidates) {
        const size_t distance = edit_distance(name, candidate);
        if (distance < far) near.emplace_back(distance, &candidate);
    }
    std::stable_sort(near.begin(), near.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string> names;
    for (size_t i = 0; i < std::min(limit, near.size()); ++i) names.push_back(*near[i].second);
    return names;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
    if (const auto near = nearest_names(name, candidates, 1); !near.empty())
        return fmt::format("; did you mean {}?", near.front());
    if (candidates.empty()) return "";
    return fmt::format("; there {} {}", candidates.size() == 1 ? "is" : "are",
                       fmt::join(candidates, ", "));
}

}  // namespace mimic
