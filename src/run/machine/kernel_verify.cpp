// SPDX-License-Identifier: Apache-2.0
#include "machine/kernel_verify.h"
#include "base/text_table.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

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

/// Linux hands out the numbers of class devices in the order of arrival, and others may have some.
std::string with_current_names(const std::string& text, const verify::Probe& probe) {
    std::map<std::string, std::string> names;  // by BDF
    for (const auto& [name, record] : probe.class_devices) names[*record.find("device")] = name;
    Json tree = Json::parse(text);
    for (Json& device : tree.at("machines").at(0).at("devices")) {
        const auto pf = names.find(device.at("functions").at(0).at("bdf").get<std::string>());
        if (pf == names.end()) continue;
        for (Json& function : device.at("functions")) {
            Json& name = function.at("sysfs").at("name");
            const std::string planned = name.get<std::string>();
            name = pf->second + planned.substr(std::min(planned.find('_'), planned.size()));
        }
    }
    return tree.dump();
}

bool has_prefix(const std::string& text, std::initializer_list<std::string_view> prefixes) {
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [&](std::string_view prefix) { return text.starts_with(prefix); });
}

/// Moves differences that say nothing about the machine to what was not checked.
class Excuser {
public:
    Excuser(const verify::Probe& probe, KernelVerdict& result) : probe_(probe), result_(result) {}

    void run() {
        for (verify::FunctionVerdict& function : result_.verdict.functions) excuse(function);
        for (const auto& [what, checks] : excused_) result_.not_checked.push_back({what, checks});
    }

private:
    /// The reason why a difference does not count, or nothing.
    std::string reason_of(const verify::FunctionVerdict& function,
                          const verify::Difference& difference) const {
        const auto pci = probe_.pci.find(function.bdf);
        if (pci == probe_.pci.end()) return "";
        const std::string* const driver = pci->second.find("driver");
        const std::string& what = difference.what;
        if (driver == nullptr || *driver != "mock-accel") {
            return has_prefix(what, {"PCI driver", "sysfs", "ioctl", "resource0",
                                     "/sys/class/mock-accel", "PCI sriov_numvfs"})
                       ? "driver, registers and class devices: mock-accel is not bound"
                       : "";
        }
        // Records without a fact are what the tool's absence leaves.
        const bool has_tool = std::any_of(
            probe_.regs.begin(), probe_.regs.end(),
            [](const auto& record) { return !record.second.facts.empty(); });
        if (!has_tool && (what == "resource0" || what == "ioctl")) {
            return "registers and ioctl: no mock-accel-ctl in the PATH";
        }
        if (what == "ioctl has_irq") return "interrupts: nothing raises them on this bus";
        if (what == "sysfs sriov_numvfs") return "NUM_VFS: no device keeps the register up to date";
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

Result<KernelVerdict> compare_with_kernel(const topology::Model& model, const KernelPlan& plan,
                                          const verify::Probe& probe) {
    const verify::Probe ours = only_ours(probe, plan);
    const std::vector<unsigned> nodes = nodes_of(probe);
    const std::string tree = with_current_names(kernel_bus::kernel_tree(model, plan, nodes), ours);
    KernelVerdict result;
    MIMIC_ASSIGN_OR_RETURN(result.verdict,
                           verify::compare_with_plan(tree, plan.machine->name, ours));
    result.not_checked = plan.losses;
    add_missing_nodes(plan, nodes, result);
    Excuser(ours, result).run();
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
