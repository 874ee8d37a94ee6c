// SPDX-License-Identifier: Apache-2.0
#include "mediator/schedule/simulate/simulator.h"

#include <algorithm>
#include <map>
#include <memory>
#include <queue>

#include "mediator/schedule/simulate/fairness.h"
#include "mediator/schedule/time_units.h"

namespace mimic::mediator::schedule {
namespace {

// What happens at a time. Of equal times the one that was planned first.
struct Happening {
    enum class What : uint8_t { kEnds, kClient, kEvent };
    Time at = 0;
    uint64_t sequence = 0;
    What what = What::kEvent;
    uint32_t index = 0;  // of the backend, the client or the load's event

    bool operator>(const Happening& other) const {
        return at != other.at ? at > other.at : sequence > other.sequence;
    }
};

constexpr uint32_t kNoClient = UINT32_MAX;

class Simulation {
public:
    Simulation(const Load& load, const SimulationOptions& options);
    Result<SimulationResult> run();

private:
    struct SimVm {
        LoadVm config;
        size_t waiting = 0;
        size_t running = 0;
        Time mark = -1;  // since when it has had jobs and none ran; -1: that is not so
        std::vector<std::pair<Time, Time>> ended;  // when, latency
        SimulatedVm result;
    };
    struct SimJob {
        uint32_t vm = 0;
        uint32_t client = kNoClient;
        Time arrived = 0;
        Time length = 0;
    };
    struct SimBackend {
        bool busy = false;
        JobId job = 0;
        Time since = 0;
        uint32_t last_vm = UINT32_MAX;
    };

    void plan(Time at, Happening::What what, uint32_t index);
    void happen(const Happening& happening);
    void submit(uint32_t vm, uint32_t client, Time length);
    void from_client(uint32_t client);
    void end_job(uint32_t backend);
    void dispatch();
    void start(uint32_t backend, JobId job);
    void serve(SimVm& vm, Time from, Time to);
    bool could_run(uint32_t backend) const;
    void idle_until(Time next);
    SimulationResult result();

