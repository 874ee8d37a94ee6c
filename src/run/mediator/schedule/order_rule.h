// SPDX-License-Identifier: Apache-2.0
// OrderRule: first come, first served; `strict` serves high before medium before low. Weights are
// not looked at: for comparison, and for who has one VM a class.
#pragma once

#include "mediator/schedule/keyed_rule.h"

namespace mimic::mediator::schedule {

class OrderRule final : public KeyedRule {
public:
    OrderRule(const RuleOptions& options, bool by_class)
        : KeyedRule(options), by_class_(by_class) {}

private:
    Key key(const Vm& vm) const override {
        const uint32_t rank = by_class_ ? 2 - static_cast<uint32_t>(vm.share.priority) : 0;
        return {rank, 0, job_at(vm.head).order};
    }

    bool by_class_;
};

}  // namespace mimic::mediator::schedule
