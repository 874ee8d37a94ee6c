// SPDX-License-Identifier: Apache-2.0
#include "control/targets.h"

#include <algorithm>

#include "base/nearest.h"
#include "control/router.h"

namespace mimic::control {
namespace {

constexpr size_t kMaxName = 128;  // longer ones are none of ours and not looked for

}  // namespace

HttpResponse Targets::on(const std::string& name, const Work& work) {
    using Found = std::optional<HttpResponse>;
    auto order = groups_;
    if (const auto last = std::find(order.begin(), order.end(), last_); last != order.end())
        std::iter_swap(order.begin(), last);
    bool busy = false;
    for (TargetGroup* const group : order) {
        auto found = call_on<Found>(
            group->runner(),
            [group, name, work]() -> Found {
                const auto target = group->find(name);
                if (target == nullptr) return std::nullopt;
                return work(*target);
            },
            deadline_);
        if (!found) busy = true;
        if (!found || !*found) continue;
        last_ = group;
        return std::move(**found);
    }
    if (busy)
        return refuse({503, "busy", "a loop of this process does not answer; try again later"});
    return unknown(name);
}

HttpResponse Targets::unknown(const std::string& name) {
    const std::string bounded = name.substr(0, kMaxName);
    std::vector<std::string> names;
    for (const auto& some :
         each<std::vector<std::string>>([](TargetGroup& group) { return group.names(); }))
        if (some) names.insert(names.end(), some->begin(), some->end());
    return refuse({404, "unknown_device", fmt::format("no device \"{}\"", bounded),
                   nearest_names(bounded, names)});
}

}  // namespace mimic::control