    const Load& load_;
    SimulationOptions options_;
    std::unique_ptr<Rule> rule_;
    SimulationWatcher nobody_;
    SimulationWatcher& watcher_;
    std::priority_queue<Happening, std::vector<Happening>, std::greater<>> plan_;
    uint64_t sequence_ = 0;
    Time now_ = 0;
    std::vector<SimVm> vms_;
    std::map<VmId, uint32_t> vm_index_;
    std::vector<Random> client_random_;
    std::vector<SimJob> jobs_;  // by id
    std::vector<SimBackend> backends_;
    SimulationResult result_;
};

Simulation::Simulation(const Load& load, const SimulationOptions& options)
    : load_(load),
      options_(options),
      rule_(make_rule(options.rule, {.strict_classes = load.strict_classes})),
      watcher_(options.watcher ? *options.watcher : nobody_),
      backends_(load.backends) {
    for (const LoadVm& vm : load.vms) {
        vm_index_[vm.id] = static_cast<uint32_t>(vms_.size());
        vms_.push_back({});
        vms_.back().config = vm;
        vms_.back().result.weight = vm.share.weight;
        vms_.back().result.pieces.resize(options_.pieces);
        rule_->set_vm(vm.id, vm.share, 0);
        if (vm.home) rule_->set_home(vm.id, vm.home);
        watcher_.share_set(vm.id, vm.share, 0);
    }
    for (uint32_t i = 0; i < load.clients.size(); ++i) {
        // Lengths are drawn by the client, so that they are the same whatever the rule.
        client_random_.emplace_back(load.seed * 0x100000001b3u + i);
        for (uint32_t n = 0; n < load.clients[i].depth; ++n)
            plan(load.clients[i].from, Happening::What::kClient, i);
    }
    if (!load.events.empty()) plan(load.events.front().at, Happening::What::kEvent, 0);
}

void Simulation::plan(Time at, Happening::What what, uint32_t index) {
    plan_.push({at, sequence_++, what, index});
}

Result<SimulationResult> Simulation::run() {
    while (!plan_.empty() && plan_.top().at < load_.duration) {
        const Time at = plan_.top().at;
        idle_until(at);
        now_ = at;
        while (!plan_.empty() && plan_.top().at == now_) {
            const Happening happening = plan_.top();
            plan_.pop();
            happen(happening);
            if (jobs_.size() > options_.most_jobs)
                return fail(std::errc::argument_out_of_domain,
                            "more than {} jobs in one simulation, at {} s of {} s",
                            options_.most_jobs, now_ / kS, load_.duration / kS);
        }
        dispatch();
        watcher_.settled(now_);
    }
    idle_until(load_.duration);
    now_ = load_.duration;
    return result();
}

void Simulation::happen(const Happening& happening) {
    switch (happening.what) {
        case Happening::What::kEnds:
            end_job(happening.index);
            return;
        case Happening::What::kClient:
            from_client(happening.index);
            return;
        case Happening::What::kEvent:
            break;
    }
    const LoadEvent& event = load_.events[happening.index];
    const uint32_t vm = vm_index_.at(event.vm);
    if (event.share) {
        vms_[vm].config.share = *event.share;
        // What its jobs have had so far counts by the old weight.
        for (SimBackend& backend : backends_)
            if (backend.busy && jobs_[backend.job].vm == vm) {
                serve(vms_[vm], backend.since, now_);
                backend.since = now_;
            }
        vms_[vm].result.weight = event.share->weight;
        rule_->set_vm(event.vm, *event.share, now_);
        watcher_.share_set(event.vm, *event.share, now_);
    } else {
        submit(vm, kNoClient, event.job);
    }
    const uint32_t next = happening.index + 1;
    if (next < load_.events.size()) plan(load_.events[next].at, Happening::What::kEvent, next);
}

void Simulation::from_client(uint32_t client) {
    const LoadClient& its = load_.clients[client];
    if (now_ >= its.until) return;
    submit(vm_index_.at(its.vm), client, its.job.draw(client_random_[client]));
}

void Simulation::submit(uint32_t vm, uint32_t client, Time length) {
    SimVm& its = vms_[vm];
    if (its.waiting + its.running == 0) its.mark = now_;
    const JobId job = jobs_.size();
    jobs_.push_back({vm, client, now_, length});
    ++its.waiting;
    ++its.result.submitted;
    rule_->submit({job, its.config.id}, now_);
    watcher_.submitted(its.config.id, job, now_);
}

// The part of a job's time on a backend that lies between two times, into the pieces it belongs to.
void Simulation::serve(SimVm& vm, Time from, Time to) {
    vm.result.service += to - from;
    vm.result.normalised += static_cast<double>(to - from) / vm.result.weight;
    result_.busy += to - from;
    const auto pieces = static_cast<Time>(options_.pieces);
    while (pieces > 0 && from < to) {
        const Time piece = std::min(from / (load_.duration / pieces + 1), pieces - 1);
        const Time end = std::min(to, (piece + 1) * (load_.duration / pieces + 1));
        vm.result.pieces[static_cast<size_t>(piece)].service += end - from;
        from = end;
    }
}

void Simulation::end_job(uint32_t index) {
    SimBackend& backend = backends_[index];
    const SimJob job = jobs_[backend.job];
    SimVm& vm = vms_[job.vm];
    backend.busy = false;
    serve(vm, backend.since, now_);
    --vm.running;
    ++vm.result.done;
    vm.ended.emplace_back(now_, now_ - job.arrived);
    vm.mark = vm.running > 0 || vm.waiting == 0 ? -1 : now_;
    rule_->finished(backend.job, job.length, now_);
    watcher_.ended(vm.config.id, backend.job, job.length, now_);
    if (job.client == kNoClient) return;
    const Time think = load_.clients[job.client].think.draw(client_random_[job.client]);
    plan(now_ + think, Happening::What::kClient, job.client);
}

void Simulation::dispatch() {
    for (uint32_t i = 0; i < backends_.size(); ++i) {
        if (backends_[i].busy) continue;
        if (const auto job = rule_->next(i, now_)) start(i, *job);
    }
}

void Simulation::start(uint32_t index, JobId job) {
    SimBackend& backend = backends_[index];
    const uint32_t vm_index = jobs_[job].vm;
    SimVm& vm = vms_[vm_index];
    if (vm.mark >= 0) vm.result.longest_gap = std::max(vm.result.longest_gap, now_ - vm.mark);
    vm.mark = -1;
    --vm.waiting;
    ++vm.running;
    ++result_.decisions;
    if (backend.last_vm != vm_index && backend.last_vm != UINT32_MAX) ++result_.switches;
    backend.last_vm = vm_index;
    backend.busy = true;
    backend.job = job;
    backend.since = now_;
    plan(now_ + jobs_[job].length, Happening::What::kEnds, index);
    watcher_.started(vm.config.id, job, index, now_);
}

bool Simulation::could_run(uint32_t backend) const {
    return std::any_of(vms_.begin(), vms_.end(), [backend](const SimVm& vm) {
        return vm.waiting > 0 && vm.running < vm.config.share.parallel &&
               vm.config.home.value_or(backend) == backend;
    });
}

// A rule that leaves a backend idle though a job could run is found out here, not believed.
void Simulation::idle_until(Time next) {
    if (rule_->waiting() == 0) return;
    for (uint32_t i = 0; i < backends_.size(); ++i)
        if (!backends_[i].busy && could_run(i)) result_.idle_with_work += next - now_;
}

SimulationResult Simulation::result() {
    for (SimBackend& backend : backends_)
        if (backend.busy) serve(vms_[jobs_[backend.job].vm], backend.since, now_);
    result_.rule = options_.rule;
    result_.duration = load_.duration;
    for (SimVm& vm : vms_) {
        if (vm.mark >= 0) vm.result.longest_gap = std::max(vm.result.longest_gap, now_ - vm.mark);
        vm.result.id = vm.config.id;
        std::vector<Time> all;
        std::vector<std::vector<Time>> pieces(options_.pieces);
        for (const auto& [at, latency] : vm.ended) {
            all.push_back(latency);
            if (pieces.empty()) continue;
            const Time length = load_.duration / static_cast<Time>(pieces.size()) + 1;
            pieces[static_cast<size_t>(at / length)].push_back(latency);
        }
        vm.result.p50 = quantile(all, 50);
        vm.result.p99 = quantile(all, 99);
        for (size_t i = 0; i < pieces.size(); ++i) {
            vm.result.pieces[i].p50 = quantile(pieces[i], 50);
            vm.result.pieces[i].p99 = quantile(pieces[i], 99);
        }
        result_.vms.push_back(std::move(vm.result));
    }
    return std::move(result_);
}

}  // namespace

double SimulationResult::conservation() const {
    const Time with_work = busy + idle_with_work;
    return with_work == 0 ? 1.0 : static_cast<double>(busy) / static_cast<double>(with_work);
}

Result<SimulationResult> simulate(const Load& load, const SimulationOptions& options) {
    return Simulation(load, options).run();
}

}  // namespace mimic::mediator::schedule
