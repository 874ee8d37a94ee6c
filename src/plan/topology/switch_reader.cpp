// SPDX-License-Identifier: Apache-2.0
// Reads `switches:`: names first, then parents, because a switch may stand before its parent.
// docs/topology.md, "Switch".
#include <map>

#include <fmt/format.h>

#include "topology/reader.h"

namespace mimic::topology {
namespace {

/// A switch whose parent is still a name.
struct Unresolved {
    SwitchSpec made;
    std::string parent;
    Location where;
    Location parent_where;
    Location numa_where;
};

/// One replica. `scope.index` is its number.
Unresolved read_switch(const Fields& fields, Scope scope, const Machine& machine,
                       ReadState& state) {
    Unresolved out;
    out.where = fields.where("name");
    fields.require("name", "a name of a-z, 0-9 and '-'");
    if (const auto name = fields.pattern("name", "a name")) {
        out.made.name = *name;
        if (!is_label(*name)) {
            fields.problem(fields.where("name"),
                           fmt::format("switch name '{}'; expected 1 to 63 of a-z, 0-9 and '-', "
                                       "not '-' at an end (RFC 1123)",
                                       name->substr(0, 70)));
        }
    }
    out.parent_where = fields.where("parent");
    out.parent = fields.pattern("parent", "the name of another switch").value_or("");
    out.numa_where = fields.where("numa_node");
    out.made.numa_node = read_numa_node(fields, machine);
    if (const YamlPtr link = fields.share("link")) out.made.link = read_link(link, scope, state);
    out.made.acs = fields.truth("acs").value_or(true);
    out.made.config = read_port_image(fields, "config", PortKind::kUpstream);
    out.made.port_config = read_port_image(
        fields, "port_config", out.parent.empty() ? PortKind::kRoot : PortKind::kDownstream);
    return out;
}

/// Reads one item with its count. False: stop, there are too many.
bool read_item(const YamlPtr& item, Scope scope, const Machine& machine,
               std::vector<Unresolved>& out, ReadState& state) {
    const YamlPtr node = state.templates.apply(item);
    const size_t before = state.problem_count();
    scope.index = 0;
    const Fields fields(node, "switch", kSwitchKeys, scope, state.diagnostics);
    const auto count = fields.number("count", {1, kBusesPerDomain}).value_or(1);
    for (unsigned i = 0; i < count; ++i) {
        scope.index = i;
        if (++state.switches > kMaxSwitches) {
            fields.problem(fields.where(),
                           fmt::format("more than {} switches in the file", kMaxSwitches));
            return false;
        }
        const Fields replica(node, "switch", kSwitchKeys, scope, state.diagnostics);
        out.push_back(read_switch(replica, scope, machine, state));
        if (state.problem_count() != before) break;  // replicas would only repeat it
    }
    return true;
}

/// Turns names of parents into indexes. False: something was reported.
bool resolve_parents(const Fields& fields, std::vector<Unresolved>& switches) {
    std::map<std::string_view, size_t> by_name;
    bool good = true;
    for (size_t i = 0; i < switches.size(); ++i) {
        if (by_name.try_emplace(switches[i].made.name, i).second) continue;
        good = false;
        fields.problem(switches[i].where,
                       fmt::format("two switches are called '{}'; expected unique names (with "
                                   "'count', a pattern such as sw{{index}})",
                                   switches[i].made.name.substr(0, 70)));
    }
    for (Unresolved& one : switches) {
        if (one.parent.empty()) continue;
        const auto found = by_name.find(one.parent);
        if (found != by_name.end()) {
            one.made.parent = found->second;
            continue;
        }
        good = false;
        fields.problem(one.parent_where,
                       fmt::format("no switch is called '{}'; expected a name from 'switches'",
                                   one.parent.substr(0, 70)));
    }
    return good;
}

/// The switch of the chain that is on a root port, or nullopt: the chain is a loop.
std::optional<size_t> top_of(const std::vector<Unresolved>& switches, size_t at) {
    for (size_t steps = 0; steps < switches.size(); ++steps) {
        if (!switches[at].made.parent) return at;
        at = *switches[at].made.parent;
    }
    return std::nullopt;
}

/// Gives each switch the NUMA node of the one on the root port.
void inherit_numa_nodes(const Fields& fields, std::vector<Unresolved>& switches) {
    for (size_t i = 0; i < switches.size(); ++i) {
        Unresolved& one = switches[i];
        const auto top = top_of(switches, i);
        if (!top) {
            fields.problem(one.parent_where,
                           fmt::format("switch '{}' is below itself; expected parents without a "
                                       "loop",
                                       one.made.name));
            return;
        }
        const auto node = switches[*top].made.numa_node;
        if (one.made.numa_node && one.made.numa_node != node) {
            fields.problem(one.numa_where,
                           fmt::format("switch '{}' is on NUMA node {} but switch '{}' above it is "
                                       "on {}; expected the same, or no 'numa_node' here",
                                       one.made.name, *one.made.numa_node, switches[*top].made.name,
                                       node ? fmt::format("{}", *node) : "none"));
            return;
        }
        if (*top != i) one.made.numa_node = node;
    }
}

}  // namespace

void read_switches(const Fields& fields, const Scope& scope, Machine& machine, ReadState& state) {
    const YamlNode* list = fields.list("switches", "a list of switches");
    if (!list) return;
    std::vector<Unresolved> switches;
    for (const YamlPtr& item : list->items) {
        if (!read_item(item, scope, machine, switches, state)) break;
    }
    if (resolve_parents(fields, switches)) inherit_numa_nodes(fields, switches);
    for (Unresolved& one : switches) machine.switches.push_back(std::move(one.made));
}

}  // namespace mimic::topology
