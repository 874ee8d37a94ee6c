// SPDX-License-Identifier: Apache-2.0
// The names are constants of models, and a BDF is ours: nothing here needs quoting for a shell.
// Wha
// What
// a topology file says itself (external models) was restricted to harmless characters by the
// reader.
#include "verify/probe_settings.h"

#include <set>

#include <fmt/format.h>

namespace mimic::verify {
namespace {

using model::Expectation;

/// "NAME:0x10:4" of each register that the model expects, as pci-peek takes it.
std::string peeks_of(const model::DeviceModel& model) {
    std::string out;
    if (model.map == nullptr) return out;
    for (const Expectation& one : model.expects) {
        if (one.layer != Expectation::Layer::kRegister) continue;
        for (const reg::RegisterInfo& info : model.map->registers) {
            if (one.name != info.reg->name) continue;
            out += fmt::format(" {}:{:#x}:{}", one.name, info.offset(0), info.width_bytes);
            if (info.elements > 1) out += fmt::format(":{}:{:#x}", info.elements, info.reg->stride);
        }
    }
    return out.empty() ? out : fmt::format(" {}{}", model.map->options.bar, out);
}

/// The same of registers that a file states.
std::string peeks_of(const model::ExternalSpec& external) {
    std::string out;
    for (const auto& one : external.registers)
        out += fmt::format(" {}:{:#x}:{}", one.name, one.offset, one.bytes);
    return out.empty() ? out : " 0" + out;
}

}  // namespace

std::string probe_settings(const topology::Machine& machine) {
    std::set<std::string> drivers;
    std::set<std::string> vendors;
    std::string bdfs;
    std::string peeks;
    for (const topology::DeviceSpec& device : machine.devices) {
        const model::DeviceModel& model = *device.model;
        if (model.facts.source == model::Source::kImages) continue;
        const model::DriverFacts& driver = device.functions.front().driver();
        if (!driver.sysfs_class.empty()) {
            drivers.insert(
                fmt::format("{} {} {}", driver.sysfs_class, driver.node_prefix, driver.tool));
        }
        // Functions of these that no plan has are strays. QEMU's own virtio devices are none.
        if (model.facts.vendor_id != 0 && model.facts.vendor_id != model::kVirtioVendorId)
            vendors.insert(fmt::format("0x{:04x}", model.facts.vendor_id));
        const std::string registers = model.driver.tool.empty() ? peeks_of(model) : "";
        for (const topology::FunctionSpec& function : device.functions) {
            bdfs += " " + function.bdf.str();
            const std::string wanted = function.external ? peeks_of(*function.external) : registers;
            if (!wanted.empty()) peeks += fmt::format("{}{}\n", function.bdf.str(), wanted);
        }
    }
    return fmt::format(
        "mimic_drivers='{}'\nmimic_vendors='{}'\nmimic_bdfs='{}'\nmimic_peeks='{}'\n",
        fmt::join(drivers, "\n"), fmt::join(vendors, " "), bdfs, peeks);
}

}  // namespace mimic::verify
