// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/per_vm_backend.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/check.h"
#include "base/unix_socket.h"

namespace mimic::mediator::backend {
namespace {

// No letter of a name of a configuration (make_backend.cpp).
constexpr char kNumberMark = '~';

}  // namespace

PerVmBackend::PerVmBackend(const BackendConfig& config, const BackendPlace& place, EventLoop& loop)
    : config_(config), place_(place), loop_(loop) {
    find_processes();
    tidy_soon();
}

std::string PerVmBackend::slot_name(uint32_t number) const {
    return fmt::format("{}{}{}", config_.name, kNumberMark, number);
}

void PerVmBackend::find_processes() {
    const std::string begin = fmt::format("backend-{}{}", config_.name, kNumberMark);
    constexpr std::string_view kEnd = ".sock";
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(place_.run_folder, error)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(begin) || !name.ends_with(kEnd)) continue;
        uint32_t number = 0;
        const char* const last = name.data() + name.size() - kEnd.size();
        const auto [end, wrong] = std::from_chars(name.data() + begin.size(), last, number);
        if (wrong != std::errc{} || end != last || slots_.size() >= kMaxVmProcesses) continue;
        // Somebody who listens; a file alone is of a process that is gone.
        if (!unix_connect_now(entry.path().string())) continue;
        add_slot(number);
        slots_.at(number).found = true;
    }
}

void PerVmBackend::add_slot(uint32_t number) {
    BackendConfig config = config_;
    config.name = slot_name(number);
    Slot& slot = slots_[number];
    slot.process = std::make_unique<WorkerProcess>(config, place_, loop_);
    slot.process->on_change([this, number] { slot_changed(number); });
}

bool PerVmBackend::ready() const {
    bool any = false;
    for (const auto& [number, slot] : slots_) {
        // Whose it is, and whether a job of an earlier mediator still runs there, it has yet to
        // say.
        if (slot.found && !slot.known) return false;
        any = any || slot.process->ready();
    }
    return any;
}

bool PerVmBackend::attaching() const {
    return std::any_of(slots_.begin(), slots_.end(), [](const auto& each) {
        return each.second.found && !each.second.known && each.second.process->attaching();
    });
}

// A process became ready, or has gone. Not the place to destroy one: it calls.
void PerVmBackend::slot_changed(uint32_t number) {
    Slot& slot = slots_.at(number);
    if (slot.process->ready() && !slot.known) {
        slot.known = true;
        const auto vm = slot.process->first_vm();
        if (vm && !slot.vm) slot.vm = vm;
    }
    tidy_soon();
    if (waiting_ && !waiting_->over && waiting_->slot == number && slot.process->ready()) {
        Waiting waiting = std::move(*waiting_);
        waiting_.reset();
        waiting_timer_.cancel();
        waiting.job.request = waiting.request;
        give(number, waiting.job, waiting.timeout, std::move(waiting.done));
    }
    const bool is_ready = ready();
    if (std::exchange(was_ready_, is_ready) != is_ready && changed_) changed_();
}

// That of the VM, or the one that is nobody's, which is the VM's from now on.
std::optional<uint32_t> PerVmBackend::slot_of(VmId vm) {
    for (auto& [number, slot] : slots_) {
        if (slot.vm == vm && !slot.leaving) return number;
    }
    for (const bool want_ready : {true, false}) {
        for (auto& [number, slot] : slots_) {
            if (slot.vm || slot.leaving || slot.process->ready() != want_ready) continue;
            slot.vm = vm;
            tidy_soon();
            return number;
        }
    }
    return std::nullopt;
}

void PerVmBackend::start(const Job& job, Duration timeout, Done done) {
    MIMIC_CHECK(!busy());
    const auto number = slot_of(job.owner.vm);
    if (number && slots_.at(*number).process->ready()) {
        return give(*number, job, timeout, std::move(done));
    }
    // Its process starts, or there is none for it. Answered in a later turn in either case. The
    // start is nothing that the job takes: its own time begins with its process, for which it waits
    // at most as long.
    Waiting waiting;
    waiting.job = job;
    waiting.request.assign(job.request.begin(), job.request.end());
    waiting.timeout = timeout;
    waiting.done = std::move(done);
    waiting.slot = number.value_or(0);
    waiting_ = std::move(waiting);
    if (!number) {
        end_waiting_soon(VGPU_ERROR_MEMORY);
    } else {
        waiting_timer_.start(loop_, timeout, [this] { end_waiting(VGPU_ERROR_TIMEOUT); });
    }
}

