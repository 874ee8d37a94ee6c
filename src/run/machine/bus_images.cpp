// SPDX-License-Identifier: Apache-2.0
#include "machine/bus_images.h"

#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "device_host/device_factory.h"
#include "device_host/fabric_factory.h"
#include "kernel_bus/sysfs_text.h"
#include "pci/config/pci_regs.h"
#include "pci/fabric/port.h"

namespace mimic::machine {
namespace {

namespace regs = pci::regs;
using kernel_bus::BusLayout;
using kernel_bus::FunctionImage;
using kernel_bus::Images;
using kernel_bus::Node;
using kernel_bus::NodeKind;
using kernel_bus::Resource;

constexpr size_t kConfigBytes = 4096;
constexpr uint16_t kQemuVendor = 0x1b36;
constexpr uint16_t kQemuRootPort = 0x000c;
constexpr unsigned kUnitShift = 16;  // of the registers of a bridge's windows

/// Configuration space of one function, wherever it is.
class ConfigPort {
public:
    virtual ~ConfigPort() = default;
    virtual void read(uint32_t offset, std::span<uint8_t> data) = 0;
    virtual void write(uint32_t offset, std::span<const uint8_t> data) = 0;

    uint16_t u16(uint32_t offset) {
        std::array<uint8_t, 2> data{};
        read(offset, data);
        return static_cast<uint16_t>(data[0] | data[1] << 8);
    }
    void put(uint32_t offset, uint64_t value, size_t bytes) {
        std::array<uint8_t, 4> data{};
        for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<uint8_t>(value >> (8 * i));
        write(offset, std::span(data).first(bytes));
    }
    void set(uint32_t offset, uint16_t bits) { put(offset, u16(offset) | bits, 2); }

    uint32_t capability(uint8_t id) {
        uint32_t at = u16(regs::CAPABILITIES_POINTER) & 0xfcU;
        // At most one capability in four bytes.
        for (int i = 0; i < 64 && at >= regs::FIRST_CAPABILITY; ++i) {
            const uint16_t header = u16(at);
            if ((header & 0xff) == id) return at;
            at = header >> 8 & 0xfcU;
        }
        return 0;
    }

    std::string bytes(size_t size = kConfigBytes) {
        std::string out(size, '\0');
        // As Linux does; what a fabric answers does not depend on it.
        for (uint32_t at = 0; at < size; at += 4) {
            std::array<uint8_t, 4> data{};
            read(at, data);
            for (size_t i = 0; i < data.size(); ++i) out[at + i] = static_cast<char>(data[i]);
        }
        return out;
    }
};

class DirectPort final : public ConfigPort {
public:
    explicit DirectPort(pci::Function& function) : function_(function) {}
    void read(uint32_t offset, std::span<uint8_t> data) override {
        function_.config_read(offset, data);
    }
    void write(uint32_t offset, std::span<const uint8_t> data) override {
        function_.config_write(offset, data);
    }

private:
    pci::Function& function_;
};

class FabricPort final : public ConfigPort {
public:
    FabricPort(pci::Fabric& fabric, const topology::Bdf& bdf)
        : fabric_(fabric),
          base_(uint64_t{bdf.bus} << 20 | uint64_t{bdf.device} << 15 |
                uint64_t{bdf.function} << 12) {}
    void read(uint32_t offset, std::span<uint8_t> data) override {
        fabric_.config_read(base_ + offset, data);
    }
    void write(uint32_t offset, std::span<const uint8_t> data) override {
        fabric_.config_write(base_ + offset, data);
    }

private:
    pci::Fabric& fabric_;
    const uint64_t base_;
};

/// A host without memory, interrupts or time. What devices post never runs: nothing that we write
/// starts work.
class QuietHost final : public pci::Fabric::Host, public TaskRunner {
public:
    void interrupt(uint32_t) override {}
    uint32_t vectors() const override { return vmd::kVectors; }
    memory::DmaSpace* fabric_dma() override { return nullptr; }
    TaskRunner& fabric_runner() override { return *this; }
    bool is_window(uint64_t) const override { return false; }

