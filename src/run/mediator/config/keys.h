// SPDX-License-Identifier: Apache-2.0
// The keys of a mediator's file, once: the parser accepts exactly these, and a test compares them
// with docs/schema/mediator-v1.schema.json.
#pragma once

#include <array>
#include <string_view>

namespace mimic::mediator {

inline constexpr std::array<std::string_view, 5> kFileKeys = {"version", "mediator", "pools", "vms",
                                                              "others"};
inline constexpr std::array<std::string_view, 11> kMediatorKeys = {
    "vm_sockets",      "socket",
    "run_folder",      "rule",
    "strict_classes",  "uids",
    "quarantine",      "audit_log",
    "max_connections", "message_timeout",
    "session_patience"};
inline constexpr std::array<std::string_view, 3> kQuarantineKeys = {"faults", "window", "release"};
inline constexpr std::array<std::string_view, 2> kPoolKeys = {"id", "backends"};
/// Of a backend of any kind, and those of one kind.
inline constexpr std::array<std::string_view, 8> kBackendKeys = {
    "name", "kind", "memory_bytes", "threads", "device", "model", "parameters", "scale"};
inline constexpr std::array<std::string_view, 1> kCpuKeys = {"threads"};
inline constexpr std::array<std::string_view, 1> kCudaKeys = {"device"};
inline constexpr std::array<std::string_view, 3> kSimKeys = {"model", "parameters", "scale"};
inline constexpr std::array<std::string_view, 6> kVmKeys = {"id",     "pool",   "priority",
                                                            "weight", "limits", "uids"};
inline constexpr std::array<std::string_view, 5> kOthersKeys = {"pool", "priority", "weight",
                                                                "limits", "uids"};
inline constexpr std::array<std::string_view, 6> kLimitKeys = {
    "rate", "burst", "queue_depth", "memory_bytes", "parallel", "job_timeout"};

/// In the order of RuleName, Priority and the kinds of BackendConfig.
inline constexpr std::array<std::string_view, 5> kRules = {"fair", "fifo", "strict", "urgency",
                                                           "drm-fair"};
inline constexpr std::array<std::string_view, 3> kPriorities = {"low", "medium", "high"};
inline constexpr std::array<std::string_view, 3> kBackendKinds = {"cpu", "cuda", "sim"};

}  // namespace mimic::mediator
