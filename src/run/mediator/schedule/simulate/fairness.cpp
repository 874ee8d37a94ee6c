// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/simulate/fairness.h"

#include <algorithm>

namespace mimic::mediator::schedule {

double min_max_ratio(const std::vector<double>& values) {
    if (values.empty()) return 1.0;
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    return *most == 0 ? 1.0 : *least / *most;
}

Time quantile(std::vector<Time>& values, unsigned percent) {
    if (values.empty()) return 0;
    const size_t rank = std::max<size_t>(1, (values.size() * percent + 99) / 100);
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(rank - 1);
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

std::vector<double> max_min_shares(const std::vector<double>& weights,
                                   const std::vector<double>& demands, double capacity) {
    std::vector<double> shares(weights.size(), 0.0);
    std::vector<bool> full(weights.size(), false);
    // Each round gives those what they ask for who ask for less than their part of what is left,
    // and the last one its part to everybody else.
    for (;;) {
        double weight = 0;
        for (size_t i = 0; i < weights.size(); ++i)
            if (!full[i]) weight += weights[i];
        if (weight == 0) break;
        const double level = capacity / weight;
        bool more = false;
        for (size_t i = 0; i < weights.size(); ++i) {
            if (full[i] || demands[i] > level * weights[i]) continue;
            full[i] = more = true;
            shares[i] = demands[i];
            capacity -= demands[i];
        }
        if (more) continue;
        for (size_t i = 0; i < weights.size(); ++i)
            if (!full[i]) shares[i] = level * weights[i];
        break;
    }
    return shares;
}

}  // namespace mimic::mediator::schedule
