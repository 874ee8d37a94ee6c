// SPDX-License-Identifier: Apache-2.0
// Inventory: what a node has now, as discovery found it: for the publisher (which makes slices of
// it), the kubelet plugin (which prepares its devices) and the health stream. An immutable snapshot
// that is replaced as a whole; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "slices/dra_facts.h"
#include "slices/function_view.h"

namespace mimic::dra {

/// How a device is: drives the health stream; its taints are in `view`.
enum class Health : uint8_t { kUnknown, kHealthy, kUnhealthy };

struct KnownDevice {
    slices::FunctionView view;
    std::string name;       // Kubernetes' name: "mock0-vf1"
    std::string class_dir;  // "<root>/sys/class/<class>/mock0_vf1", where its files are
    std::string dev_node;   // "/dev/mock0_vf1" as the host has it; empty: it has none
    unsigned dev_major = 0, dev_minor = 0;
    Health health = Health::kUnknown;
    std::string health_message;  // at most 1024 bytes, printable
    /// It has left, and is here for a while so that claims which hold it hear of it: not to be
    /// published, nor prepared. view.exists is false then, too.
    bool gone = false;

    bool operator==(const KnownDevice&) const = default;
};

struct Inventory {
    const slices::DraFacts* facts = nullptr;  // a constant of the program
    std::vector<KnownDevice> devices;         // sorted: PFs by number, each before its VFs
    uint64_t version = 0;                     // grows with each change

    /// nullptr if there is none of that name.
    const KnownDevice* find(const std::string& name) const;
};

using InventoryPtr = std::shared_ptr<const Inventory>;

/// The pool that `inventory` makes: all but those that are gone. See slices::make_pool().
slices::Pool pool_of(const Inventory& inventory, const slices::PoolOptions& options,
                     std::vector<std::string>* problems);

}  // namespace mimic::dra
