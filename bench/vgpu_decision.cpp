// SPDX-License-Identifier: Apache-2.0
// What a scheduling decision costs with 64 VMs and 10,000 jobs waiting, in CPU time: next() alone,
// which chooses a VM, charges it and finds its new place, in blocks of 500 on as many backends; and
// all that a rule does for a job (submit, next, finished), a job at a time. Rules take turns, so
// that what else the machine does meets all of them.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/text_table.h"
#include "bench/measure.h"
#include "mediator/config/keys.h"
#include "mediator/schedule/rule.h"
#include "mediator/schedule/simulate/random.h"

namespace mimic::bench {
namespace {

using namespace mediator;
using namespace mediator::schedule;

constexpr VmId kVms = 64;
constexpr JobId kWaiting = 10'000;
constexpr int kRounds = 31;
constexpr int kBlocks = 20;  // of a round
constexpr JobId kBlock = 500;

/// CPU time of this thread: a block in which another process ran is no longer for that.
uint64_t cpu_ns() {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(t.tv_nsec);
}

class Subject {
public:
    explicit Subject(RuleName name) : name_(name), rule_(make_rule(name, {})) {
        for (VmId vm = 0; vm < kVms; ++vm)
            rule_->set_vm(vm,
                          {.weight = static_cast<uint32_t>(random_.between(1, 100)),
                           .priority = static_cast<Priority>(random_.below(3)),
                           .parallel = kBlock},
                          0);
        while (rule_->waiting() < kWaiting) submit(static_cast<VmId>(rule_->waiting() % kVms));
    }

    void round() {
        // The public rule looks at every job and VM each time.
        const bool slow = name_ == RuleName::kUrgency;
        const int blocks = slow ? 1 : kBlocks;
        const JobId block = slow ? 10 : kBlock;
        uint64_t choosing = 0;
        for (int i = 0; i < blocks; ++i) choosing += choose(block);
        const uint64_t begin = cpu_ns();
        for (JobId i = 0; i < block * static_cast<JobId>(blocks); ++i) end(*rule_->next(0, now_));
        const uint64_t all = cpu_ns() - begin;
        const double jobs = static_cast<double>(block) * blocks;
        next_.push_back(static_cast<double>(choosing) / jobs);
        all_.push_back(static_cast<double>(all) / jobs);
    }

    std::vector<std::string> row() const {
        return {std::string(kRules[static_cast<size_t>(name_)]),
                fmt::format("{:.3f}", median(next_) / 1e3),
                fmt::format("{:.3f}", median(all_) / 1e3)};
    }

private:
    uint64_t choose(JobId block) {
        std::vector<JobId> chosen;
        chosen.reserve(block);
        const uint64_t begin = cpu_ns();
        for (JobId i = 0; i < block; ++i)
            chosen.push_back(*rule_->next(static_cast<BackendIndex>(i), now_));
        const uint64_t took = cpu_ns() - begin;
        for (const JobId job : chosen) end(job);
        return took;
    }

    void submit(VmId vm) {
        vms_.push_back(vm);
        rule_->submit({jobs_++, vm}, now_);
    }

    void end(JobId job) {
        const Time took = random_.between(1'000'000, 20'000'000);
        now_ += took;
        rule_->finished(job, took, now_);
        submit(vms_[job]);
    }

    RuleName name_;
    std::unique_ptr<Rule> rule_;
    Random random_{1};
    Time now_ = 0;
    JobId jobs_ = 0;
    std::vector<VmId> vms_;  // by job
    std::vector<double> all_;
    std::vector<double> next_;
};

void run() {
    std::vector<std::unique_ptr<Subject>> subjects;
    for (size_t i = 0; i < kRules.size(); ++i)
        subjects.push_back(std::make_unique<Subject>(static_cast<RuleName>(i)));
    for (int i = 0; i < kRounds; ++i)
        for (auto& subject : subjects) subject->round();
    std::vector<std::vector<std::string>> rows = {{"RULE", "NEXT us", "WHOLE JOB us"}};
    for (const auto& subject : subjects) rows.push_back(subject->row());
    std::printf("a decision with %u VMs and %llu jobs waiting (fair: <= 0.3 us)\n%s", kVms,
                static_cast<unsigned long long>(kWaiting), text_table(rows, {1, 2}).c_str());
}

}  // namespace
}  // namespace mimic::bench

int main() {
    mimic::bench::run();
    return 0;
}
