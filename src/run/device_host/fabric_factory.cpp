// SPDX-License-Identifier: Apache-2.0
#include "device_host/fabric_factory.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "device_host/device_factory.h"

namespace mimic::device_host {
namespace {

using Port = topology::PortSpec;

pci::PciePortType port_type(Port::Kind kind) {
    switch (kind) {
        case Port::Kind::kRootPort:
            return pci::PciePortType::kRootPort;
        case Port::Kind::kSwitchUpstream:
            return pci::PciePortType::kUpstreamPort;
        case Port::Kind::kSwitchDownstream:
            break;
    }
    return pci::PciePortType::kDownstreamPort;
}

uint16_t device_id(Port::Kind kind) {
    constexpr uint16_t kRootPortId = 0x0100;
    return static_cast<uint16_t>(kRootPortId + static_cast<uint16_t>(kind));
}

uint8_t devfn(const topology::Bdf& bdf) {
    return static_cast<uint8_t>((bdf.device << 3) | bdf.function);
}

pci::PortOptions bridge_options(const topology::FabricSpec& fabric, const Port& port) {
    pci::PortOptions options;
    options.name = port.name;
    options.type = port_type(port.kind);
    options.device_id = device_id(port.kind);
    options.multifunction = std::any_of(
        fabric.ports.begin(), fabric.ports.end(), [&](const Port& other) {
            return other.bdf.bus == port.bdf.bus && other.bdf.device == port.bdf.device &&
                   other.bdf.function != port.bdf.function;
        });
    options.link_speed = static_cast<pci::LinkSpeed>(port.link.generation);
    options.link_width = port.link.width;
    options.slot = port.slot;
    options.hot_plug = port.hotplug;
    options.acs = port.acs;
    options.ari = port.ari;
    options.image = port.config;
    return options;
}

}  // namespace

Result<std::unique_ptr<vmd::Vmd>> make_fabric(const topology::Machine& machine,
                                              const topology::FabricSpec& fabric) {
    vmd::Options options;
    options.name = fabric.name;
    options.config_bar_bytes = fabric.config_bar_size;
    options.memory32_bar_bytes = fabric.memory32_bar_size;
    options.memory64_bar_bytes = fabric.memory64_bar_size;
    MIMIC_ASSIGN_OR_RETURN(auto endpoint, vmd::Vmd::create(options));
    std::vector<pci::Port*> bridges;
    for (const Port& port : fabric.ports) {
        pci::Port* const above = port.parent ? bridges.at(*port.parent) : nullptr;
        MIMIC_ASSIGN_OR_RETURN(
            auto* const bridge,
            endpoint->fabric().add_bridge(above, devfn(port.bdf), bridge_options(fabric, port),
                                          port.secondary_bus, port.subordinate_bus));
        bridges.push_back(bridge);
        if (!port.device) continue;
        const topology::DeviceSpec& device = machine.devices.at(*port.device);
        for (const topology::FunctionSpec& function : device.functions) {
            if (function.is_vf()) continue;  // the PF's to make
            MIMIC_ASSIGN_OR_RETURN(auto made, make_function(device, function));
            MIMIC_TRY(endpoint->fabric().add_function(bridge, devfn(function.bdf), std::move(made),
                                                      device.plugged));
        }
    }
    return endpoint;
}

}  // namespace mimic::device_host