void PerVmBackend::end_waiting(vgpu_error error) {
    const Done done = std::move(waiting_->done);
    waiting_.reset();
    Outcome outcome;
    outcome.error = error;
    done(outcome);  // nothing of this object after it
}

// A process that becomes ready until then is not given the job.
void PerVmBackend::end_waiting_soon(vgpu_error error) {
    waiting_->over = true;
    waiting_timer_.post(loop_, [this, error] { end_waiting(error); });
}

void PerVmBackend::give(uint32_t number, Job job, Duration timeout, Done done) {
    // All VMs share what the backend has.
    WorkerProcess& process = *slots_.at(number).process;
    uint64_t others = 0;
    for (const auto& [other, slot] : slots_) {
        if (other != number) others += slot.process->state().memory_used;
    }
    const uint64_t left = config_.memory_bytes - std::min(config_.memory_bytes, others);
    // 0 is no limit: nothing left is the least one.
    const uint64_t cap = std::max<uint64_t>(left, 1);
    job.memory_limit = job.memory_limit == 0 ? cap : std::min(job.memory_limit, cap);
    running_ = true;
    running_slot_ = number;
    process.start(job, timeout, [this, done = std::move(done)](const Outcome& outcome) {
        running_ = false;
        ++jobs_;
        if (slots_.at(running_slot_).leaving) tidy_soon();
        done(outcome);  // nothing of this object after it
    });
}

void PerVmBackend::cancel() {
    if (running_) return slots_.at(running_slot_).process->cancel();
    if (waiting_ && !waiting_->over) end_waiting_soon(VGPU_ERROR_CANCELLED);
}

void PerVmBackend::acknowledge(const Owner& owner, uint64_t request_id) {
    for (auto& [number, slot] : slots_) {
        if (slot.vm == owner.vm) slot.process->acknowledge(owner, request_id);
    }
}

void PerVmBackend::release(const Owner& owner) {
    for (auto& [number, slot] : slots_) {
        if (slot.vm != owner.vm) continue;
        slot.process->release(owner);
        // The last of its VM: the process goes, and what its code has left there.
        if (slot.known && !slot.process->first_vm() && !(waiting_ && waiting_->slot == number)) {
            slot.leaving = true;
            tidy_soon();
        }
    }
}

// Ends processes whose VMs have gone, and sees to it that one waits for the next VM.
void PerVmBackend::tidy() {
    if (stopped_) return;
    for (auto at = slots_.begin(); at != slots_.end();) {
        Slot& slot = at->second;
        if (!slot.leaving || (running_ && running_slot_ == at->first)) {
            ++at;
            continue;
        }
        restarts_ += slot.process->state().restarts;
        slot.process->stop();
        at = slots_.erase(at);
    }
    const bool spare = std::any_of(slots_.begin(), slots_.end(), [](const auto& each) {
        return !each.second.vm && !each.second.leaving;
    });
    if (spare || slots_.size() >= kMaxVmProcesses) return;
    uint32_t number = 0;
    while (slots_.contains(number)) ++number;
    add_slot(number);
}

std::vector<Owner> PerVmBackend::owners() const {
    std::vector<Owner> all;
    for (const auto& [number, slot] : slots_) {
        const auto some = slot.process->owners();
        all.insert(all.end(), some.begin(), some.end());
    }
    std::sort(all.begin(), all.end());
    return all;
}

uint64_t PerVmBackend::memory_used(VmId vm) const {
    uint64_t bytes = 0;
    for (const auto& [number, slot] : slots_) bytes += slot.process->memory_used(vm);
    return bytes;
}

Backend::State PerVmBackend::state() const {
    State all;
    all.restarts = restarts_;
    all.what = "it starts";
    for (const auto& [number, slot] : slots_) {
        const State one = slot.process->state();
        if (!all.ready) {
            all.ready = one.ready;
            all.what = one.what;
        }
        if (all.pid == 0) all.pid = one.pid;
        all.restarts += one.restarts;
        all.memory_used += one.memory_used;
    }
    if (running_) all.pid = slots_.at(running_slot_).process->state().pid;
    all.memory_bytes = config_.memory_bytes;
    all.jobs = jobs_;
    return all;
}

void PerVmBackend::stop() {
    stopped_ = true;
    for (auto& [number, slot] : slots_) slot.process->stop();
    waiting_.reset();
    running_ = false;
    for (Timer* timer : {&tidy_timer_, &waiting_timer_}) timer->cancel();
}

}  // namespace mimic::mediator::backend
