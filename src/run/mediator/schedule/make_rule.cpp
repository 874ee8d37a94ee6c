// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "mediator/schedule/drm_fair_rule.h"
#include "mediator/schedule/fair_rule.h"
#include "mediator/schedule/order_rule.h"
#include "mediator/schedule/rule.h"
#include "mediator/schedule/urgency_rule.h"

namespace mimic::mediator::schedule {

std::unique_ptr<Rule> make_rule(RuleName name, const RuleOptions& options) {
    switch (name) {
        case RuleName::kFair:
            return std::make_unique<FairRule>(options);
        case RuleName::kFifo:
            return std::make_unique<OrderRule>(options, false);
        case RuleName::kStrict:
            return std::make_unique<OrderRule>(options, true);
        case RuleName::kUrgency:
            return std::make_unique<UrgencyRule>(options);
        case RuleName::kDrmFair:
            return std::make_unique<DrmFairRule>(options);
    }
    MIMIC_CHECK(false);
}

}  // namespace mimic::mediator::schedule
