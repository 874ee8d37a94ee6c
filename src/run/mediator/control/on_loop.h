// SPDX-License-Identifier: Apache-2.0
// on_loop(): asks the mediator's loop from a thread of the HTTP server.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>

#include "base/task_runner.h"

namespace mimic::mediator {

/// What `ask` returns on `runner`, or nullopt if it does not run within `deadline`: it may run
/// later all the same, so it owns all that it needs. Not called on the runner's own thread.
template <typename T>
std::optional<T> on_loop(TaskRunner& runner, std::function<T()> ask, Duration deadline) {
    const auto promise = std::make_shared<std::promise<T>>();
    auto ready = promise->get_future();
    runner.post([promise, ask = std::move(ask)] { promise->set_value(ask()); });
    if (ready.wait_for(deadline) != std::future_status::ready) return std::nullopt;
    try {
        return ready.get();
    } catch (const std::future_error&) {  // the loop ended without running it
        return std::nullopt;
    }
}

}  // namespace mimic::mediator
