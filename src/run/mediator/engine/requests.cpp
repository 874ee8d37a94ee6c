// SPDX-License-Identifier: Apache-2.0
// Requests from their arrival to the rule, or to an answer at once.
#include <cstring>
#include <utility>

#include "compute/request.h"
#include "mediator/engine/engine_core.h"

namespace mimic::mediator {
namespace {

// Requests that were sent before and pass limits that are reached: two rings of a device.
constexpr uint32_t kMostOwed = 514;

// Which operation it is, where the bytes are enough to say so. All else of them is looked at where
// they are carried out.
std::optional<uint32_t> opcode_of(std::span<const std::byte> bytes) {
    if (bytes.size() < sizeof(vgpu_request)) return std::nullopt;
    uint32_t opcode = 0;
    std::memcpy(&opcode, bytes.data() + offsetof(vgpu_request, opcode), sizeof opcode);
    return opcode;
}

// A SYNCHRONIZE as it should be; another one goes to the backend, which says what is wrong.
bool is_synchronize(uint32_t opcode, std::span<const std::byte> bytes) {
    if (opcode != VGPU_OP_SYNCHRONIZE) return false;
    const auto request = compute::view_request(bytes);
    return request && request->header.flags == 0 && request->params.size() == 0 &&
           request->data.empty();
}

// A backend says in the response what the operation came to.
bool is_success(const Answer& answer) {
    uint32_t status = VGPU_OK;
    if (answer.response.size() >= sizeof(vgpu_response))
        std::memcpy(&status, answer.response.data() + offsetof(vgpu_response, status),
                    sizeof status);
    return answer.error == VGPU_OK && status == VGPU_OK;
}

}  // namespace

Answer done_answer(size_t room) {
    const auto done = compute::nop_response();
    return room < done.size() ? Answer{VGPU_ERROR_INVALID_LENGTH, {}} : Answer{VGPU_OK, done};
}

void EngineCore::submit(ClientKey key, Request request) {
    thread_.check();
    ClientState* const client = clients_.find(key);
    if (client == nullptr || client->session == nullptr) return;
    Vm& vm = *client->session->vm;
    ++vm.counters.submitted;
    if (request.again && attach_again(*client, key, request)) return;
    if (const vgpu_error error = refusal(*client, request.again); error != VGPU_OK)
        return refuse(*client, request.id, error);
    const auto opcode = opcode_of(request.bytes);
    if (!opcode) return refuse(*client, request.id, VGPU_ERROR_INVALID_REQUEST);
    const bool mine = compute::is_nop(request.bytes) || is_synchronize(*opcode, request.bytes);
    // It costs nothing and nothing of its VM is before it, so that no rule would make it wait.
    if (mine && vm.first == 0) return answer_now(*client, request);
    if (client->session->id != 0 && client->session->jobs.contains(request.id))
        return refuse(*client, request.id, VGPU_ERROR_INVALID_REQUEST);
    // Others that are not as they should be are the backend's to explain.
    const bool is_plain = *opcode != VGPU_OP_NOP && *opcode != VGPU_OP_SYNCHRONIZE;
    enqueue(*client, key, std::move(request), mine || is_plain ? *opcode : kForBackend);
}

// Why it may not even wait.
vgpu_error EngineCore::refusal(ClientState& client, bool again) {
    Vm& vm = *client.session->vm;
    if (client.denied) {
        ++vm.counters.rejected_denied;
        return VGPU_ERROR_DENIED;
    }
    if (draining_) return VGPU_ERROR_CANCELLED;
    if (vm.quarantined) {
        ++vm.counters.rejected_quarantine;
        return VGPU_ERROR_QUARANTINED;
    }
    if (vm.pool == nullptr || client.other_pool || !vm.pool->has_hope()) return VGPU_ERROR_POOL;
    // One that was taken before a restart may have been carried out: to say that it was refused
    // would be wrong. It may be owed for, but not without end.
    const uint32_t owed = again ? kMostOwed : 0;
    const uint32_t depth = vm.config.limits.queue_depth;
    if (depth != 0 && vm.waiting >= size_t{depth} + owed) {
        ++vm.counters.rejected_depth;
        return VGPU_ERROR_QUEUE_FULL;
    }
    if (vm.bucket.is_limited() && !vm.bucket.take(runner_.now(), owed)) {
        ++vm.counters.rejected_rate;
        return VGPU_ERROR_RATE_LIMITED;
    }
    return VGPU_OK;
}

void EngineCore::refuse(ClientState& client, uint64_t request_id, vgpu_error error) {
    ++client.session->vm->counters.errors;
    client.sink->on_answer(request_id, {error, {}});
}

void EngineCore::answer_now(ClientState& client, const Request& request) {
    Vm& vm = *client.session->vm;
    const Answer answer = done_answer(request.room);
    ++(answer.error == VGPU_OK ? vm.counters.done : vm.counters.errors);
    vm.latency.add(Duration{});
    client.sink->on_answer(request.id, answer);
}

// It waits or runs still, since the earlier connection: the answer goes to this one.
bool EngineCore::attach_again(ClientState& client, ClientKey key, const Request& request) {
    if (client.session->id == 0) return false;
    const auto found = client.session->jobs.find(request.id);
    if (found == client.session->jobs.end()) return false;
    EngineJob& job = *jobs_.find(found->second);
    if (job.client != 0) {
        refuse(client, request.id, VGPU_ERROR_INVALID_REQUEST);  // and on this one, too
        return true;
    }
    job.client = key;
    job.room = std::min(job.room, request.room);
    return true;
}

void EngineCore::enqueue(ClientState& client, ClientKey client_key, Request request,
                         uint32_t opcode) {
    Session& session = *client.session;
    Vm& vm = *session.vm;
    const auto [key, job] = jobs_.add();
    job.vm = &vm;
    job.session = &session;
    job.client = client_key;
    job.owner = {vm.id(), session.id};
    job.request_id = request.id;
    job.kept_as = session.id == 0 ? ++vm.last_kept_as : request.id;
    job.opcode = opcode;
    job.again = request.again;
    job.room = request.room;
    job.bytes = request.bytes;
    job.storage = std::move(request.storage);
    job.arrived = runner_.now();
    job.pool = vm.pool;
    if (session.id != 0) session.jobs[request.id] = key;
    append(vm, key, job);
    if (opcode == VGPU_OP_SYNCHRONIZE) {
        job.state = JobState::kFence;
        job.bytes = {};
        return;
    }
    if (vm.held) {
        job.state = JobState::kHeld;
    } else {
        to_rule(key, job, rule_time(job.arrived));
        dispatch(*vm.pool);
    }
    // The sender keeps its bytes only for as long as this call.
    EngineJob* const waits = jobs_.find(key);
    if (waits == nullptr || waits->state == JobState::kRunning || !waits->storage.empty()) return;
    waits->storage.assign(waits->bytes.begin(), waits->bytes.end());
    waits->bytes = waits->storage;
}

void EngineCore::to_rule(JobKey key, EngineJob& job, schedule::Time now) {
    job.state = JobState::kWaiting;
    if (needs_home(job.opcode)) choose_home(*job.vm);
    job.pool->rule->submit({key, job.vm->id()}, now);
}

void EngineCore::append(Vm& vm, JobKey key, EngineJob& job) {
    job.before = vm.last;
    if (EngineJob* const last = jobs_.find(vm.last)) {
        last->after = key;
    } else {
        vm.first = key;
        vm.share.set_backlogged(true, job.arrived);
    }
    vm.last = key;
    ++vm.waiting;
}

void EngineCore::unlink(EngineJob& job) {
    Vm& vm = *job.vm;
    EngineJob* const before = jobs_.find(job.before);
    EngineJob* const after = jobs_.find(job.after);
    (before != nullptr ? before->after : vm.first) = job.after;
    (after != nullptr ? after->before : vm.last) = job.before;
    --(job.state == JobState::kRunning ? vm.running : vm.waiting);
    if (vm.first == 0) vm.share.set_backlogged(false, runner_.now());
}

// Takes it out of everything, and answers.
void EngineCore::end_job(JobKey key, const Answer& answer) {
    EngineJob& job = *jobs_.find(key);
    Vm& vm = *job.vm;
    unlink(job);
    if (job.session != nullptr && job.session->id != 0) job.session->jobs.erase(job.request_id);
    ++(is_success(answer) ? vm.counters.done : vm.counters.errors);
    vm.latency.add(runner_.now() - job.arrived);
    const ClientState* const client = clients_.find(job.client);
    const uint64_t request_id = job.request_id;
    // Its bytes may be large, and the answer may point into a backend's, not into these.
    jobs_.remove(key);
    if (client != nullptr && client->session != nullptr)
        client->sink->on_answer(request_id, answer);
}

// Answers fences that have come to the front, once something before them has ended.
void EngineCore::settle(Vm& vm) {
    for (;;) {
        const JobKey key = vm.first;
        const EngineJob* const job = jobs_.find(key);
        if (job == nullptr || job->state != JobState::kFence) return;
        end_job(key, done_answer(job->room));
    }
}

// It ends without having run; what runs is told to end, and answers by itself.
void EngineCore::abandon(JobKey key, vgpu_error error) {
    EngineJob* const job = jobs_.find(key);
    if (job == nullptr) return;
    if (job->state == JobState::kRunning) {
        BackendSlot& slot = *job->pool->slots[job->backend];
        if (slot.backend) slot.backend->cancel();
        return;
    }
    if (job->state == JobState::kWaiting) job->pool->rule->cancel(key);
    Vm& vm = *job->vm;
    end_job(key, {error, {}});
    settle(vm);
    check_drained();
}

std::vector<JobKey> EngineCore::jobs_of(const Vm& vm) {
    std::vector<JobKey> keys;
    for (JobKey key = vm.first; key != 0; key = jobs_.find(key)->after) keys.push_back(key);
    return keys;
}

void EngineCore::abandon_waiting(Vm& vm, vgpu_error error) {
    for (const JobKey key : jobs_of(vm)) {
        const EngineJob* const job = jobs_.find(key);
        if (job != nullptr && job->state != JobState::kRunning) abandon(key, error);
    }
}

void EngineCore::cancel(ClientKey key, uint64_t request_id) {
    thread_.check();
    const ClientState* const client = clients_.find(key);
    if (client == nullptr || client->session == nullptr) return;
    const auto found = client->session->jobs.find(request_id);
    if (found != client->session->jobs.end()) abandon(found->second, VGPU_ERROR_CANCELLED);
}

bool EngineCore::is_for_engine(const EngineJob& job) {
    return job.opcode == VGPU_OP_NOP || job.opcode == VGPU_OP_SYNCHRONIZE;
}

}  // namespace mimic::mediator
