// SPDX-License-Identifier: Apache-2.0
#include "device_host/device_factory.h"

#include <array>

#include "base/log.h"
#include "devices/clone/clone.h"
#include "devices/mock_accel/mock_accel.h"
#include "topology/model_catalog.h"

namespace mimic::device_host {
namespace {

mock_accel::Options mock_accel_options(const topology::DeviceSpec& device,
                                       const topology::FunctionSpec& function) {
    mock_accel::Options options;
    options.name = function.name;
    options.role = function.is_vf() ? mock_accel::Role::kVf : mock_accel::Role::kPf;
    options.identifier = function.identifier.text;
    options.memory_size_bytes = function.memory_size;
    options.capabilities = function.capabilities;
    options.total_vfs = device.native_sriov ? 0 : function.total_vfs;
    options.vf_index = function.is_vf() ? function.vf_index : 0;
    options.multifunction = !function.is_vf() && !device.native_sriov &&
                            device.functions.size() > 1;
    options.class_code = function.class_code;
    options.link_speed = static_cast<pci::LinkSpeed>(device.link.generation);
    options.link_width = device.link.width;
    options.rings = function.rings;
    options.memory_bar_bytes = function.memory_bar();
    return options;
}

Result<std::unique_ptr<pci::Function>> make_mock_accel(const topology::DeviceSpec& device,
                                                       const topology::FunctionSpec& function) {
    mock_accel::Options options = mock_accel_options(device, function);
    if (device.native_sriov && !function.is_vf()) {
        options.native_sriov = true;
        for (size_t i = 1; i < device.functions.size(); ++i)
            options.vfs.push_back(mock_accel_options(device, device.functions[i]));
    }
    return mock_accel::MockAccel::create(options);
}

std::array<pci::Bar, pci::kBarCount> pci_bars(const std::vector<topology::BarSpec>& bars) {
    std::array<pci::Bar, pci::kBarCount> result{};
    for (const topology::BarSpec& bar : bars) {
        pci::Bar& made = result.at(bar.index);
        made.type = bar.is_io      ? pci::BarType::kIo
                    : bar.is_64bit ? pci::BarType::kMemory64
                                   : pci::BarType::kMemory32;
        made.prefetchable = bar.prefetchable;
        made.size = bar.size;
    }
    return result;
}

Result<std::unique_ptr<pci::Function>> make_replica(const topology::DeviceSpec& device,
                                                    const topology::FunctionSpec& function) {
    if (!function.replica) {
        return fail(std::errc::invalid_argument, "device {}: a replica of nothing", device.name);
    }
    clone::Options options;
    options.name = function.name;
    options.image = function.replica->config;
    options.bars = pci_bars(function.bars);
    options.rom_bytes = function.replica->rom_size;
    options.vf_bars = pci_bars(function.replica->vf_bars);
    options.vf_image = function.replica->vf_config;
    options.number = function.number;
    options.multifunction = device.functions.size() > 1;
    MIMIC_ASSIGN_OR_RETURN(auto made, clone::Replica::create(options));
    for (const std::string& what : made->copied()) {
        MIMIC_LOG("replica", kInfo, "{}: only a copy: {}", function.name, what);
    }
    return made;
}

struct Model {
    std::string_view name;
    Result<std::unique_ptr<pci::Function>> (*make)(const topology::DeviceSpec&,
                                                   const topology::FunctionSpec&);
};

constexpr std::array<Model, 2> kModels{
    {{"mock-accel", make_mock_accel}, {topology::kReplicaModel, make_replica}}};

}  // namespace

Result<std::unique_ptr<pci::Function>> make_function(const topology::DeviceSpec& device,
                                                     const topology::FunctionSpec& function) {
    for (const auto& model : kModels)
        if (model.name == device.model) return model.make(device, function);
    return fail(std::errc::not_supported, "device {}: no model {} is built in", device.name,
                device.model);
}

}  // namespace mimic::device_host
