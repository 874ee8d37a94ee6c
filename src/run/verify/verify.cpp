// SPDX-License-Identifier: Apache-2.0
// The tree is our own output and well-formed; the probe is the guest's, and each of its values is
// only ever compared as text or parsed strictly.
#include "verify/verify.h"

#include <algorithm>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

#include "base/text_table.h"
#include "verify/verify_checks.h"
#include "verify/verify_fabric.h"
#include "verify/verify_replica.h"

namespace mimic::verify {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;  // people read what we print

/// sriov_numvfs of a PF as the guest says it, 0 if it says nothing sensible.
uint64_t enabled_vfs(const Probe& probe, const std::string& pf_sysfs) {
    const auto pf = probe.class_devices.find(pf_sysfs);
    if (pf == probe.class_devices.end()) return 0;
    const std::string* const text = pf->second.find("sriov_numvfs");
    return text != nullptr ? parse_number(*text).value_or(0) : 0;
}

void check_extra(const Probe& probe, const Verdict& verdict, Checker& check) {
    std::set<std::string> bdfs;
    std::set<std::string> names;
    for (const FunctionVerdict& function : verdict.functions) {
        bdfs.insert(function.bdf);
        if (function.visible) names.insert(function.sysfs);
    }
    for (const auto& [bdf, record] : probe.pci) {
        if (!bdfs.contains(bdf))
            check.differs("PCI function " + bdf, "nothing", "a device of vendor 1de5");
    }
    for (const auto& [name, record] : probe.class_devices) {
        if (names.contains(name)) continue;
        check.differs("/sys/class/mock-accel/" + name, "nothing", "a class device");
    }
}

/// "0-3" of [0, 1, 2, 3]; the plan's lists are consecutive.
std::string cpu_list(const Json& cpus) {
    if (cpus.empty()) return "";
    const auto first = cpus.front().get<uint64_t>();
    const auto last = cpus.back().get<uint64_t>();
    return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

void check_nodes(const Json& nodes, const Probe& probe, Checker& check) {
    for (const Json& node : nodes) {
        const std::string name = fmt::format("node{}", node.at("node").get<uint64_t>());
        const auto found = probe.nodes.find(name);
        if (found == probe.nodes.end()) {
            check.differs("NUMA " + name, "a node", "nothing");
            continue;
        }
        std::string distances;
        for (const Json& distance : node.at("distances")) {
            distances += fmt::format("{}{}", distances.empty() ? "" : " ",
                                     distance.get<uint64_t>());
        }
        check.fact(found->second, "NUMA " + name + " ", "cpulist", cpu_list(node.at("cpus")));
        check.fact(found->second, "NUMA " + name + " ", "distance", distances);
    }
    if (nodes.empty()) return;
    for (const auto& [name, record] : probe.nodes) {
        bool planned = false;
        for (const Json& node : nodes) {
            planned |= name == fmt::format("node{}", node.at("node").get<uint64_t>());
        }
        if (!planned) check.differs("NUMA " + name, "nothing", "a node");
    }
}

/// The plan's device with the names that its class devices have now: where devices come and go,
/// Linux hands out numbers in the order of arrival.
Json with_current_names(Json device, const Probe& probe) {
    const std::string bdf = device.at("functions").front().at("bdf").get<std::string>();
    for (const auto& [name, record] : probe.class_devices) {
        const std::string* const at = record.find("device");
        if (at == nullptr || *at != bdf) continue;
        for (Json& function : device.at("functions")) {
            const std::string planned = function.at("sysfs").at("name").get<std::string>();
            const size_t tail = std::min(planned.find('_'), planned.size());
            function.at("sysfs").at("name") = name + planned.substr(tail);
        }
        break;
    }
    return device;
}

bool is_replica(const Json& device) {
    return device.at("model") == "replica";
}

std::string link_text(const Json& device) {
    return fmt::format("{} x{}", device.at("link").at("speed").get<std::string>(),
                       device.at("link").at("width").get<unsigned>());
}

FunctionVerdict check_replica_function(const Json& device, const Json& function,
                                       const Probe& probe) {
    FunctionVerdict verdict;
    verdict.name = function.at("name").get<std::string>();
    verdict.kind = "replica";
    verdict.bdf = function.at("bdf").get<std::string>();
    verdict.sysfs = "-";
    verdict.visible = true;
    verdict.numa_node = fmt::format("{}", function.at("numa_node").get<int>());
    verdict.link = link_text(device);
    verdict.in_empty_slot = device.at("hotplug").get<bool>() &&
                            find_pci_record(probe, verdict.bdf) == nullptr;
    verdict.present = !verdict.in_empty_slot;
    Checker check(verdict.differences, verdict.checks);
    if (verdict.present) check_replica(device, function, probe, check);
    return verdict;
}

FunctionVerdict check_function(const Json& device, const Json& function, const Probe& probe) {
    if (is_replica(device)) return check_replica_function(device, function, probe);
    FunctionVerdict verdict;
    const Json& pf = device.at("functions").front();
    const std::string pf_sysfs = pf.at("sysfs").at("name").get<std::string>();
    verdict.name = function.at("name").get<std::string>();
    verdict.kind = function.at("kind").get<std::string>();
    verdict.bdf = function.at("bdf").get<std::string>();
    verdict.sysfs = function.at("sysfs").at("name").get<std::string>();
    verdict.numa_node = fmt::format("{}", function.at("numa_node").get<int>());
    verdict.link = link_text(device);
    const std::string& vf_index =
        function.at("registers").at("VF_INDEX").get_ref<const std::string&>();
    const Presence presence = presence_of(device, function, probe);
    verdict.present = presence == Presence::kPresent;
    verdict.in_empty_slot = presence == Presence::kEmptySlot;
    Checker check(verdict.differences, verdict.checks);
    if (!verdict.present) {
        check_absent(function, probe, check);
        return verdict;
    }
    verdict.visible = verdict.kind == "pf" || device.at("sriov") == "native" ||
                      parse_number(vf_index).value_or(UINT64_MAX) < enabled_vfs(probe, pf_sysfs);
    check_pci(device, function, probe, check);
    check_sriov(device, function, probe, check);
    check_registers(function, probe, check);
    if (verdict.visible) {
        check_class_device(function, pf_sysfs, probe, check);
        check_driver_info(function, probe, check);
        check_state(function, probe, check);
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

Result<Verdict> compare_with_plan(const std::string& tree, const std::string& machine,
                                  const Probe& probe) {
    const Json plan = Json::parse(tree, nullptr, false);
    if (!plan.is_object()) return fail(std::errc::invalid_argument, "the plan is no JSON object");
    for (const Json& planned : plan.at("machines")) {
        if (planned.at("name") != machine) continue;
        Verdict verdict;
        verdict.machine = machine;
        verdict.kernel = probe.kernel;
        const Json& devices = planned.at("devices");
        const bool has_hotplug = std::any_of(
            devices.begin(), devices.end(),
            [](const Json& device) { return device.at("hotplug").get<bool>(); });
        for (const Json& one : devices) {
            const Json device = has_hotplug && !is_replica(one) ? with_current_names(one, probe)
                                                                : one;
            for (const Json& function : device.at("functions")) {
                verdict.functions.push_back(check_function(device, function, probe));
            }
        }
        Checker check(verdict.differences, verdict.checks);
        for (const Json& fabric : planned.at("fabrics")) {
            check_fabric(fabric, devices, probe, check);
        }
        check_extra_ports(planned.at("fabrics"), devices, probe, check);
        check_nodes(planned.at("numa_nodes"), probe, check);
        check_extra(probe, verdict, check);
        verdict.differing = verdict.differences.size();
        for (const FunctionVerdict& function : verdict.functions) {
            verdict.checks += function.checks;
            verdict.differing += function.differences.size();
        }
        return verdict;
    }
    return fail(std::errc::invalid_argument, "the plan has no machine {}", machine);
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
                             {"functions", std::move(functions)},
                             {"differences", differences_json(verdict.differences)}};
    return out.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace mimic::verify
