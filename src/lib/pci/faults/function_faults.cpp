// SPDX-License-Identifier: Apache-2.0
#include "pci/faults/function_faults.h"

#include <algorithm>

#include "base/log.h"
#include "pci/faults/faulty_dma.h"

namespace mimic::pci {
namespace {

constexpr size_t kEndedKept = 16;  // arbitrary

bool is_dma(FaultKind kind) {
    return kind == FaultKind::kDmaSlow || kind == FaultKind::kDmaFail ||
           kind == FaultKind::kDmaCorrupt;
}

// Stays active until it has struck often enough, as opposed to what happens once.
bool stays(FaultKind kind) {
    switch (kind) {
        case FaultKind::kIrqLost:
        case FaultKind::kIrqLate:
        case FaultKind::kDoorbellStuck:
        case FaultKind::kAllOnes:
        case FaultKind::kBackendDrop:
        case FaultKind::kBackendDelay:
        case FaultKind::kBackendCorrupt:
        case FaultKind::kBackendWrongId:
        case FaultKind::kBackendDead:
            return true;
        default:
            return is_dma(kind);
    }
}

}  // namespace

struct FunctionFaults::Standing {
    FaultReport report;
    uint64_t due_access = 0;  // the last one that is served as ever; 0: not counted
    FaultRandom random;
};

std::string_view fault_state_name(FaultState state) {
    switch (state) {
        case FaultState::kArmed:
            return "armed";
        case FaultState::kActive:
            return "active";
        case FaultState::kDone:
            return "done";
        case FaultState::kCleared:
            return "cleared";
    }
    return "";
}

FunctionFaults::FunctionFaults(Hooks hooks, TaskRunner& runner)
    : hooks_(std::move(hooks)), runner_(runner) {}

FunctionFaults::~FunctionFaults() = default;

Status FunctionFaults::arm(const Fault& fault) {
    thread_.check();
    MIMIC_TRY(check(fault));
    // What ends the others must not be refused because of them.
    if (standing_.size() >= kMaxStanding && fault.kind != FaultKind::kClear)
        return fail(std::errc::resource_unavailable_try_again,
                    "{}: {} faults stand already; clear them first", fault.name, standing_.size());
    auto standing = std::make_unique<Standing>(Standing{{}, 0, FaultRandom(fault.seed)});
    standing->report.id = ++last_id_;
    standing->report.fault = fault;
    standing_.push_back(std::move(standing));
    const uint64_t id = last_id_;
    changed(standing_.back()->report, "armed");
    if (fault.at) {
        fire_later(id, *fault.at);
        return {};
    }
    if (fault.after_accesses.value_or(0) != 0) {
        standing_.back()->due_access = accesses_ + *fault.after_accesses;
        return {};
    }
    if (fault.kind == FaultKind::kHostHang || fault.kind == FaultKind::kHostCrash) {
        fire_later(id, kHostDelay);
        return {};
    }
    return fire(id);
}

void FunctionFaults::clear() {
    thread_.check();
    while (!standing_.empty()) end(standing_.front()->report.id, FaultState::kCleared);
}

bool FunctionFaults::clear(uint64_t id) {
    thread_.check();
    if (find(id) == nullptr) return false;
    end(id, FaultState::kCleared);
    return true;
}

std::vector<FaultReport> FunctionFaults::report() const {
    thread_.check();
    std::vector<FaultReport> reports;
    for (const auto& standing : standing_) {
        reports.push_back(standing->report);
        if (standing->report.state == FaultState::kArmed && standing->due_access > accesses_)
            reports.back().accesses_left = standing->due_access - accesses_;
    }
    reports.insert(reports.end(), ended_.begin(), ended_.end());
    return reports;
}

FunctionFaults::Standing* FunctionFaults::find(uint64_t id) {
    for (const auto& standing : standing_)
        if (standing->report.id == id) return standing.get();
    return nullptr;
}

void FunctionFaults::fire_later(uint64_t id, Duration delay) {
    auto task = [weak = weak_.ptr(), id] {
        // Nobody is there to hear of an error; the report of the fault has it.
        if (FunctionFaults* const self = weak.get()) (void)self->fire(id);
    };
    if (delay == Duration::zero())
        runner_.post(std::move(task));
    else
        runner_.post_delayed(std::move(task), delay);
}

// Strikes or becomes active. A hook may destroy this object: nothing is touched after it.
Status FunctionFaults::fire(uint64_t id) {
    Standing* const standing = find(id);
    if (standing == nullptr || standing->report.state != FaultState::kArmed) return {};
    const Fault fault = standing->report.fault;
    if (stays(fault.kind)) {
        activate(*standing);
        if (fault.kind == FaultKind::kBackendDead) kill_backend(id, fault.delay);
        return {};
    }
    if (fault.kind == FaultKind::kIrqSpurious) {
        activate(*standing);
        strike_spurious(id);
        return {};
    }
    note_strike(*standing);
    end(id, FaultState::kDone);
    switch (fault.kind) {
        case FaultKind::kCorrectable:
        case FaultKind::kUncorrectable:
            if (std::string note = hooks_.report_error(fault_error(fault)); !note.empty())
                set_note(id, std::move(note));
            return {};
        case FaultKind::kHostHang:
            hooks_.hang(fault.delay);
            return {};
        case FaultKind::kHostCrash:
            hooks_.crash();
            return {};
        case FaultKind::kClear:
            clear();
            return {};
        default:
            break;
    }
    const auto self = weak_.ptr();
    const auto slot = hooks_.slot;  // survives what it may destroy
    Status done = slot(fault.kind);
    if (done) return {};
    if (self) set_note(id, done.error().message());
    return tl::unexpected<Error>(std::move(done).error().with_context(fault.name));
}

// Of a fault that has ended.
void FunctionFaults::set_note(uint64_t id, std::string note) {
    for (auto& report : ended_)
        if (report.id == id) report.note = std::move(note);
}

// `delay`: for how long; zero: until it is cleared.
void FunctionFaults::kill_backend(uint64_t id, Duration delay) {
    if (delay > Duration::zero()) {
        auto revive = [weak = weak_.ptr(), id] {
            if (FunctionFaults* const self = weak.get()) self->end(id, FaultState::kDone);
        };
        runner_.post_delayed(std::move(revive), delay);
    }
    hooks_.backend_changed();
}

FunctionFaults::AnswerStrike FunctionFaults::backend_answer() {
    for (const auto& standing : standing_) {
        const FaultKind kind = standing->report.fault.kind;
        const bool is_one = kind == FaultKind::kBackendDrop || kind == FaultKind::kBackendDelay ||
                            kind == FaultKind::kBackendCorrupt ||
                            kind == FaultKind::kBackendWrongId;
        if (standing->report.state != FaultState::kActive || !is_one) continue;
        const AnswerStrike found{kind, standing->report.fault.delay, standing->random.next()};
        strike(*standing);
        return found;
    }
    return {};
}

bool FunctionFaults::backend_dead() {
    for (const auto& standing : standing_) {
        if (standing->report.state != FaultState::kActive ||
            standing->report.fault.kind != FaultKind::kBackendDead)
            continue;
        note_strike(*standing);
        return true;
    }
    return false;
}

void FunctionFaults::strike_spurious(uint64_t id) {
    Standing* const standing = find(id);
    if (standing == nullptr || standing->report.state != FaultState::kActive) return;
    FaultReport& report = standing->report;
    const Messages messages = hooks_.messages();
    const bool can = messages.vectors > report.fault.vector.value_or(0);
    const uint32_t vector = report.fault.vector ? *report.fault.vector
                            : can ? static_cast<uint32_t>(standing->random.below(messages.vectors))
                                  : 0;
    if (!can) report.note = "the guest has not enabled the message";
    const Duration gap = std::max(report.fault.delay, kMinSpuriousGap);
    if (strike(*standing)) {
        auto next = [weak = weak_.ptr(), id] {
            if (FunctionFaults* const self = weak.get()) self->strike_spurious(id);
        };
        runner_.post_delayed(std::move(next), gap);
    }
    if (can) send(messages.msix, vector);
}

void FunctionFaults::activate(Standing& standing) {
    standing.report.state = FaultState::kActive;
    changed(standing.report, "active");
}

// Only the first is news.
void FunctionFaults::note_strike(Standing& standing) {
    ++strikes_;
    if (++standing.report.strikes == 1) changed(standing.report, "struck");
}

size_t FunctionFaults::standing(FaultState state) const {
    return static_cast<size_t>(
        std::count_if(standing_.begin(), standing_.end(),
                      [state](const auto& standing) { return standing->report.state == state; }));
}

// Counts a strike; false if it was the last: `standing` is gone then.
bool FunctionFaults::strike(Standing& standing) {
    note_strike(standing);
    if (standing.report.fault.count == 0 || standing.report.strikes < standing.report.fault.count)
        return true;
    end(standing.report.id, FaultState::kDone);
    return false;
}

void FunctionFaults::end(uint64_t id, FaultState state) {
    const auto at = std::find_if(standing_.begin(), standing_.end(),
                                 [id](const auto& standing) { return standing->report.id == id; });
    if (at == standing_.end()) return;
    (*at)->report.state = state;
    changed((*at)->report, fault_state_name(state));
    ended_.push_back(std::move((*at)->report));
    const bool was_dead = ended_.back().fault.kind == FaultKind::kBackendDead;
    if (ended_.size() > kEndedKept) ended_.pop_front();
    standing_.erase(at);
    if (was_dead && !has_active(FaultKind::kBackendDead)) hooks_.backend_changed();
}

void FunctionFaults::send(bool msix, uint32_t vector) {
    sending_ = true;
    hooks_.send_message(msix, vector);
    sending_ = false;
}

bool FunctionFaults::has_active(FaultKind kind) const {
    return std::any_of(standing_.begin(), standing_.end(), [kind](const auto& standing) {
        return standing->report.state == FaultState::kActive && standing->report.fault.kind == kind;
    });
}

void FunctionFaults::count_access() {
    ++accesses_;
    for (const auto& standing : standing_) {
        if (standing->due_access == 0 || standing->report.state != FaultState::kArmed) continue;
        // What happens once happens behind the access; what changes accesses begins with the next.
        if (accesses_ == standing->due_access)
            fire_later(standing->report.id, Duration::zero());
        else if (accesses_ > standing->due_access && stays(standing->report.fault.kind))
            activate(*standing);
    }
}

bool FunctionFaults::read(unsigned /*space*/, uint64_t /*offset*/, std::span<uint8_t> data) {
    count_access();
    for (const auto& standing : standing_) {
        if (standing->report.state != FaultState::kActive ||
            standing->report.fault.kind != FaultKind::kAllOnes)
            continue;
        std::fill(data.begin(), data.end(), uint8_t{0xff});
        strike(*standing);
        return true;
    }
    return false;
}

bool FunctionFaults::write(unsigned space, uint64_t offset, std::span<const uint8_t> data) {
    count_access();
    for (const auto& standing : standing_) {
        if (standing->report.state != FaultState::kActive) continue;
        bool swallows = standing->report.fault.kind == FaultKind::kAllOnes;
        if (standing->report.fault.kind == FaultKind::kDoorbellStuck && space < kConfigSpace) {
            // One write may cover several registers; they are 4 bytes apart at least.
            for (uint64_t at = 0; at < data.size() && !swallows; at += 4)
                swallows = hooks_.is_doorbell(space, offset + at);
        }
        if (!swallows) continue;
        strike(*standing);
        return true;
    }
    return false;
}

bool FunctionFaults::message(bool msix, uint32_t vector) {
    if (sending_) return false;
    for (const auto& standing : standing_) {
        const Fault& fault = standing->report.fault;
        if (standing->report.state != FaultState::kActive ||
            (fault.vector && *fault.vector != vector))
            continue;
        if (fault.kind == FaultKind::kIrqLost) {
            strike(*standing);
            return true;
        }
        if (fault.kind == FaultKind::kIrqLate) {
            auto late = [weak = weak_.ptr(), msix, vector] {
                if (FunctionFaults* const self = weak.get()) self->send(msix, vector);
            };
            runner_.post_delayed(std::move(late), fault.delay);
            strike(*standing);
            return true;
        }
    }
    return false;
}

memory::DmaSpace* FunctionFaults::dma(memory::DmaSpace* real) {
    if (real == nullptr || standing_.empty() ||
        !(has_active(FaultKind::kDmaSlow) || has_active(FaultKind::kDmaFail) ||
          has_active(FaultKind::kDmaCorrupt)))
        return real;
    if (!faulty_dma_) faulty_dma_ = std::make_unique<FaultyDma>(*this);
    faulty_dma_->set_real(*real);
    return faulty_dma_.get();
}

FunctionFaults::DmaStrike FunctionFaults::strike_dma() {
    DmaStrike all;
    for (size_t i = 0; i < standing_.size();) {
        Standing& standing = *standing_[i];
        if (standing.report.state != FaultState::kActive || !is_dma(standing.report.fault.kind)) {
            ++i;
            continue;
        }
        switch (standing.report.fault.kind) {
            case FaultKind::kDmaSlow:
                all.delay += standing.report.fault.delay;
                break;
            case FaultKind::kDmaFail:
                all.fails = true;
                break;
            default:
                all.corrupts = true;
                all.seed = standing.random.next();
        }
        if (strike(standing)) ++i;
    }
    return all;
}

}  // namespace mimic::pci
