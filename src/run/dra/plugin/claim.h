// SPDX-License-Identifier: Apache-2.0
// A ResourceClaim of the API server, as far as a node's driver needs it. Untrusted: it is checked
// here once, and what comes out can be part of paths and CDI ids. Pure; any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dra/plugin/record.h"
#include "slices/dra_facts.h"

namespace mimic::dra {

/// What the kubelet says of a claim, and all it says.
struct ClaimRef {
    std::string name_space, uid, name;

    bool operator==(const ClaimRef&) const = default;
};

/// Whose results of an allocation are ours.
struct Ours {
    const slices::DraFacts* facts = nullptr;  // a constant of the program
    std::string pool;
};

/// That names and uid of `ref`, which the kubelet sent, are what Kubernetes allows. Errors:
/// invalid_argument.
Status check_ref(const ClaimRef& ref);

/// The claim's devices of our driver, phase kStarted. Results of other drivers are left alone;
/// there may be none of ours. Errors, for the pod's event: no_such_file_or_directory if the claim
/// is another one of the same name by now, operation_not_permitted if it is not allocated,
/// invalid_argument with the place for what makes no sense, parameters among it.
Result<PreparedClaim> parse_claim(const nlohmann::json& claim, const ClaimRef& ref,
                                  const Ours& ours);

}  // namespace mimic::dra
