// SPDX-License-Identifier: Apache-2.0
// LagWatcher: the fairness bound, measured. For each two VMs and every interval in which both had
// work all the time, the difference of their service over weight, against a longest job of each
// over its weight.
//
// It counts in whole nanoseconds times weights. Service is what a backend has done so far, also of
// jobs that still run. The difference D of a pair moves while both have work; the largest |D(t2) -
// D(t1)| over all intervals of such a time is its maximum less its minimum.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "mediator/schedule/simulate/simulator.h"

namespace mimic::mediator::schedule {

class LagWatcher : public SimulationWatcher {
public:
    enum class Busy {
        kAnyJob,   // waiting or running: what one backend means by backlogged
        kWaiting,  // a job waits: with several backends, which it could all use
    };

    explicit LagWatcher(Busy busy = Busy::kAnyJob) : means_(busy) {}

    /// Pairs of which one is in a set only are not looked at: other homes, other classes.
    void separate(VmId vm, uint32_t set) { vms_[vm].set = set; }

    /// Longest that any interval was, in longest jobs of both over their weights. <= 1 is the bound
    /// of one backend.
    double worst() const { return worst_; }
    const std::string& where() const { return where_; }
    uint64_t intervals() const { return intervals_; }

    void submitted(VmId vm, JobId /*job*/, Time /*now*/) override { ++vms_[vm].waiting; }

    void started(VmId vm, JobId job, BackendIndex /*backend*/, Time now) override {
        --vms_[vm].waiting;
        vms_[vm].running[job] = now;
    }

    void ended(VmId vm, JobId job, Time took, Time /*now*/) override {
        LagVm& its = vms_[vm];
        its.running.erase(job);
        its.done += took;
        its.longest = std::max(its.longest, took);
    }

    void share_set(VmId vm, const Share& share, Time now) override {
        look(now);
        vms_[vm].weight = share.weight;
        // From now on: intervals do not reach across a change.
        std::erase_if(pairs_, [vm](const auto& pair) {
            return pair.first.first == vm || pair.first.second == vm;
        });
    }

    void settled(Time now) override { look(now); }

    void look(Time now) {
        for (auto first = vms_.begin(); first != vms_.end(); ++first)
            for (auto second = std::next(first); second != vms_.end(); ++second)
                if (first->second.set == second->second.set) look_at(*first, *second, now);
    }

private:
    struct LagVm {
        uint32_t set = 0;
        int64_t weight = 1;
        size_t waiting = 0;
        std::map<JobId, Time> running;  // since when
        Time done = 0;
        Time longest = 0;

        Time service(Time now) const {
            Time sum = done;
            for (const auto& [job, since] : running) sum += now - since;
            return sum;
        }
        // A job that still runs may become the longest.
        Time longest_by(Time now) const {
            Time most = longest;
            for (const auto& [job, since] : running) most = std::max(most, now - since);
            return most;
        }
    };
    struct Range {
        int64_t least = 0;
        int64_t most = 0;
    };

    bool busy(const LagVm& vm) const {
        return vm.waiting > 0 || (means_ == Busy::kAnyJob && !vm.running.empty());
    }

    void look_at(const std::pair<const VmId, LagVm>& a, const std::pair<const VmId, LagVm>& b,
                 Time now) {
        const std::pair key{a.first, b.first};
        if (!busy(a.second) || !busy(b.second)) {
            // The interval ends here, with what was served up to here.
            if (pairs_.contains(key)) widen(key, a.second, b.second, now);
            pairs_.erase(key);
            return;
        }
        if (!pairs_.contains(key)) {
            const int64_t difference = difference_of(a.second, b.second, now);
            pairs_[key] = {difference, difference};
            ++intervals_;
        }
        widen(key, a.second, b.second, now);
    }

    static int64_t difference_of(const LagVm& a, const LagVm& b, Time now) {
        return a.service(now) * b.weight - b.service(now) * a.weight;
    }

    void widen(const std::pair<VmId, VmId>& key, const LagVm& a, const LagVm& b, Time now) {
        Range& range = pairs_[key];
        const int64_t difference = difference_of(a, b, now);
        range.least = std::min(range.least, difference);
        range.most = std::max(range.most, difference);
        const int64_t bound = a.longest_by(now) * b.weight + b.longest_by(now) * a.weight;
        // Charges are rounded down, by less than 2^-20 ns at weight 1 a job.
        const int64_t rounding = a.weight * b.weight / 64 + 2;
        const int64_t moved = range.most - range.least;
        if (moved <= rounding || bound == 0) return;
        const double ratio = static_cast<double>(moved - rounding) / static_cast<double>(bound);
        if (ratio <= worst_) return;
        worst_ = ratio;
        where_ = "VMs " + std::to_string(key.first) + " and " + std::to_string(key.second) +
                 " at " + std::to_string(now) + " ns";
    }

    Busy means_;
    std::map<VmId, LagVm> vms_;
    std::map<std::pair<VmId, VmId>, Range> pairs_;
    double worst_ = 0;
    std::string where_;
    uint64_t intervals_ = 0;
};

}  // namespace mimic::mediator::schedule
