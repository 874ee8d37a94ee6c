// SPDX-License-Identifier: Apache-2.0
// How mock-accel appears in Kubernetes: docs/kubernetes/api-reference.md is made of this. The files
// are those of the driver's class folder (kernel/mock-accel/mock_accel_sysfs.c). The meaning of
// status bits is a convention of the node agent's: the device gives none to them.
#pragma once

#include <array>

#include "slices/dra_facts.h"

namespace mimic::mock_accel {

inline constexpr std::array kDraAttributes = {
    slices::DraAttribute{.id = "uuid",
                         .sysfs = "uuid",
                         .kind = slices::DraAttribute::Kind::kText,
                         .doc = "the device's UUID or label"},
    slices::DraAttribute{.id = "capabilities",
                         .sysfs = "capabilities",
                         .kind = slices::DraAttribute::Kind::kNumber,
                         .doc = "the CAPABILITIES register"},
    slices::DraAttribute{.id = "firmwareVersion",
                         .sysfs = "fw_version",
                         .kind = slices::DraAttribute::Kind::kVersion,
                         .doc = "the FW_VERSION register"},
    slices::DraAttribute{.id = "memory",
                         .sysfs = "memory_size",
                         .kind = slices::DraAttribute::Kind::kCapacity,
                         .doc = "the MEMORY_SIZE register"},
};

inline constexpr std::array kDraFaults = {
    slices::DraFault{.mask = 0x80000000,
                     .taint = "failed",
                     .evicts = true,
                     .message = "the device says that it failed"},
    slices::DraFault{.mask = 0x40000000,
                     .taint = "degraded",
                     .evicts = false,
                     .message = "the device says that it is degraded"},
};

inline constexpr slices::DraFacts kDra{
    .driver = "mock-accel.example.com",
    .sysfs_class = "mock-accel",
    .node_prefix = "mock",
    .cdi_class = "mock-accel",
    .cdi_vendor = "example.com",
    .env_prefix = "MOCK_ACCEL",
    .attributes = kDraAttributes,
    .status_file = "status",
    .faults = kDraFaults,
    .total_vfs_file = "sriov_totalvfs",
    .num_vfs_file = "sriov_numvfs",
};

}  // namespace mimic::mock_accel
