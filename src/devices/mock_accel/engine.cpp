// SPDX-License-Identifier: Apache-2.0
#include "devices/mock_accel/engine.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace mimic::mock_accel {

void Engine::enable(const RingConfig& config) {
    MIMIC_CHECK(config.index < kMaxRings && config.order <= kMaxRingOrder);
    disable(config.index);
    rings_[config.index] = std::make_shared<Ring>(*this, config);
}

void Engine::disable(uint32_t ring) {
    if (const auto stopped = std::exchange(rings_[ring], nullptr)) stopped->stop();
}

void Engine::stop_all() {
    for (uint32_t ring = 0; ring < kMaxRings; ++ring) disable(ring);
    lease_ = std::make_shared<bool>(true);
    scheduled_ = false;
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
    if (scheduled_ || runner == nullptr) return;
    scheduled_ = true;
    runner->post([this, lease = std::weak_ptr<bool>(lease_)] {
        if (!lease.expired()) turn();
    });
}

void Engine::turn() {
    scheduled_ = false;
    Budget budget{kTurnDescriptors, kTurnBytes};
    for (uint32_t i = 0; i < kMaxRings && !budget.spent(); ++i) {
        const uint32_t index = (first_ + i) % kMaxRings;
        // Held here, because a ring may be dropped by what it does.
        const std::shared_ptr<Ring> ring = rings_[index];
        if (!ring || !ring->runnable()) continue;
        ring->run(budget);
        if (budget.spent()) first_ = (index + 1) % kMaxRings;
    }
    const bool more = std::any_of(rings_.begin(), rings_.end(),
                                  [](const auto& ring) { return ring && ring->runnable(); });
    if (more) schedule();
}

}  // namespace mimic::mock_accel
