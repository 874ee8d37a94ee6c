// SPDX-License-Identifier: Apache-2.0
#include "mediator/engine/share_window.h"

#include <algorithm>
#include <chrono>

namespace mimic::mediator {
namespace {

int64_t second_of(TimePoint time) {
    return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

}  // namespace

ShareWindow::Slot& ShareWindow::slot(int64_t second) {
    Slot& slot = slots_[static_cast<size_t>(second) % kSlots];
    if (slot.second != second) slot = Slot{second, {}};
    return slot;
}

void ShareWindow::account(TimePoint now) {
    if (backlogged_) {
        const auto window = std::chrono::seconds(kSlots);
        for (TimePoint from = std::max(since_, now - window); from < now;) {
            const int64_t second = second_of(from);
            const TimePoint end = std::min(now, TimePoint(std::chrono::seconds(second + 1)));
            slot(second).sum.backlogged += end - from;
            from = end;
        }
    }
    since_ = now;
}

void ShareWindow::set_backlogged(bool backlogged, TimePoint now) {
    if (backlogged == backlogged_) return;
    account(now);
    backlogged_ = backlogged;
}

void ShareWindow::add_service(Duration took, TimePoint now) {
    slot(second_of(now)).sum.service += took;
}

ShareWindow::Sum ShareWindow::sum(TimePoint now) {
    account(now);
    const int64_t oldest = second_of(now) - static_cast<int64_t>(kSlots) + 1;
    Sum sum;
    for (const Slot& slot : slots_) {
        if (slot.second < oldest) continue;
        sum.service += slot.sum.service;
        sum.backlogged += slot.sum.backlogged;
    }
    return sum;
}

}  // namespace mimic::mediator
