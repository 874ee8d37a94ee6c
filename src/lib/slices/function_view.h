// SPDX-License-Identifier: Apache-2.0
// From functions as sysfs shows them to devices as Kubernetes does: the one place that says which
// attributes a device has, for the node agent (which reads sysfs) and for `mimic plan` (which
// computes what sysfs will say). Pure and thread-safe.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "slices/device.h"
#include "slices/dra_facts.h"

namespace mimic::slices {

/// One device of a sysfs class. All texts are as untrusted as what they were read from.
struct FunctionView {
    std::string node;           // name in the class folder: "mock0", "mock0_vf1"
    std::string pci_address{};  // "0000:11:00.0", "10000:01:00.0"; empty: the device is not on PCI
    /// First component below /sys/devices of the device's real path: "pci0000:10"; empty: unknown.
    std::string pcie_root{};
    /// Addresses of the bridges and ports from the root to the device, joined by '/'; may be empty.
    std::string port_path{};
    int numa_node = -1;
    std::string parent{};                        // of a VF: `node` of its PF; else empty
    std::optional<uint32_t> vf_index{};          // of a VF
    uint32_t total_vfs = 0;                      // of a PF
    bool exists = true;                          // false: a VF that a claim may create
    std::map<std::string, std::string> files{};  // contents by name of file, without the newline
    std::vector<Taint> taints{};                 // what is wrong with it now

    bool operator==(const FunctionView&) const = default;
};

struct PoolOptions {
    std::string node;
    /// Publish VFs that do not exist yet (a claim creates them): the caller lists them with
    /// exists = false.
    bool vfs_on_demand = false;
    /// Devices that consume no counters may be given to several claims at once, each with a part of
    /// the memory (KEP-5075, consumable capacity). A claim that asks for no part gets all of it.
    bool shared = false;
};

/// An attribute that make_pool() gives to devices of every kind: for documents.
struct CommonAttribute {
    std::string_view name;  // with its domain, or without if that is the driver's name
    std::string_view type;  // "string", "int"
    std::string_view doc;
};

/// All of them.
std::span<const CommonAttribute> common_attributes();

/// Kubernetes' name of a device: "mock0", "mock0-vf1".
std::string device_name(const std::string& node);

/// The order of devices: "gpu2", "gpu2_vf0", "gpu2_vf1", "gpu10".
bool node_before(std::string_view a, std::string_view b);

/// The pool of all `functions`, in the order of node_before(). A PF with VFs among them, and those
/// VFs, consume counters of a set named as the PF, `functions`: the PF all of them, each VF one;
/// others consume none (the allocator counts them against admin access, too). What a function says
/// that the API would refuse is left out, with a line in `problems`: a hostile device never keeps
/// the others from being published.
Pool make_pool(const DraFacts& facts, std::span<const FunctionView> functions,
               const PoolOptions& options, std::vector<std::string>* problems);

}  // namespace mimic::slices
