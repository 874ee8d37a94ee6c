// SPDX-License-Identifier: Apache-2.0
#include "kernel_bus/slice_views.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "kernel_bus/sysfs_text.h"
#include "slices/slices.h"
#include "topology/topology.h"

namespace mimic::kernel_bus {
namespace {

using model::Expectation;
using slices::FunctionView;

// Bridges from the root of the PCI tree down to `node`, and the host bridge that Linux names first.
void add_way(const BusLayout& layout, const Node& node, FunctionView* view) {
    std::vector<const Node*> above;
    const Node* highest = &node;
    while (true) {
        if (highest->parent) {
            highest = &layout.nodes[*highest->parent];
        } else if (const auto vmd = layout.vmd_of(*highest)) {
            highest = &layout.nodes[*vmd];  // the domain of a fabric hangs below its endpoint
        } else {
            break;
        }
        above.push_back(highest);
    }
    view->pcie_root = fmt::format("pci{:04x}:{:02x}", highest->bdf.domain, highest->root_bus);
    for (auto bridge = above.rbegin(); bridge != above.rend(); ++bridge) {
        view->port_path += (view->port_path.empty() ? "" : "/") + (*bridge)->bdf.str();
    }
}

// The files of the driver's class folder that become attributes.
void add_files(const Node& node, const slices::DraFacts& facts, FunctionView* view) {
    for (const Expectation& one : node.function->model->expects) {
        if (one.layer != Expectation::Layer::kSysfs || !model::applies(one, *node.function))
            continue;
        const bool wanted = std::any_of(
            facts.attributes.begin(), facts.attributes.end(),
            [&one](const slices::DraAttribute& attribute) { return attribute.sysfs == one.name; });
        if (!wanted) continue;
        view->files[std::string(one.name)] = model::expected_text(one, *node.function,
                                                                  numa_number(node.numa_node));
    }
}

FunctionView view_of(const BusLayout& layout, const Node& node, const slices::DraFacts& facts) {
    const topology::FunctionSpec& function = *node.function;
    FunctionView view;
    view.node = topology::sysfs_name(*layout.machine, function);
    view.pci_address = node.bdf.str();
    add_way(layout, node, &view);
    view.numa_node = numa_number(node.numa_node);
    view.vf_index = function.vf_index;
    if (function.is_vf()) {
        view.parent = topology::sysfs_name(*layout.machine, node.device->functions.front());
    } else if (!facts.total_vfs_file.empty()) {
        view.total_vfs = function.total_vfs;
    }
    add_files(node, facts, &view);
    return view;
}

// VFs in functions of their own are on the bus before the driver shows them.
bool is_shown(const BusLayout& layout, const Node& node) {
    if (!node.function->vf_index) return true;
    const auto pf = layout.find(node.device->functions.front().bdf);
    return pf && *node.function->vf_index < layout.nodes[*pf].enabled_vfs;
}

}  // namespace

std::vector<FunctionView> function_views(const BusLayout& layout, const slices::DraFacts& facts) {
    std::vector<FunctionView> views;
    for (const Node& node : layout.nodes) {
        if (node.function == nullptr || facts.sysfs_class.empty() ||
            node.function->driver().sysfs_class != facts.sysfs_class || !is_shown(layout, node)) {
            continue;
        }
        views.push_back(view_of(layout, node, facts));
    }
    std::sort(views.begin(), views.end(), [](const FunctionView& a, const FunctionView& b) {
        return slices::node_before(a.node, b.node);
    });
    return views;
}

Result<std::string> slices_text(const topology::Model& model,
                                std::span<const slices::DraFacts* const> kinds, unsigned vfs,
                                std::vector<std::string>* left_out) {
    std::vector<slices::Pool> pools;
    for (const topology::Machine& machine : model.machines) {
        const BusLayout layout = enumerate(machine, vfs);
        for (const slices::DraFacts* const facts : kinds) {
            pools.push_back(slices::make_pool(*facts, function_views(layout, *facts),
                                              {.node = machine.name}, left_out));
        }
    }
    MIMIC_ASSIGN_OR_RETURN(const nlohmann::json list, slices::slice_list(pools));
    return list.dump(2) + "\n";
}

}  // namespace mimic::kernel_bus
