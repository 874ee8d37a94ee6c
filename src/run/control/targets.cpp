// SPDX-License-Identifier: Apache-2.0
#include "control/targets.h"

#include <algorithm>
#include <charconv>

#include "base/nearest.h"
#include "service/router.h"

namespace mimic::control {
namespace {

constexpr size_t kMaxName = 128;  // longer ones are none of ours and not looked for

// What a PF says of a VF that it does not have now; empty: `name` is no such VF of it.
std::string not_enabled(const TargetInfo& pf, std::string_view name) {
    const std::string before = pf.name + "-vf";
    if (!pf.total_vfs || !pf.vfs || !name.starts_with(before)) return "";
    const std::string_view digits = name.substr(before.size());
    uint32_t index = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error != std::errc() || end != digits.data() + digits.size() || index >= *pf.total_vfs)
        return "";
    return fmt::format(
        "{} is not there: the guest has enabled {} of the {} VFs of {} "
        "(sriov_numvfs)",
        name, *pf.vfs, *pf.total_vfs, pf.name);
}

}  // namespace

service::HttpResponse Targets::on(const std::string& name, const Work& work) {
    using Found = std::optional<service::HttpResponse>;
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
        return service::refuse(
            {503, "busy", "a loop of this process does not answer; try again later"});
    return unknown(name);
}

service::HttpResponse Targets::unknown(const std::string& name) {
    const std::string bounded = name.substr(0, kMaxName);
    if (bounded.find("-vf") != std::string::npos) {
        for (const auto& some :
             each<std::vector<TargetInfo>>([](TargetGroup& group) { return group.infos(); }))
            for (const TargetInfo& info : some.value_or(std::vector<TargetInfo>{}))
                if (std::string why = not_enabled(info, bounded); !why.empty())
                    return service::refuse({404, "not_enabled", std::move(why), {}});
    }
    std::vector<std::string> names;
    for (const auto& some :
         each<std::vector<std::string>>([](TargetGroup& group) { return group.names(); }))
        if (some) names.insert(names.end(), some->begin(), some->end());
    return service::refuse({404, "unknown_device", fmt::format("no device \"{}\"", bounded),
                            nearest_names(bounded, names)});
}

}  // namespace mimic::control
