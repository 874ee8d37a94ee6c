// SPDX-License-Identifier: Apache-2.0
// How the adder would appear in Kubernetes, had it a driver with a class folder:
// docs/kubernetes/extension-guide.md.
#pragma once

#include <array>

#include "slices/dra_facts.h"

namespace adder {

inline constexpr std::array kDraAttributes = {
    mimic::slices::DraAttribute{.id = "lanes",
                                .sysfs = "lanes",
                                .kind = mimic::slices::DraAttribute::Kind::kNumber,
                                .doc = "additions at the same time"},
};

inline constexpr std::array kDraFaults = {
    mimic::slices::DraFault{
        .mask = 0x4, .taint = "failed", .evicts = true, .message = "the last addition failed"},
};

inline constexpr mimic::slices::DraFacts kDra{
    .driver = "adder.example.com",
    .sysfs_class = "adder",
    .node_prefix = "adder",
    .cdi_class = "adder",
    .cdi_vendor = "example.com",
    .env_prefix = "ADDER",
    .attributes = kDraAttributes,
    .status_file = "status",
    .faults = kDraFaults,
};

}  // namespace adder
