// SPDX-License-Identifier: Apache-2.0
// What a scheduling decision costs with 64 VMs and 10,000 jobs waiting: next() alone, and all that
// a rule does for a job (submit, next, finished). Rules take turns, so that what else the machine
// does meets all of them.
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
constexpr int kJobsOfRound = 20'000;
constexpr int kJobsOfUrgency = 20;  // the public rule looks at every job and VM each time

class Subject {
public:
    explicit Subject(RuleName name) : name_(name), rule_(make_rule(name, {})) {
        for (VmId vm = 0; vm < kVms; ++vm)
            rule_->set_vm(vm,
                          {.weight = static_cast<uint32_t>(random_.between(1, 100)),
                           .priority = static_cast<Priority>(random_.below(3))},
                          0);
        while (rule_->waiting() < kWaiting) submit(static_cast<VmId>(rule_->waiting() % kVms));
        vms_.resize(kWaiting + static_cast<size_t>(kRounds + 2) * kJobsOfRound);
    }

    void round() {
        const int jobs = name_ == RuleName::kUrgency ? kJobsOfUrgency : kJobsOfRound;
        uint64_t choosing = 0;
        const uint64_t begin = now_ns();
        for (int i = 0; i < jobs; ++i) one();
        const uint64_t all = now_ns() - begin;
        // The same again with the clock around next(): it costs as much as a decision, so what two
        // reads of it take with nothing between them is taken off.
        uint64_t nothing = 0;
        for (int i = 0; i < jobs; ++i) {
            const uint64_t before = now_ns();
            nothing += now_ns() - before;
        }
        for (int i = 0; i < jobs; ++i) {
            const uint64_t before = now_ns();
            const auto job = rule_->next(0, now_);
            choosing += now_ns() - before;
            end(*job);
        }
        all_.push_back(static_cast<double>(all) / jobs);
        next_.push_back(
            std::max(0.0, (static_cast<double>(choosing) - static_cast<double>(nothing)) / jobs));
    }

    std::vector<std::string> row() const {
        return {std::string(kRules[static_cast<size_t>(name_)]),
                fmt::format("{:.3f}", median(next_) / 1e3),
                fmt::format("{:.3f}", median(all_) / 1e3)};
    }

private:
    void submit(VmId vm) {
        if (vms_.size() <= jobs_) vms_.resize(2 * jobs_ + 1);
        vms_[jobs_] = vm;
        rule_->submit({jobs_++, vm}, now_);
    }

    void end(JobId job) {
        const Time took = random_.between(1'000'000, 20'000'000);
        now_ += took;
        rule_->finished(job, took, now_);
        submit(vms_[job]);
    }

    void one() { end(*rule_->next(0, now_)); }

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
