// SPDX-License-Identifier: Apache-2.0
// The probe is the guest's, and each of its values is only ever compared as text or parsed
// strictly.
#include "verify/verify.h"

#include <algorithm>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

#include "base/text_table.h"
#include "topology/topology.h"
#include "verify/verify_checks.h"
#include "verify/verify_clone.h"
#include "verify/verify_fabric.h"

namespace mimic::verify {
namespace {

using topology::FunctionSpec;
using topology::Machine;
using OrderedJson = nlohmann::ordered_json;  // people read what we print

/// sriov_numvfs of a PF as the guest says it, 0 if it says nothing sensible.
uint64_t enabled_vfs(const Probe& probe, const std::string& pf_sysfs) {
    const auto pf = probe.class_devices.find(pf_sysfs);
    if (pf == probe.class_devices.end()) return 0;
    const std::string* const text = pf->second.find("sriov_numvfs");
    return text != nullptr ? parse_number(*text).value_or(0) : 0;
}

/// The class folder that a name there belongs to, by its prefix.
std::string_view class_folder(const Machine& machine, const std::string& name) {
    for (const topology::DeviceSpec& device : machine.devices) {
        const model::DriverFacts& facts = device.model->driver;
        if (!facts.node_prefix.empty() && name.starts_with(facts.node_prefix))
            return facts.sysfs_class;
    }
    return "?";
}

void check_extra(const Machine& machine, const Probe& probe, const Verdict& verdict,
                 Checker& check) {
    std::set<std::string> bdfs;
    std::set<std::string> names;
    for (const FunctionVerdict& function : verdict.functions) {
        bdfs.insert(function.bdf);
        if (function.visible) names.insert(function.sysfs);
    }
    for (const auto& [bdf, record] : probe.pci) {
        if (bdfs.contains(bdf)) continue;
        const std::string vendor = or_nothing(record.find("vendor"));
        check.differs("PCI function " + bdf, "nothing",
                      "a device of vendor " + vendor.substr(vendor.starts_with("0x") ? 2 : 0));
    }
    for (const auto& [name, record] : probe.class_devices) {
        if (names.contains(name)) continue;
        check.differs(fmt::format("/sys/class/{}/{}", class_folder(machine, name), name), "nothing",
                      "a class device");
    }
}

/// "0-3", as cpulist says it.
std::string cpu_list(const topology::NumaNode& node) {
    if (node.cpus == 0) return "";
    const unsigned last = node.first_cpu + node.cpus - 1;
    return node.cpus == 1 ? fmt::format("{}", node.first_cpu)
                          : fmt::format("{}-{}", node.first_cpu, last);
}

/// Distances to all nodes; those that a file leaves out are the guest's default (10 and 20).
std::string distance_list(const Machine& machine, size_t from) {
    std::string out;
    for (size_t to = 0; to < machine.nodes.size(); ++to) {
        const auto& said = machine.nodes[from].distances;
        const unsigned distance = !said.empty() ? said.at(to) : to == from ? 10 : 20;
        out += fmt::format("{}{}", out.empty() ? "" : " ", distance);
    }
    return out;
}

void check_nodes(const Machine& machine, const Probe& probe, Checker& check) {
    if (!machine.has_numa) return;
    for (size_t i = 0; i < machine.nodes.size(); ++i) {
        const std::string name = fmt::format("node{}", i);
        const auto found = probe.nodes.find(name);
        if (found == probe.nodes.end()) {
            check.differs("NUMA " + name, "a node", "nothing");
            continue;
        }
        check.fact(found->second, "NUMA " + name + " ", "cpulist", cpu_list(machine.nodes[i]));
        check.fact(found->second, "NUMA " + name + " ", "distance", distance_list(machine, i));
    }
    for (const auto& [name, record] : probe.nodes) {
        const bool planned = name.starts_with("node") &&
                             parse_number(std::string_view(name).substr(4)).value_or(UINT64_MAX) <
                                 machine.nodes.size();
        if (!planned) check.differs("NUMA " + name, "nothing", "a node");
    }
}

/// Name that the class device of a PF has now, or `planned`: where devices come and go, Linux hands
/// out numbers in the order of arrival.
std::string current_name(const FunctionSpec& pf, const std::string& planned, const Probe& probe) {
    for (const auto& [name, record] : probe.class_devices) {
        const std::string* const at = record.find("device");
        if (at != nullptr && *at == pf.bdf.str()) return name;
    }
    return planned;
}

FunctionVerdict begin_verdict(const PlannedDevice& planned, const FunctionSpec& function) {
    FunctionVerdict verdict;
    verdict.name = function.name;
    verdict.kind = function.clone      ? "clone"
                   : function.external ? "external"
                   : function.is_vf()  ? "vf"
                                       : "pf";
    verdict.bdf = function.bdf.str();
    verdict.sysfs = planned.class_name.empty() ? "-" : planned.class_name_of(function);
    verdict.numa_node = fmt::format("{}", planned.numa_node());
    verdict.link = fmt::format("{} GT/s x{}", planned.device.link.gigatransfers(),
                               planned.device.link.width);
    return verdict;
}

/// One of which only the outside is known.
FunctionVerdict check_foreign_function(const PlannedDevice& planned, const FunctionSpec& function,
                                       const Probe& probe) {
    FunctionVerdict verdict = begin_verdict(planned, function);
    verdict.visible = true;
    verdict.in_empty_slot = planned.device.hotplug &&
                            find_pci_record(probe, verdict.bdf) == nullptr;
    verdict.present = !verdict.in_empty_slot;
    Checker check(verdict.differences, verdict.checks);
    if (!verdict.present) return verdict;
    if (function.external) {
        check_external(planned, function, probe, check);
    } else {
        check_clone(planned, function, probe, check);
    }
    return verdict;
}

/// True if the function has no driver because the guest's kernel came without one.
bool lacks_driver(const FunctionSpec& function, const Probe& probe, const PlanOptions& options) {
    const std::string driver(function.driver().name);
    if (driver.empty() || !options.absent_drivers.contains(driver)) return false;
    const auto record = probe.pci.find(function.bdf.str());
    return record != probe.pci.end() && record->second.find("driver") == nullptr;
}

FunctionVerdict check_function(const PlannedDevice& planned, const FunctionSpec& function,
                               const Probe& probe, bool driverless) {
    if (function.clone || function.external)
        return check_foreign_function(planned, function, probe);
    FunctionVerdict verdict = begin_verdict(planned, function);
    const Presence presence = presence_of(planned, function, probe);
    verdict.present = presence == Presence::kPresent;
    verdict.in_empty_slot = presence == Presence::kEmptySlot;
    Checker check(verdict.differences, verdict.checks);
    if (!verdict.present) {
        check_absent(function, probe, check);
        return verdict;
    }
    verdict.visible = !function.is_vf() || planned.has_native_vfs() ||
                      *function.vf_index < enabled_vfs(probe, planned.class_name);
    check_pci(planned, function, probe, check, driverless);
    // What the guest has, as in the other columns; a native VF has its PF's.
    const auto record = probe.pci.find(verdict.bdf);
    if (record != probe.pci.end() && !(planned.has_native_vfs() && function.is_vf()))
        if (std::string link = link_shown(record->second); !link.empty())
            verdict.link = std::move(link);
    check_sriov(planned, function, probe, check);
    check_registers(planned, function, probe, check);
    if (driverless) verdict.visible = false;
    if (verdict.visible && !planned.class_name.empty()) {
        check_class_device(planned, function, probe, check);
        check_driver_info(planned, function, probe, check);
        check_state(planned, function, probe, check);
    }
    return verdict;
}

std::string name_shown(const FunctionVerdict& function) {
    if (function.visible) return function.sysfs;
    return function.present ? "(hidden)" : "(absent)";
}

std::string result_of(const FunctionVerdict& function) {
    if (!function.differences.empty()) return fmt::format("{} differ", function.differences.size());
    return function.in_empty_slot ? "ok, absent (hot-plug slot)" : "ok";
}

OrderedJson differences_json(const std::vector<Difference>& differences) {
    OrderedJson out = OrderedJson::array();
    for (const Difference& difference : differences) {
        out.push_back({{"what", difference.what},
                       {"expected", difference.expected},
                       {"got", difference.got}});
    }
    return out;
}

}  // namespace

Verdict compare_with_plan(const Machine& machine, const Probe& probe, const PlanOptions& options) {
    Verdict verdict;
    verdict.machine = machine.name;
    verdict.kernel = probe.kernel;
    const bool any_names = options.any_class_names ||
                           std::any_of(machine.devices.begin(), machine.devices.end(),
                                       [](const auto& device) { return device.hotplug; });
    for (const topology::DeviceSpec& device : machine.devices) {
        const FunctionSpec& pf = device.functions.front();
        const auto parent = options.parents.find(device.name);
        PlannedDevice planned{
            machine, device,
            parent != options.parents.end() ? parent->second : machine.port_above(device).str(),
            topology::sysfs_name(machine, pf)};
        if (any_names && !planned.class_name.empty())
            planned.class_name = current_name(pf, planned.class_name, probe);
        const bool driverless = lacks_driver(pf, probe, options);
        for (const FunctionSpec& function : device.functions)
            verdict.functions.push_back(check_function(planned, function, probe, driverless));
        if (driverless)
            verdict.unverified.push_back(fmt::format(
                "{}: the guest's kernel has no driver {}: its sysfs attributes and ioctl",
                device.name, pf.driver().name));
    }
    Checker check(verdict.differences, verdict.checks);
    for (const topology::FabricSpec& fabric : machine.fabrics)
        check_fabric(machine, fabric, probe, check);
    check_extra_ports(machine, probe, check);
    check_nodes(machine, probe, check);
    check_extra(machine, probe, verdict, check);
    verdict.differing = verdict.differences.size();
    for (const FunctionVerdict& function : verdict.functions) {
        verdict.checks += function.checks;
        verdict.differing += function.differences.size();
    }
    return verdict;
}

std::string verdict_table(const Verdict& verdict) {
    std::vector<std::vector<std::string>> rows = {
        {"FUNCTION", "BDF", "SYSFS", "NUMA", "LINK", "CHECKS", "RESULT"}};
    for (const FunctionVerdict& function : verdict.functions) {
        rows.push_back({function.name, function.bdf, std::string(name_shown(function)),
                        function.numa_node, function.link, std::to_string(function.checks),
                        std::string(result_of(function))});
    }
    std::string out = text_table(rows, {3, 5});
    const auto list = [&out](std::string_view of, const std::vector<Difference>& differences) {
        for (const Difference& difference : differences) {
            out += fmt::format("{}: {}: expected {}, got {}\n", of, difference.what,
                               difference.expected, difference.got);
        }
    };
    for (const FunctionVerdict& function : verdict.functions) {
        list(fmt::format("{} ({})", function.name, function.bdf), function.differences);
    }
    list(verdict.machine, verdict.differences);
    for (const std::string& line : verdict.unverified)
        out += fmt::format("not verified: {}\n", line);
    out += fmt::format("{}: Linux {}: {}, {}, ", verdict.machine, verdict.kernel,
                       counted(verdict.functions.size(), "function"),
                       counted(verdict.checks, "check"));
    out += verdict.agrees() ? "all agree with the plan\n"
                            : fmt::format("{} {}\n", verdict.differing,
                                          verdict.differing == 1 ? "differs" : "differ");
    return out;
}

std::string verdict_json(const Verdict& verdict) {
    OrderedJson functions = OrderedJson::array();
    for (const FunctionVerdict& function : verdict.functions) {
        functions.push_back({{"name", function.name},
                             {"kind", function.kind},
                             {"bdf", function.bdf},
                             {"sysfs", function.sysfs},
                             {"visible", function.visible},
                             {"present", function.present},
                             {"checks", function.checks},
                             {"differences", differences_json(function.differences)}});
    }
    const OrderedJson out = {{"format", "mimic-verify"},
                             {"version", 1},
                             {"machine", verdict.machine},
                             {"kernel", verdict.kernel},
                             {"agrees", verdict.agrees()},
                             {"checks", verdict.checks},
                             {"differing", verdict.differing},
                             {"unverified", verdict.unverified},
                             {"functions", std::move(functions)},
                             {"differences", differences_json(verdict.differences)}};
    return out.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace mimic::verify
