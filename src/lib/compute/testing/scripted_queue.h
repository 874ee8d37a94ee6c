// SPDX-License-Identifier: Apache-2.0
// ScriptedQueue: a Queue that a test answers by hand, or by a function. Header-only; needs no
// socket and no test framework.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "compute/queue.h"
#include "compute/request.h"

namespace mimic::compute {

/// Keeps what is asked until the test answers it, in any order. Thread-bound.
class ScriptedQueue final : public Queue {
public:
    struct Asked {
        uint32_t tag = 0;
        std::vector<std::byte> request;
        size_t room = 0;
        Done done;
    };
    /// How a request ends; nullopt: it waits for answer().
    struct Reply {
        vgpu_error error = VGPU_OK;
        std::vector<std::byte> response;
    };
    using Script = std::function<std::optional<Reply>(const Asked& asked)>;

    explicit ScriptedQueue(Script script = nullptr) : script_(std::move(script)) {}

    void submit(uint32_t tag, std::vector<std::byte> request, size_t room, Done done) override {
        ++counters_.submitted;
        if (!connected_) return finish(done, VGPU_ERROR_MEDIATOR_UNAVAILABLE, {});
        if (asked_.size() >= kMaxInFlight) return finish(done, VGPU_ERROR_QUEUE_FULL, {});
        Asked asked{tag, std::move(request), room, std::move(done)};
        std::optional<Reply> reply;
        if (script_) reply = script_(asked);
        if (reply) return finish_in(asked, reply->error, reply->response);
        asked_.push_back(std::move(asked));
    }
    void reset() override {
        ++resets_;
        asked_.clear();
    }
    void start_over() override {
        ++fresh_starts_;
        asked_.clear();
    }
    size_t in_flight() const override { return asked_.size(); }
    bool connected() const override { return connected_; }
    Counters counters() const override { return counters_; }

    /// What waits, the oldest first.
    const std::deque<Asked>& asked() const { return asked_; }
    size_t resets() const { return resets_; }
    size_t fresh_starts() const { return fresh_starts_; }

    /// Answers what waits at `index`; an error has no response. A response that is longer than its
    /// room becomes INVALID_LENGTH. False: nothing waits there.
    bool answer(size_t index, vgpu_error error, std::span<const std::byte> response = {}) {
        if (index >= asked_.size()) return false;
        const Asked asked = std::move(asked_[index]);
        asked_.erase(asked_.begin() + static_cast<std::ptrdiff_t>(index));
        finish_in(asked, error, response);
        return true;
    }

    /// The mediator comes or goes. When it goes, what waits fails with MEDIATOR_UNAVAILABLE.
    void set_connected(bool connected) {
        if (connected && !connected_) ++counters_.connections;
        connected_ = connected;
        while (!connected_ && answer(0, VGPU_ERROR_MEDIATOR_UNAVAILABLE)) {
        }
    }

    /// A script that carries out NOP and SUM, as the public mediator does, and refuses the rest.
    static std::optional<Reply> answer_sums(const Asked& asked) {
        const auto view = view_request(asked.request);
        if (!view) return Reply{VGPU_OK, make_response(VGPU_ERROR_INVALID_REQUEST)};
        if (view->header.opcode == VGPU_OP_NOP) return Reply{VGPU_OK, make_response(VGPU_OK)};
        if (view->header.opcode != VGPU_OP_SUM)
            return Reply{VGPU_OK, make_response(VGPU_ERROR_UNSUPPORTED)};
        if (view->params.size() != 2)
            return Reply{VGPU_OK, make_response(VGPU_ERROR_INVALID_REQUEST)};
        const uint32_t sum = view->params[0] + view->params[1];
        return Reply{VGPU_OK, make_response(VGPU_OK, std::span(&sum, 1))};
    }

private:
    void finish_in(const Asked& asked, vgpu_error error, std::span<const std::byte> response) {
        if (error == VGPU_OK && response.size() > asked.room) error = VGPU_ERROR_INVALID_LENGTH;
        finish(asked.done, error, error == VGPU_OK ? response : std::span<const std::byte>{});
    }
    // `done` may destroy this.
    void finish(const Done& done, vgpu_error error, std::span<const std::byte> response) {
        ++counters_.answered;
        if (error != VGPU_OK) ++counters_.failed;
        done(Completion{error, response});
    }

    Script script_;
    std::deque<Asked> asked_;
    bool connected_ = true;
    size_t resets_ = 0;
    size_t fresh_starts_ = 0;
    Counters counters_;
};

}  // namespace mimic::compute
