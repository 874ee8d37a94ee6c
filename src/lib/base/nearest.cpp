// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace mimic {

// Three rows at a time: an exchange looks two back.
size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<size_t> older(b.size() + 1);
    std::vector<size_t> above(b.size() + 1);
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        older.swap(above);
        above.swap(row);
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min(
                {above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], older[j - 2] + 1);
        }
    }
    return row[b.size()];
}

std::vector<std::string> nearest_names(std::string_view name,
                                       const std::vector<std::string>& candidates, size_t limit) {
    // A third of the word at most: "nope" is no way to write "top".
    const size_t most = std::max<size_t>(1, name.size() / 3);
    std::vector<std::pair<size_t, const std::string*>> near;
    for (const auto& candidate : candidates) {
        const size_t distance = edit_distance(name, candidate);
        if (distance <= most && distance < name.size()) near.emplace_back(distance, &candidate);
    }
    std::stable_sort(near.begin(), near.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string> names;
    for (size_t i = 0; i < std::min(limit, near.size()); ++i) names.push_back(*near[i].second);
    return names;
}

std::string nearest_hint(std::string_view name, const std::vector<std::string>& candidates) {
    const auto near = nearest_names(name, candidates, 1);
    return near.empty() ? "" : fmt::format("; did you mean {}?", near.front());
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
    if (std::string hint = nearest_hint(name, candidates); !hint.empty()) return hint;
    if (candidates.empty()) return "";
    return fmt::format("; there {} {}", candidates.size() == 1 ? "is" : "are",
                       fmt::join(candidates, ", "));
}

}  // namespace mimic
