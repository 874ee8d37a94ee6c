// SPDX-License-Identifier: Apache-2.0
// A first topology file, from a few answers: what `mimic new` writes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "topology/model.h"

namespace mimic::starter {

/// Most of each that is asked for here; a file written by hand may have more. Arbitrary.
inline constexpr unsigned kMostPerNode = 32;

/// What somebody wants. What has no value follows from the rest.
struct Answers {
    std::string name = "lab";          // of the machine; of several, what their numbers follow
    std::string model{};               // of the devices; empty: the first that brings its facts
    unsigned machines = 1;             // 1 .. topology::kMaxMachines
    unsigned numa_nodes = 0;           // 0: the guest is told of none, and all is counted for one
    unsigned devices_per_node = 1;     // 0 .. kMostPerNode
    unsigned switches_per_node = 0;    // PCIe switches that the devices are below; 0: root ports
    unsigned vfs = 0;                  // of each device
    std::optional<bool> native{};      // VFs by SR-IOV capability; false: static functions
    std::optional<unsigned> cpus{};    // of a machine, over all nodes
    std::optional<uint64_t> memory{};  // of a machine, over all nodes; bytes

    unsigned nodes() const { return numa_nodes == 0 ? 1 : numa_nodes; }
    /// What `cpus` and `memory` are, or become.
    unsigned all_cpus() const;
    uint64_t all_memory() const;

    /// A host name that leaves room for the number of a machine.
    bool has_good_name() const;
    /// Enough for all nodes, in whole mebibytes.
    bool has_good_memory() const;
};

/// What has_good_name() and has_good_memory() want, for messages.
inline constexpr std::string_view kNameRule =
    "expected a host name of a-z, 0-9 and '-', at most 60";
std::string memory_rule(const Answers& answers);

/// Answers that have a name.
struct Shape {
    std::string_view name;
    std::string_view doc;  // half a sentence
    Answers answers;
};

/// All of them; the first is that of who names none.
std::span<const Shape> shapes();

/// Their names in the same order, for messages.
std::string shape_names();

/// The one called `name`, or nullptr.
const Shape* find_shape(std::string_view name);

/// A file that `models` parse, and its model.
struct Starter {
    std::string text;
    topology::Model model;
};

/// Writes it. The same answers give the same bytes. Errors: invalid_argument for answers that make
/// no machine, in the words of the command's options. Pure.
Result<Starter> make_starter(const Answers& answers, model::Models models);

}  // namespace mimic::starter
