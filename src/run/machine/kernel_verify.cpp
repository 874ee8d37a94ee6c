// SPDX-License-Identifier: Apache-2.0
#include "machine/kernel_verify.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/text_table.h"

namespace mimic::machine {
namespace {

using Json = nlohmann::ordered_json;
using kernel_bus::KernelBus;
using kernel_bus::KernelFunction;
using kernel_bus::KernelPlan;

std::vector<unsigned> nodes_of(const verify::Probe& probe) {
    constexpr std::string_view kPrefix = "node";
    std::vector<unsigned> nodes;
    for (const auto& [name, record] : probe.nodes) {
        unsigned number = 0;
        if (!name.starts_with(kPrefix)) continue;
        const char* const end = name.data() + name.size();
        const auto parsed = std::from_chars(name.data() + kPrefix.size(), end, number);
        if (parsed.ec == std::errc() && parsed.ptr == end) nodes.push_back(number);
    }
    return nodes;
}

/// What the probe says of the plan's domains, and nothing else of this kernel.
verify::Probe only_ours(const verify::Probe& probe, const KernelPlan& plan) {
    std::set<std::string> domains;
    for (const KernelBus& bus : plan.buses) domains.insert(fmt::format("{:04x}", bus.domain));
    const auto is_ours = [&](const std::string& bdf) {
        return domains.contains(bdf.substr(0, bdf.find(':')));
    };
    verify::Probe out;
    out.kernel = probe.kernel;
    for (const auto& [bdf, record] : probe.pci) {
        if (is_ours(bdf)) out.pci[bdf] = record;
    }
    for (const auto& [bdf, record] : probe.regs) {
        if (is_ours(bdf)) out.regs[bdf] = record;
    }
    for (const auto& [name, record] : probe.class_devices) {
        const std::string* const device = record.find("device");
        if (device == nullptr || !is_ours(*device)) continue;
        out.class_devices[name] = record;
        if (const auto info = probe.info.find(name); info != probe.info.end()) {
            out.info[name] = info->second;
        }
    }
    return out;
}

bool has_prefix(const std::string& text, std::initializer_list<std::string_view> prefixes) {
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [&](std::string_view prefix) { return text.starts_with(prefix); });
}

/// Moves differences that say nothing about the machine to what was not checked.
class Excuser {
public:
    Excuser(const topology::Machine& machine, const verify::Probe& probe, KernelVerdict& result)
        : machine_(machine), probe_(probe), result_(result) {}

    void run() {
        for (verify::FunctionVerdict& function : result_.verdict.functions) excuse(function);
        for (const auto& [what, checks] : excused_) result_.not_checked.push_back({what, checks});
    }

private:
    using Expectation = model::Expectation;

    /// The expectation that a difference is of, or nullptr.
    static const Expectation* find(const model::DeviceModel& model, Expectation::Layer layer,
                                   std::string_view name) {
        for (const Expectation& one : model.expects)
            if (one.layer == layer && one.name == name) return &one;
        return nullptr;
    }

    /// The reason why a difference does not count, or nothing.
    std::string reason_of(const verify::FunctionVerdict& function,
                          const verify::Difference& difference) const {
        const auto pci = probe_.pci.find(function.bdf);
        const topology::FunctionSpec* const spec = machine_.find_function(function.name);
        if (pci == probe_.pci.end() || spec == nullptr) return "";
        const model::DriverFacts& facts = spec->model->driver;
        const std::string* const driver = pci->second.find("driver");
        const std::string& what = difference.what;
        if (driver == nullptr || *driver != facts.name) {
            return has_prefix(what, {"PCI driver", "sysfs", "ioctl", "resource0", "/sys/class/",
                                     "PCI sriov_numvfs"})
                       ? fmt::format("driver, registers and class devices: {} is not bound",
                                     facts.name)
                       : "";
        }
        // Records without a fact are what the tool's absence leaves.
        const bool has_tool = std::any_of(
            probe_.regs.begin(), probe_.regs.end(),
            [](const auto& record) { return !record.second.facts.empty(); });
        if (!has_tool && (what == "resource0" || what == "ioctl"))
            return fmt::format("registers and ioctl: no {} in the PATH", facts.tool);
        return reason_of_expectation(*spec->model, what);
    }