    void post(Task) override {}
    void post_delayed(Task, Duration) override {}
    TimePoint now() const override { return {}; }
    bool is_current() const override { return true; }
};

void write_bars(ConfigPort& port, uint32_t at, const Resource* bars) {
    for (unsigned i = 0; i < pci::kBarCount; ++i) {
        if (bars[i].flags == 0) continue;
        port.put(at + 4 * i, bars[i].start & UINT32_MAX, 4);
        if ((bars[i].flags & kernel_bus::kBar64) != 0) {
            port.put(at + 4 * i + 4, bars[i].start >> 32, 4);
        }
    }
}

void enable(ConfigPort& port) {
    port.set(regs::COMMAND, regs::COMMAND_MEMORY_SPACE | regs::COMMAND_BUS_MASTER);
}

void program_bridge(ConfigPort& port, const Node& node) {
    const Resource& low = node.resources[kernel_bus::kMemoryWindow];
    const Resource& high = node.resources[kernel_bus::kPrefetchWindow];
    if (low.flags != 0) {
        port.put(regs::MEMORY_BASE, low.start >> kUnitShift & regs::MEMORY_WINDOW_ADDRESS, 2);
        port.put(regs::MEMORY_LIMIT, low.end >> kUnitShift & regs::MEMORY_WINDOW_ADDRESS, 2);
    }
    if (high.flags != 0) {
        port.put(regs::PREFETCHABLE_BASE, high.start >> kUnitShift & regs::MEMORY_WINDOW_ADDRESS,
                 2);
        port.put(regs::PREFETCHABLE_LIMIT, high.end >> kUnitShift & regs::MEMORY_WINDOW_ADDRESS, 2);
        port.put(regs::PREFETCHABLE_BASE_UPPER, high.start >> 32, 4);
        port.put(regs::PREFETCHABLE_LIMIT_UPPER, high.end >> 32, 4);
    }
    enable(port);
    if (node.port == nullptr || !node.port->ari) return;
    if (const uint32_t pcie = port.capability(regs::CAP_ID_PCIE); pcie != 0) {
        port.set(pcie + regs::DEVCTL2, regs::DEVCTL2_ARI_FORWARDING);
    }
}

void program_sriov(ConfigPort& port, const Node& node) {
    const auto cap = static_cast<uint32_t>(
        kernel_bus::extended_capability(port.bytes(), regs::EXT_CAP_ID_SRIOV));
    if (cap == 0) return;
    if (node.device->ari) port.set(cap + regs::SRIOV_CONTROL, regs::SRIOV_CONTROL_ARI_HIERARCHY);
    write_bars(port, cap + regs::SRIOV_VF_BAR0, &node.resources[kernel_bus::kFirstVfBar]);
    if (node.enabled_vfs == 0) return;
    port.put(cap + regs::SRIOV_NUM_VFS, node.enabled_vfs, 2);
    port.set(cap + regs::SRIOV_CONTROL,
             regs::SRIOV_CONTROL_VF_ENABLE | regs::SRIOV_CONTROL_VF_MEMORY_SPACE);
}

void program(ConfigPort& port, const Node& node) {
    if (node.is_bridge()) return program_bridge(port, node);
    if (!node.is_virtual()) write_bars(port, regs::BAR0, node.resources.data());
    enable(port);
    if (node.kind == NodeKind::kPf && node.device->native_sriov) program_sriov(port, node);
}

/// Where the MSI-X table is in BAR 0, from the capability.
struct MsixTable {
    uint64_t offset = 0;
    uint64_t bytes = 0;  // 0: it is in another BAR, or there is none
};

MsixTable msix_table(ConfigPort& port) {
    const uint32_t at = port.capability(regs::CAP_ID_MSIX);
    if (at == 0) return {};
    const uint32_t place = port.u16(at + regs::MSIX_TABLE) |
                           uint32_t{port.u16(at + regs::MSIX_TABLE + 2)} << 16;
    if ((place & regs::MSIX_BIR) != 0) return {};
    const uint64_t entries = 1u +
                             (port.u16(at + regs::MSIX_CONTROL) & regs::MSIX_CONTROL_TABLE_SIZE);
    return {place & ~regs::MSIX_BIR, entries * regs::MSIX_ENTRY_SIZE};
}

/// BAR0 a dword at a time, through `read(offset, bytes)`: where the model has registers and in the
/// MSI-X table, as a driver would; what lies between reads zero. Empty without known registers.
template <typename Read>
std::string registers_of(const Node& node, const MsixTable& table, const Read& read) {
    const reg::MapView* const map = node.function->model->map;
    if (map == nullptr || map->options.bar != 0) return "";
    std::string out(node.resources[0].size(), '\0');
    const auto copy = [&](uint64_t from, uint64_t bytes) {
        for (uint64_t at = from; at < from + bytes && at + 4 <= out.size(); at += 4) {
            std::array<uint8_t, 4> data{};
            read(at, std::span<uint8_t>(data));
            for (size_t i = 0; i < data.size(); ++i) out[at + i] = static_cast<char>(data[i]);
        }
    };
    for (const reg::RegisterInfo& info : map->registers) {
        for (uint32_t i = 0; i < info.elements; ++i) copy(info.offset(i), info.width_bytes);
    }
    copy(table.offset, table.bytes);
    return out;
}

/// Offset of the register by which a driver says how many static VFs it shows.
std::optional<uint64_t> static_vfs_register(const model::DeviceModel& model) {
    if (model.map == nullptr || model.facts.static_vfs_register.empty()) return std::nullopt;
    for (const reg::RegisterInfo& info : model.map->registers)
        if (model.facts.static_vfs_register == info.reg->name) return info.offset(0);
    return std::nullopt;
}

/// Bytes of configuration space that Linux finds: clones of conventional PCI have 256.
size_t config_size(const Node& node) {
    return node.is_clone() && node.function->clone->config.size() <= 256 ? 256 : kConfigBytes;
}

Result<FunctionImage> endpoint_image(const Node& node) {
    MIMIC_ASSIGN_OR_RETURN(const auto function,
                           device_host::make_function(*node.device, *node.function));
    DirectPort port(*function);
    program(port, node);
    if (node.is_clone()) return FunctionImage{port.bytes(config_size(node)), ""};
    const auto vfs = static_vfs_register(*node.function->model);
    if (vfs && node.enabled_vfs > 0) {
        std::array<uint8_t, 4> count{static_cast<uint8_t>(node.enabled_vfs)};
        function->write_bar(0, *vfs, count);
    }
    const auto read = [&](uint64_t at, std::span<uint8_t> data) {
        function->read_bar(0, at, data);
    };
    return FunctionImage{port.bytes(), registers_of(node, msix_table(port), read)};
}

Result<FunctionImage> root_port_image(const Node& node) {
    pci::PortOptions options;
    options.name = node.name;
    options.vendor_id = kQemuVendor;
    options.device_id = kQemuRootPort;
    options.multifunction = node.multifunction;
    options.link_speed = static_cast<pci::LinkSpeed>(node.link.generation);
    options.link_width = node.link.width;
    options.slot = node.slot;
    MIMIC_ASSIGN_OR_RETURN(const auto bridge, pci::Port::create(options));
    bridge->set_bus_numbers(node.bdf.bus, node.secondary, node.subordinate);
    bridge->set_presence(true);
    bridge->set_link_active(true);
    DirectPort port(*bridge);
    program(port, node);
    return FunctionImage{port.bytes(), ""};
}

Status add_fabric(const BusLayout& layout, const topology::FabricSpec& fabric, Images& images) {
    QuietHost host;  // outlives the endpoint, whose end detaches the fabric
    MIMIC_ASSIGN_OR_RETURN(const auto vmd, device_host::make_fabric(*layout.machine, fabric));
    pci::Fabric& inside = vmd->fabric();
    inside.attach(host);
    for (const Node& node : layout.nodes) {
        if (node.fabric != &fabric) continue;
        if (node.kind == NodeKind::kVmd) {
            DirectPort port(*vmd);
            program(port, node);
            images[node.bdf] = {port.bytes(), ""};
            continue;
        }
        // Ports come before what is below them, and a PF before its VFs.
        FabricPort port(inside, node.bdf);
        program(port, node);
    }
    for (const Node& node : layout.nodes) {
        if (node.fabric != &fabric || node.kind == NodeKind::kVmd) continue;
        FabricPort port(inside, node.bdf);
        FunctionImage image{port.bytes(config_size(node)), ""};
        if (node.function != nullptr && !node.is_clone()) {
            const uint64_t start = node.resources[0].start;
            image.registers = registers_of(node, msix_table(port),
                                           [&](uint64_t at, std::span<uint8_t> data) {
                                               inside.memory_read(start + at, data);
                                           });
        }
        images[node.bdf] = std::move(image);
    }
    return {};
}

}  // namespace

Result<Images> make_images(const BusLayout& layout) {
    Images images;
    for (const Node& node : layout.nodes) {
        if (node.fabric != nullptr) continue;
        MIMIC_ASSIGN_OR_RETURN(images[node.bdf],
                               node.is_bridge() ? root_port_image(node) : endpoint_image(node));
    }
    for (const topology::FabricSpec& fabric : layout.machine->fabrics) {
        MIMIC_TRY(add_fabric(layout, fabric, images));
    }
    return images;
}

}  // namespace mimic::machine
