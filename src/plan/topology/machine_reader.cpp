// SPDX-License-Identifier: Apache-2.0
// Reads `machines:`: CPUs, memory, NUMA nodes, what to boot. docs/topology.md, "Machine".
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "topology/arch.h"
#include "topology/placement.h"
#include "topology/reader.h"

namespace mimic::topology {
namespace {

constexpr uint64_t kNodeMiB = 1ull << 20;
constexpr Range kNodeMemoryRange{64 * kNodeMiB, kMaxMachineMemory};  // arbitrary
constexpr Range kMachineMemoryRange{kMinMachineMemory, kMaxMachineMemory};
constexpr uint64_t kDefaultNodeMemory = 256 * kNodeMiB;

/// `distances:` of node `self`: SLIT values (ACPI 6.5, 5.2.17): 10 to itself, 11..254 to others.
std::vector<unsigned> read_distances(const Fields& fields, size_t self, size_t node_count) {
    constexpr std::string_view kExpected = "a list with a distance to each node";
    const YamlNode* list = fields.list("distances", kExpected);
    if (!list) return {};
    if (list->items.size() != node_count) {
        fields.problem(list->where, fmt::format("{} distances; expected {}, one for each node",
                                                list->items.size(), node_count));
        return {};
    }
    std::vector<unsigned> out;
    for (size_t i = 0; i < list->items.size(); ++i) {
        const YamlNode& item = *list->items[i];
        const auto value = item.kind == YamlNode::Kind::kScalar ? parse_number(item.text)
                                                                : std::nullopt;
        const bool good = value && (i == self ? *value == 10 : *value > 10 && *value < 255);
        if (!good) {
            fields.problem(
                item.where,
                fmt::format("distance {}; expected {}", item.describe(),
                            i == self ? "10, the distance of a node to itself" : "11 to 254"));
            return {};
        }
        out.push_back(static_cast<unsigned>(*value));
    }
    return out;
}

void read_numa(const Fields& fields, const Scope& scope, Machine& machine, ReadState& state) {
    const YamlNode* list = fields.list("numa", "a list of nodes, each with cpus and memory");
    if (!list) return;
    const size_t count = list->items.size();
    if (count == 0 || count > kMaxNumaNodes) {
        fields.problem(list->where,
                       fmt::format("{} NUMA nodes; expected 1 to {}", count, kMaxNumaNodes));
        return;
    }
    machine.has_numa = true;
    machine.cpus = 0;
    machine.memory = 0;
    size_t with_distances = 0;
    for (size_t i = 0; i < count; ++i) {
        const Fields item(list->items[i], "NUMA node", kNumaKeys, scope, state.diagnostics);
        NumaNode node;
        node.first_cpu = machine.cpus;
        const uint64_t least = facts_of(machine.arch).least_node_cpus;
        node.cpus = static_cast<unsigned>(item.number("cpus", {least, kMaxCpus}).value_or(1));
        node.memory = item.size("memory", kNodeMemoryRange, kNodeMiB).value_or(kDefaultNodeMemory);
        node.distances = read_distances(item, i, count);
        if (item.find("distances")) ++with_distances;
        machine.cpus += node.cpus;
        machine.memory += node.memory;  // at most 15 * 4 TiB
        machine.nodes.push_back(std::move(node));
    }
    if (with_distances != 0 && with_distances != count) {
        fields.problem(list->where, "'distances' on some nodes only; expected them on all or none");
    }
    if (machine.cpus == 0 || machine.cpus > kMaxCpus) {
        fields.problem(list->where, fmt::format("the nodes have {} cpus together; expected 1 to {}",
                                                machine.cpus, kMaxCpus));
    }
    if (machine.memory < kMinMachineMemory || machine.memory > kMaxMachineMemory) {
        fields.problem(list->where,
                       fmt::format("the nodes have {} of memory together; expected {} to {}",
                                   format_size(machine.memory), format_size(kMinMachineMemory),
                                   format_size(kMaxMachineMemory)));
    }
}

/// cpus and memory of the whole machine; with `numa:` they are only checked against the sums.
void read_totals(const Fields& fields, Machine& machine) {
    const auto cpus = fields.number("cpus", {1, kMaxCpus});
    const auto memory = fields.size("memory", kMachineMemoryRange, kNodeMiB);
    if (!machine.has_numa) {
        machine.cpus = static_cast<unsigned>(cpus.value_or(machine.cpus));
        machine.memory = memory.value_or(machine.memory);
        machine.nodes = {NumaNode{
            .first_cpu = 0, .cpus = machine.cpus, .memory = machine.memory, .distances = {}}};
        return;
    }
    if (cpus && *cpus != machine.cpus) {
        fields.problem(fields.where("cpus"),
                       fmt::format("cpus is {} but the NUMA nodes have {}; expected the same, or "
                                   "no 'cpus' here",
                                   *cpus, machine.cpus));
    }
    if (memory && *memory != machine.memory) {
        fields.problem(fields.where("memory"),
                       fmt::format("memory is {} but the NUMA nodes have {}; expected the same, or "
                                   "no 'memory' here",
                                   format_size(*memory), format_size(machine.memory)));
    }
}

/// Function names become file names, QEMU ids and keys, so they are unique in a machine.
void check_names(const Fields& fields, const Machine& machine) {
    std::set<std::string_view> functions;
    std::set<std::string_view> ports;
    std::set<std::string_view> switches;
    for (const SwitchSpec& one : machine.switches) switches.insert(one.name);
    for (const DeviceSpec& device : machine.devices) {
        for (const FunctionSpec& function : device.functions) {
            if (functions.insert(function.name).second || function.name.empty()) continue;
            fields.problem(fields.where("devices"),
                           fmt::format("two functions of machine '{}' are called '{}'; expected "
                                       "unique device names (with 'count', a pattern such as "
                                       "gpu{{index}})",
                                       machine.name, function.name));
        }
        if (!device.name.empty() && switches.contains(device.name)) {
            fields.problem(fields.where("devices"),
                           fmt::format("a switch and a device of machine '{}' are called '{}'; "
                                       "expected unique names",
                                       machine.name, device.name));
        }
        if (!device.port.id.empty() && !ports.insert(device.port.id).second) {
            fields.problem(fields.where("devices"),
                           fmt::format("two devices of machine '{}' are on root port '{}'; "
                                       "expected a root port for each",
                                       machine.name, device.port.id));
        }
    }
}

/// A fabric's name is that of its socket, and stands beside names of functions.
void check_fabric_names(const Fields& fields, const Machine& machine) {
    for (const FabricSpec& fabric : machine.fabrics) {
        const bool taken = machine.find_function(fabric.name) ||
                           std::any_of(
                               machine.switches.begin(), machine.switches.end(),
                               [&](const SwitchSpec& one) { return one.name == fabric.name; });
        if (!taken) continue;
        fields.problem(fields.where("devices"),
                       fmt::format("'{}' is the name of a fabric of machine '{}'; expected another "
                                   "name for the device or switch",
                                   fabric.name, machine.name));
    }
}

/// Slot numbers that the file gives are unique in a machine; the others are chosen around them.
void check_slots(const Fields& fields, const Machine& machine) {
    std::map<unsigned, std::string_view> devices;
    for (const DeviceSpec& device : machine.devices) {
        if (device.slot == 0) continue;
        const auto [first, is_new] = devices.try_emplace(device.slot, device.name);
        if (is_new) continue;
        fields.problem(fields.where("devices"),
                       fmt::format("devices '{}' and '{}' of machine '{}' are in slot {}; expected "
                                   "a number for each (with 'count', a pattern such as "
                                   "\"{{index+1}}\"), or no 'slot'",
                                   first->second, device.name, machine.name, device.slot));
    }
}

void read_devices(const Fields& fields, const Scope& scope, Machine& machine, ReadState& state) {
    const YamlNode* list = fields.list("devices", "a list of devices");
    if (!list) return;
    for (const YamlPtr& item : list->items) {
        if (!read_device_item(item, scope, machine, state)) return;
    }
}

void read_machine(const YamlPtr& node, Scope scope, Model& model, ReadState& state) {
    Machine machine;
    const size_t before = state.problem_count();
    const Fields fields(node, "machine", kMachineKeys, scope, state.diagnostics);
    fields.require("name", "a host name of a-z, 0-9 and '-'");
    if (const auto name = fields.pattern("name", "a host name")) {
        machine.name = *name;
        if (!is_label(*name)) {
            fields.problem(fields.where("name"),
                           fmt::format("machine name '{}'; expected 1 to 63 of a-z, 0-9 and '-', "
                                       "not '-' at an end (RFC 1123)",
                                       name->substr(0, 70)));
        } else if (model.find_machine(*name)) {
            fields.problem(fields.where("name"),
                           fmt::format("two machines are called '{}'; expected unique names (with "
                                       "'count', a pattern such as node{{index}})",
                                       *name));
        }
        scope.machine = *name;
    }
    read_arch(fields, machine);
    read_numa(fields, scope, machine, state);
    read_totals(fields, machine);
    read_boot(fields, machine);
    read_shares(fields, scope, machine, state);
    read_time(fields, machine);
    read_switches(fields, scope, machine, state);
    read_devices(fields, scope, machine, state);
    settle_interrupts(machine);
    settle_lock_step(fields, machine);
    check_names(fields, machine);
    check_slots(fields, machine);
    if (state.problem_count() == before) {
        if (const auto problem = place(machine)) fields.problem(fields.where("devices"), *problem);
        check_fabric_names(fields, machine);
    }
    model.machines.push_back(std::move(machine));
}

}  // namespace

bool read_machine_item(const YamlPtr& item, Model& model, ReadState& state) {
    const YamlPtr node = state.templates.apply(item);
    const size_t before = state.problem_count();
    Scope scope;
    const Fields fields(node, "machine", kMachineKeys, scope, state.diagnostics);
    const auto count = fields.number("count", {1, kMaxMachines}).value_or(1);
    for (unsigned i = 0; i < count; ++i) {
        if (model.machines.size() >= kMaxMachines) {
            fields.problem(fields.where(),
                           fmt::format("more than {} machines in the file", kMaxMachines));
            return false;
        }
        scope.index = i;
        scope.machine_index = i;
        read_machine(node, scope, model, state);
        if (state.problem_count() != before) break;  // replicas would only repeat it
    }
    return state.functions <= kMaxFunctions && state.switches <= kMaxSwitches;
}

}  // namespace mimic::topology
