// SPDX-License-Identifier: Apache-2.0
// Targets: finds a target by name among the loops of this process and takes work there.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "control/target.h"
#include "service/http.h"

namespace mimic::control {

/// All groups of a process. Used by one thread at a time, which is none of their loops.
class Targets {
public:
    /// What is done with a target, on its loop. Owns all that it needs.
    using Work = std::function<service::HttpResponse(Target& target)>;

    /// `groups` are borrowed and outlive this; the names in them are unique. A loop that does not
    /// answer within `deadline` is reported as busy.
    Targets(std::vector<TargetGroup*> groups, Duration deadline)
        : groups_(std::move(groups)), deadline_(deadline) {}

    /// The answer of `work`; 404 with the nearest names if there is no target `name`, 503 if a loop
    /// that may have it does not answer.
    service::HttpResponse on(const std::string& name, const Work& work);

    /// What `ask` says on the loop of each group, in their order; nullopt for a busy one.
    template <typename T>
    std::vector<std::optional<T>> each(const std::function<T(TargetGroup& group)>& ask) {
        std::vector<std::optional<T>> all;
        for (TargetGroup* const group : groups_)
            all.push_back(call_on<T>(
                group->runner(), [group, ask] { return ask(*group); }, deadline_));
        return all;
    }

    const std::vector<TargetGroup*>& groups() const { return groups_; }
    Duration deadline() const { return deadline_; }

private:
    service::HttpResponse unknown(const std::string& name);

    const std::vector<TargetGroup*> groups_;
    const Duration deadline_;
    TargetGroup* last_ = nullptr;  // where the last target was found: tools ask again and again
};

}  // namespace mimic::control