    static std::string reason_of_expectation(const model::DeviceModel& model,
                                             std::string_view what) {
        constexpr std::string_view kIoctl = "ioctl ";
        constexpr std::string_view kSysfs = "sysfs ";
        if (what.starts_with(kIoctl)) {
            const auto* const one = find(model, Expectation::Layer::kIoctl,
                                         what.substr(kIoctl.size()));
            if (one != nullptr && one->from == Expectation::From::kInterrupts)
                return "interrupts: nothing raises them on this bus";
        }
        if (what.starts_with(kSysfs)) {
            const auto* const one = find(model, Expectation::Layer::kSysfs,
                                         what.substr(kSysfs.size()));
            if (one != nullptr && one->from == Expectation::From::kEnabledVfs)
                return fmt::format("{}: no device keeps the register up to date",
                                   model.facts.static_vfs_register);
        }
        return "";
    }

    void excuse(verify::FunctionVerdict& function) {
        const auto kept = std::stable_partition(function.differences.begin(),
                                                function.differences.end(),
                                                [&](const verify::Difference& difference) {
                                                    return reason_of(function, difference).empty();
                                                });
        for (auto each = kept; each != function.differences.end(); ++each) {
            ++excused_[reason_of(function, *each)];
            --function.checks;
            --result_.verdict.checks;
            --result_.verdict.differing;
        }
        function.differences.erase(kept, function.differences.end());
    }

    const topology::Machine& machine_;
    const verify::Probe& probe_;
    KernelVerdict& result_;
    std::map<std::string, size_t> excused_;
};

void add_missing_nodes(const KernelPlan& plan, const std::vector<unsigned>& nodes,
                       KernelVerdict& result) {
    for (const KernelBus& bus : plan.buses) {
        if (!bus.numa_node || std::find(nodes.begin(), nodes.end(), *bus.numa_node) != nodes.end())
            continue;
        result.not_checked.push_back({fmt::format("numa_node of bus {}: this kernel has no node {}",
                                                  bus.name, *bus.numa_node),
                                      bus.functions.size()});
    }
}

}  // namespace

KernelVerdict compare_with_kernel(const KernelPlan& plan, const verify::Probe& probe) {
    const verify::Probe ours = only_ours(probe, plan);
    const std::vector<unsigned> nodes = nodes_of(probe);
    const topology::Machine machine = kernel_bus::kernel_machine(plan, nodes);
    KernelVerdict result;
    // Linux hands out the numbers of class devices in the order of arrival, and others may have
    // some.
    result.verdict = verify::compare_with_plan(
        machine, ours, {.parents = kernel_bus::kernel_parents(plan), .any_class_names = true});
    result.not_checked = plan.losses;
    add_missing_nodes(plan, nodes, result);
    Excuser(machine, ours, result).run();
    return result;
}

std::string kernel_verdict_table(const KernelVerdict& verdict) {
    std::string out = verify::verdict_table(verdict.verdict);
    size_t sum = 0;
    for (const kernel_bus::KernelLoss& loss : verdict.not_checked) {
        out += fmt::format("not checked ({}): {}\n", loss.checks, loss.what);
        sum += loss.checks;
    }
    out += fmt::format("{} not possible on a kernel bus\n",
                       counted(sum, "check") + (sum == 1 ? " is" : " are"));
    return out;
}

std::string kernel_verdict_json(const KernelVerdict& verdict) {
    Json out = Json::parse(verify::verdict_json(verdict.verdict));
    out["not_checked"] = Json::array();
    for (const kernel_bus::KernelLoss& loss : verdict.not_checked) {
        out["not_checked"].push_back({{"what", loss.what}, {"checks", loss.checks}});
    }
    return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mimic::machine
