// SPDX-License-Identifier: Apache-2.0
#include "topology/model.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/nearest.h"
#include "pci/config/config_image.h"
#include "pci/config/pci_regs.h"
#include "topology/topology.h"

namespace mimic::topology {

namespace {

/// Where the VFs of a clone begin, beyond the PF, if the port above forwards ARI or not. Linux
/// turns ARI on for functions that have it only.
unsigned first_vf_offset(const FunctionSpec& function, bool ari) {
    const CloneSpec& clone = *function.clone;
    const auto sriov = pci::image_sriov(clone.config, function.number == 0);
    const bool has_ari = pci::walk_image(clone.config).find(pci::regs::EXT_CAP_ID_ARI, true) !=
                         nullptr;
    return (ari && has_ari) || !sriov ? clone.first_vf_offset
                                      : sriov->options.first_offset_without_ari;
}

}  // namespace

unsigned DeviceSpec::vf_buses() const {
    unsigned buses = native_sriov && !ari ? 1 : 0;
    for (const FunctionSpec& function : functions) {
        if (!function.clone || function.clone->total_vfs == 0) continue;
        const CloneSpec& clone = *function.clone;
        const unsigned last = function.number + first_vf_offset(function, ari) +
                              (clone.total_vfs - 1) * clone.vf_stride;
        buses = std::max(buses, last / 256);
    }
    return buses;
}

const FunctionSpec* Machine::find_function(std::string_view function_name) const {
    for (const DeviceSpec& device : devices) {
        for (const FunctionSpec& function : device.functions) {
            if (function.name == function_name) return &function;
        }
    }
    return nullptr;
}

const DeviceSpec* Machine::find_clone() const {
    const auto found = std::find_if(devices.begin(), devices.end(),
                                    [](const DeviceSpec& device) { return device.is_clone(); });
    return found == devices.end() ? nullptr : &*found;
}

Bdf Machine::port_above(const DeviceSpec& device) const {
    return device.fabric ? fabrics.at(*device.fabric).ports.at(device.fabric_port).bdf
                         : device.port.bdf;
}

const Machine* Model::find_machine(std::string_view machine_name) const {
    const auto found = std::find_if(machines.begin(), machines.end(), [&](const Machine& machine) {
        return machine.name == machine_name;
    });
    return found == machines.end() ? nullptr : &*found;
}

namespace {

/// Where the names of its kind are counted; empty for a device that a test made without a model.
/// Virtio devices have one driver on PCI, and a class for each kind.
std::string_view names_of(const DeviceSpec& device) {
    if (device.model == nullptr) return "";
    const model::DriverFacts& driver = device.functions.front().driver();
    return driver.sysfs_class.empty() ? driver.name : driver.sysfs_class;
}

/// True if `other` is probed before `device`: devices that are there at boot come first, each kind
/// in order of addresses.
bool is_probed_before(const DeviceSpec& other, const DeviceSpec& device) {
    if (names_of(other) != names_of(device)) return false;
    if (other.plugged != device.plugged) return other.plugged;
    return other.functions.front().bdf < device.functions.front().bdf;
}

}  // namespace

std::string sysfs_name(const Machine& machine, const FunctionSpec& function) {
    const auto owner = std::find_if(
        machine.devices.begin(), machine.devices.end(), [&](const DeviceSpec& device) {
            return std::any_of(device.functions.begin(), device.functions.end(),
                               [&](const FunctionSpec& own) { return own.bdf == function.bdf; });
        });
    MIMIC_CHECK(owner != machine.devices.end());
    const auto index = std::count_if(
        machine.devices.begin(), machine.devices.end(),
        [&](const DeviceSpec& other) { return is_probed_before(other, *owner); });
    return model::node_name(function, static_cast<size_t>(index));
}

Status keep_machine(Model& model, const std::string& name) {
    constexpr size_t kShownName = 64;  // of a machine that is not there
    std::vector<std::string> names;
    for (const Machine& machine : model.machines) names.push_back(machine.name);
    if (model.find_machine(name) == nullptr) {
        return fail(std::errc::invalid_argument, "the file has no machine \"{}\"{}",
                    name.substr(0, kShownName), did_you_mean(name.substr(0, kShownName), names));
    }
    std::erase_if(model.machines, [&](const Machine& machine) { return machine.name != name; });
    return {};
}

}  // namespace mimic::topology
