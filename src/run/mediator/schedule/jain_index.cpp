// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/jain_index.h"

namespace mimic::mediator::schedule {

double jain_index(std::span<const double> values) {
    double sum = 0;
    double squares = 0;
    for (const double value : values) {
        sum += value;
        squares += value * value;
    }
    return squares <= 0 ? 1.0 : sum * sum / (static_cast<double>(values.size()) * squares);
}

}  // namespace mimic::mediator::schedule
