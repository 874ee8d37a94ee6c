// SPDX-License-Identifier: Apache-2.0
#include "devices/vgpu_stub/errand.h"

#include <utility>

namespace mimic::vgpu_stub {
namespace {

/// A fault has spoilt the answer: a few bytes of it are others.
std::vector<std::byte> corrupted(std::span<const std::byte> response, uint64_t random) {
    std::vector<std::byte> out(response.begin(), response.end());
    constexpr size_t kTimes = 4;
    for (size_t i = 0; i < kTimes && !out.empty(); ++i, random >>= 16U)
        out[(random & 0xff) * 17 % out.size()] ^= static_cast<std::byte>(random >> 8U | 1U);
    return out;
}

}  // namespace

void Errands::open(std::unique_ptr<compute::Queue> queue, TaskRunner& runner) {
    runner_ = &runner;
    if (queue != nullptr) line_ = std::make_shared<Line>(Line{std::move(queue)});
}

void Errands::close() {
    weak_.revoke();
    pending_.clear();
    reset_later_.cancel();
    if (line_ != nullptr && line_->calls > 0) runner_->post([line = line_] {});
    line_ = nullptr;
    runner_ = nullptr;
}

void Errands::send(uint32_t tag, std::vector<std::byte> request, size_t room, Done done) {
    ++counts_.requests;
    pci::FunctionFaults* const faults = faults_();
    const bool dead = faults != nullptr && faults->backend_dead();
    const uint64_t id = ++last_id_;
    pending_.emplace(id, Pending{std::move(done), room});
    if (line_ == nullptr || dead) return finish(id, {VGPU_ERROR_MEDIATOR_UNAVAILABLE, {}});
    const std::shared_ptr<Line> line = line_;
    ++line->calls;
    line->queue->submit(tag, std::move(request), room,
                        [weak = weak_.ptr(), id](const compute::Completion& completion) {
                            Errands* const errands = weak.get();
                            if (errands == nullptr) return;
                            const std::shared_ptr<Line> one = errands->line_;
                            ++one->calls;
                            errands->answered(id, completion);
                            --one->calls;
                        });
    --line->calls;
}

void Errands::answered(uint64_t id, const compute::Completion& completion) {
    if (!pending_.contains(id)) {
        ++counts_.late;
        return;
    }
    pci::FunctionFaults* const faults = faults_();
    if (faults == nullptr) return finish(id, completion);
    const pci::FunctionFaults::AnswerStrike strike = faults->backend_answer();
    if (!strike.kind) return finish(id, completion);
    switch (*strike.kind) {
        case pci::FaultKind::kBackendWrongId:  // an answer to nothing: this one has none
            ++counts_.unknown;
            return lose(id);
        case pci::FaultKind::kBackendDrop:
            return lose(id);
        case pci::FaultKind::kBackendDelay:
            return hold(id, completion, strike.delay);
        case pci::FaultKind::kBackendCorrupt: {
            const auto bytes = corrupted(completion.response, strike.random);
            return finish(id, {completion.error, bytes});
        }
        default:
            return finish(id, completion);
    }
}

void Errands::finish(uint64_t id, const compute::Completion& completion) {
    const auto found = pending_.find(id);
    if (found == pending_.end()) return;
    const Pending pending = std::move(found->second);
    pending_.erase(found);
    compute::Completion out = completion;
    // A queue does not bring more than there is room for; a fault or an error of ours might.
    if (out.error == VGPU_OK && out.response.size() > pending.room)
        out = {VGPU_ERROR_INVALID_LENGTH, {}};
    if (out.error != VGPU_OK) out.response = {};
    ++(out.error == VGPU_OK ? counts_.responses : counts_.errors);
    pending.done(out);
}

void Errands::hold(uint64_t id, const compute::Completion& completion, Duration delay) {
    std::vector<std::byte> bytes(completion.response.begin(), completion.response.end());
    runner_->post_delayed(
        [weak = weak_.ptr(), id, error = completion.error, bytes = std::move(bytes)] {
            if (Errands* const errands = weak.get()) errands->finish(id, {error, bytes});
        },
        delay);
    if (delay >= timeout_) lose(id);
}

void Errands::lose(uint64_t id) {
    runner_->post_delayed(
        [weak = weak_.ptr(), id] {
            Errands* const errands = weak.get();
            if (errands == nullptr || !errands->pending_.contains(id)) return;
            ++errands->counts_.timeouts;
            errands->finish(id, {VGPU_ERROR_TIMEOUT, {}});
        },
        timeout_);
}

void Errands::fail_all(vgpu_error error) {
    std::vector<uint64_t> ids;
    for (const auto& [id, pending] : pending_) ids.push_back(id);
    const WeakPtr<Errands> weak = weak_.ptr();
    for (const uint64_t id : ids) {
        finish(id, {error, {}});
        if (!weak) return;
    }
}

// A queue is not reset below its own calls.
void Errands::end(void (compute::Queue::*how)()) {
    pending_.clear();
    if (line_ == nullptr) return;
    compute::Queue& queue = *line_->queue;
    if (line_->calls == 0) return (queue.*how)();
    reset_later_.post(*runner_, [this, how] {
        if (line_ != nullptr && pending_.empty()) ((*line_->queue).*how)();
    });
}

}  // namespace mimic::vgpu_stub
