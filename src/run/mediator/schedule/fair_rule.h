// SPDX-License-Identifier: Apache-2.0
// FairRule: start-time fair queueing (Goyal, Vin, Cheng, 1996) of VMs by the time that their jobs
// really take.
//
// A VM has a tag, the virtual time at which its next job starts; the smallest tag is next. A job
// moves it by its cost over the VM's weight: by an estimate when it starts, by what it really took
// when it ended. With one backend a VM's tag is always exact when a choice is made, so the bound of
// the algorithm holds though no length is known before: over every interval in which two VMs have
// work, the service of each over its weight differs by at most a longest job of each over its
// weight. With B backends, whose jobs may start while others are only estimated, by 2B - 1 times as
// much.
//
// Virtual time of a line (a set of VMs that compete) is the tag of the last job that started. A VM
// that comes back starts there or where it left, whichever is later: being idle saves nothing, and
// leaving and returning forgets nothing.
//
// But a VM with one request in flight is away for a moment after each of its jobs, and what starts
// in that moment must not put it back each time: a VM of 40 % got 37 %. Who misses no more than
// eight starts a backend keeps its tag, though it may lie before virtual time, for its next job. If
// it then turns out to have more jobs, they go on from virtual time as it was when it came: so the
// bound holds as if it had started there.
//
// Lines: one for VMs that run anywhere and one a home backend, each a class where classes are
// strict. Where both lines want a backend, a second, smaller fair queueing decides, of two groups
// with the weights of their VMs (gates), so that no line waits for another's history elsewhere.
#pragma once

#include <array>
#include <vector>

#include "mediator/schedule/keyed_rule.h"

namespace mimic::mediator::schedule {

class FairRule final : public KeyedRule {
public:
    explicit FairRule(const RuleOptions& options);

private:
    static constexpr size_t kClasses = 3;

    struct Line {
        Virtual now = 0;
        uint64_t weight = 0;  // of VMs that have jobs
        uint64_t starts = 0;
    };
    struct Away {
        bool known = false;   // it had jobs in its line before
        uint64_t starts = 0;  // of its line when it left
        Virtual lift = 0;     // what its tag lacks to virtual time when it came back
    };
    struct Gate {
        Virtual now = 0;
        std::array<Virtual, 2> tag{};  // of jobs that run anywhere, of the backend's own
    };

    void appeared(Vm& vm) override;
    void share_changes(Vm& vm, const Share& share) override;
    void domain_changes(Vm& vm, Domain domain) override;
    void woke(Vm& vm) override;
    void slept(Vm& vm) override;
    void queued(Vm& vm, uint32_t job) override;
    void enters(Vm& vm) override;
    void starts(Vm& vm, Job& job) override;
    void ends(Vm& vm, const Job& job, Time took) override;
    void undone(Vm& vm, const Job& job) override;
    bool forgettable(const Vm& vm) const override;
    Key key(const Vm& vm) const override;
    bool home_first(BackendIndex backend, const VmHeap::Entry& home,
                    const VmHeap::Entry& anywhere) const override;
    void backends_grew() override;

    uint32_t rank(const Share& share) const;
    Line& line(const Vm& vm) { return lines_[vm.domain][rank(vm.share)]; }
    const Line& line(const Vm& vm) const { return lines_[vm.domain][rank(vm.share)]; }
    void lift(Vm& vm);
    Virtual group_cost(const Vm& vm, const Job& job, Time cost) const;

    std::vector<std::array<Line, kClasses>> lines_;  // by domain
    std::vector<std::array<Gate, kClasses>> gates_;  // by backend
    std::vector<Away> away_;                         // by slot
};

}  // namespace mimic::mediator::schedule
