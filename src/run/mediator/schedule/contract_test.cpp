// SPDX-License-Identifier: Apache-2.0
// Every rule against a plain list of what it was told, over random calls: no job is lost, started
// twice, out of order, on another backend than its VM's home or beyond the parallel limit, and none
// waits while it could run.
#include <algorithm>
#include <deque>
#include <map>

#include <gtest/gtest.h>

#include "mediator/schedule/rule.h"
#include "mediator/schedule/simulate/random.h"

namespace mimic::mediator::schedule {
namespace {

constexpr BackendIndex kBackends = 3;
constexpr VmId kVms = 5;

class Contract : public ::testing::TestWithParam<RuleName> {
protected:
    struct Known {
        bool here = false;
        Share share;
        std::optional<BackendIndex> home;
        std::deque<JobId> waiting;  // in the order of their arrival
        size_t running = 0;
    };
    struct Running {
        JobId job = 0;
        VmId vm = 0;
    };

    void step(Random& random) {
        now_ += random.between(0, 5'000'000);
        const auto vm = static_cast<VmId>(random.below(kVms));
        switch (random.below(12)) {
            case 0:
                set(vm, random);
                break;
            case 1:
                if (random.below(4) == 0) remove(vm);
                break;
            case 2:
                home(vm, random);
                break;
            case 3:
                cancel(vm, random);
                break;
            case 4:
            case 5:
            case 6:
            case 7:
                submit(vm);
                break;
            default:
                work(static_cast<BackendIndex>(random.below(kBackends)), random);
        }
        check();
    }

    void set(VmId vm, Random& random) {
        Known& known = vms_[vm];
        known.share = {.weight = static_cast<uint32_t>(random.between(1, 10'000)),
                       .priority = static_cast<Priority>(random.below(3)),
                       .parallel = static_cast<uint32_t>(random.between(1, 3))};
        known.here = true;
        rule_->set_vm(vm, known.share, now_);
    }

    void remove(VmId vm) {
        Known& known = vms_[vm];
        if (!known.here) return;
        rule_->remove_vm(vm);
        known.here = false;
        known.waiting.clear();
        // Whether a rule still knows its home is its affair: say it again.
        home_unknown_[vm] = true;
    }

    void home(VmId vm, Random& random) {
        Known& known = vms_[vm];
        if (!known.here) return;
        known.home.reset();
        if (random.below(2) == 0) known.home = static_cast<BackendIndex>(random.below(kBackends));
        rule_->set_home(vm, known.home);
        home_unknown_[vm] = false;
    }

    void submit(VmId vm) {
        Known& known = vms_[vm];
        if (!known.here) return;
        if (home_unknown_[vm]) rule_->set_home(vm, known.home);
        home_unknown_[vm] = false;
        known.waiting.push_back(jobs_);
        rule_->submit({jobs_++, vm}, now_);
    }

    void cancel(VmId vm, Random& random) {
        Known& known = vms_[vm];
        if (known.waiting.empty()) return;
        const auto at = known.waiting.begin() +
                        static_cast<std::ptrdiff_t>(random.below(known.waiting.size()));
        EXPECT_TRUE(rule_->cancel(*at));
        EXPECT_FALSE(rule_->cancel(*at));
        known.waiting.erase(at);
    }

    // Ends what runs there, if anything does, and starts the next.
    void work(BackendIndex backend, Random& random) {
        auto& running = running_[backend];
        if (running) {
            Known& known = vms_[running->vm];
            --known.running;
            if (random.below(5) == 0) {
                rule_->put_back(running->job, now_);
                if (known.here) {
                    known.waiting.push_front(running->job);
                    std::sort(known.waiting.begin(), known.waiting.end());
                }
            } else {
                rule_->finished(running->job, random.between(0, 20'000'000), now_);
            }
            running.reset();
        }
        const bool could = std::any_of(vms_.begin(), vms_.end(), [&](const auto& entry) {
            const Known& known = entry.second;
            return !known.waiting.empty() && known.running < known.share.parallel &&
                   known.home.value_or(backend) == backend;
        });
        const auto job = rule_->next(backend, now_);
        ASSERT_EQ(job.has_value(), could);
        if (!job) return;
        for (auto& [id, known] : vms_) {
            if (known.waiting.empty() || known.waiting.front() != *job) continue;
            EXPECT_LT(known.running, known.share.parallel);
            EXPECT_EQ(known.home.value_or(backend), backend);
            known.waiting.pop_front();
            ++known.running;
            running = Running{*job, id};
            return;
        }
        FAIL() << "job " << *job << " is nobody's first";
    }

    void check() {
        size_t waiting = 0;
        for (const auto& [vm, known] : vms_) {
            ASSERT_EQ(rule_->waiting(vm), known.waiting.size());
            ASSERT_EQ(rule_->running(vm), known.running);
            waiting += known.waiting.size();
        }
        ASSERT_EQ(rule_->waiting(), waiting);
    }

    std::unique_ptr<Rule> rule_;
    std::map<VmId, Known> vms_;
    std::map<VmId, bool> home_unknown_;
    std::optional<Running> running_[kBackends];
    JobId jobs_ = 0;
    Time now_ = 0;
};

INSTANTIATE_TEST_SUITE_P(All, Contract,
                         ::testing::Values(RuleName::kFair, RuleName::kFifo, RuleName::kStrict,
                                           RuleName::kUrgency, RuleName::kDrmFair));

TEST_P(Contract, HoldsOverRandomCalls) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        for (const bool strict : {false, true}) {
            rule_ = make_rule(GetParam(), {.strict_classes = strict});
            vms_.clear();
            home_unknown_.clear();
            for (auto& running : running_) running.reset();
            Random random(seed);
            for (int i = 0; i < 2'000; ++i) {
                step(random);
                ASSERT_FALSE(HasFatalFailure()) << "seed " << seed << ", step " << i;
            }
        }
    }
}

}  // namespace
}  // namespace mimic::mediator::schedule
