// SPDX-License-Identifier: Apache-2.0
#include "devices/mock_accel/engine.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace mimic::mock_accel {

void Engine::enable(const RingConfig& config) {
    MIMIC_CHECK(config.index < kMaxRings && config.order <= kMaxRingOrder);
    disable(config.index);
    rings_[config.index] = std::make_unique<Ring>(*this, config);
}

void Engine::disable(uint32_t ring) {
    auto stopped = std::exchange(rings_[ring], nullptr);
    if (!stopped) return;
    stopped->stop();
    if (busy_ > 0) stopped_.push_back(std::move(stopped));
}

void Engine::stop_all() {
    for (uint32_t ring = 0; ring < kMaxRings; ++ring) disable(ring);
    turn_.cancel();
    thread_.release();
}

void Engine::set_interrupts(uint32_t ring, bool enabled) {
    if (rings_[ring]) rings_[ring]->set_interrupts(enabled);
}

bool Engine::doorbell(uint32_t ring, uint32_t tail) {
    if (!rings_[ring] || !rings_[ring]->doorbell(tail)) return false;
    if (rings_[ring]->runnable()) schedule();
    return true;
}

void Engine::schedule() {
    TaskRunner* const runner = port_.task_runner();
    if (runner == nullptr) return;
    thread_.check();
    if (turn_.is_pending()) return;
    turn_.post(*runner, [this] { turn(); });
}

void Engine::turn() {
    const Busy busy(*this);
    Budget budget{kTurnDescriptors, kTurnBytes};
    for (uint32_t i = 0; i < kMaxRings && !budget.spent(); ++i) {
        const uint32_t index = (first_ + i) % kMaxRings;
        Ring* const ring = rings_[index].get();
        if (ring == nullptr || !ring->runnable()) continue;
        ring->run(budget);
        if (budget.spent()) first_ = (index + 1) % kMaxRings;
    }
    const bool more = std::any_of(rings_.begin(), rings_.end(),
                                  [](const auto& ring) { return ring && ring->runnable(); });
    if (more) schedule();
}

}  // namespace mimic::mock_accel
