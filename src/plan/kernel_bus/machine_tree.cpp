// SPDX-License-Identifier: Apache-2.0
// Files and formats are those of Linux 6.1: drivers/pci/pci-sysfs.c, drivers/pci/iov.c,
// drivers/pci/slot.c, drivers/iommu/iommu.c, drivers/base/node.c. What class devices show is what
// their model expects, as for `mimic verify`.
#include "kernel_bus/machine_tree.h"

#include <set>
#include <utility>

#include <fmt/format.h>

#include "kernel_bus/sysfs_text.h"
#include "kernel_bus/umockdev.h"
#include "topology/topology.h"

namespace mimic::kernel_bus {
namespace {

using topology::Bdf;
using topology::Machine;

// Configuration space: PCIe 6.0, 7.5.1 and 9.3.3.
constexpr size_t kRevision = 0x08;
constexpr size_t kSubsystemVendor = 0x2c;
constexpr size_t kSubsystem = 0x2e;
constexpr uint16_t kSriovCapability = 0x0010;
constexpr size_t kFirstVfOffset = 0x14;
constexpr size_t kVfStride = 0x16;
constexpr size_t kVfDeviceId = 0x1a;

class TreeMaker {
public:
    explicit TreeMaker(const BusLayout& layout) : layout_(layout), cpus_(layout) {}

    Result<FileTree> make(const Images& images) {
        paths_.resize(layout_.nodes.size());
        for (size_t i = 0; i < layout_.nodes.size(); ++i) paths_[i] = path_of(layout_.nodes[i]);
        tree_.add_folder("sys/bus/pci/slots");
        add_class_folders();
        for (size_t i = 0; i < layout_.nodes.size(); ++i) {
            const Node& node = layout_.nodes[i];
            const auto image = images.find(node.bdf);
            if (image == images.end() || image->second.config.size() < 64) {
                return fail(std::errc::invalid_argument, "no configuration space for {} ({})",
                            node.bdf.str(), node.name);
            }
            add_function(node, paths_[i], image->second);
            if (node.function != nullptr) add_class_device(node, paths_[i]);
            if (node.is_bridge()) add_slot(node);
        }
        add_numa_nodes();
        tree_.add_file("machine.umockdev", umockdev_text(tree_));
        return std::move(tree_);
    }

private:
    std::string path_of(const Node& node) const {
        if (node.parent) return paths_[*node.parent] + "/" + node.bdf.str();
        const auto vmd = layout_.vmd_of(node);
        return fmt::format("{}/pci{:04x}:{:02x}/{}", vmd ? paths_[*vmd] : "sys/devices",
                           node.bdf.domain, node.root_bus, node.bdf.str());
    }

    std::string path_of(const Bdf& bdf) const { return paths_.at(*layout_.find(bdf)); }

    void attribute(const std::string& path, std::string_view name, std::string_view text) {
        tree_.add_file(fmt::format("{}/{}", path, name), fmt::format("{}\n", text));
    }

    void add_function(const Node& node, const std::string& path, const FunctionImage& image) {
        const std::string bdf = node.bdf.str();
        add_identity(node, path, image.config);
        tree_.add_file(path + "/config", image.config);
        if (!image.registers.empty()) tree_.add_file(path + "/resource0", image.registers);
        attribute(path, "numa_node", fmt::format("{}", numa_number(node.numa_node)));
        attribute(path, "local_cpulist", cpus_.list(node.numa_node));
        attribute(path, "local_cpus", cpus_.mask(node.numa_node));
        attribute(path, "enable", "1");
        attribute(path, "irq", "0");
        attribute(path, "power_state", "D0");
        attribute(path, "driver_override", "(null)");
        attribute(path, "dma_mask_bits", "64");
        attribute(path, "consistent_dma_mask_bits", "64");
        attribute(path, "msi_bus", "1");
        attribute(path, "broken_parity_status", "0");
        if (!node.is_bridge() && !node.is_clone()) attribute(path, "reset_method", "flr bus");
        tree_.add_file(path + "/resource", resource_text(node));
        add_link_attributes(node, path);
        if (node.is_bridge()) {
            attribute(path, "secondary_bus_number", fmt::format("{}", node.secondary));
            attribute(path, "subordinate_bus_number", fmt::format("{}", node.subordinate));
        } else {
            attribute(path, "ari_enabled", node.is_virtual() && ari(node) ? "1" : "0");
        }
        tree_.add_link("sys/bus/pci/devices/" + bdf, path);
        tree_.add_link(path + "/subsystem", "sys/bus/pci");
        if (!driver_of(node).empty()) {
            const std::string driver = "sys/bus/pci/drivers/" + std::string(driver_of(node));
            tree_.add_link(path + "/driver", driver);
            tree_.add_link(driver + "/" + bdf, path);
        }
        add_iommu_group(node, path);
        if (node.kind == NodeKind::kVmd) {
            tree_.add_link(path + "/domain", fmt::format("{}/pci{:04x}:00/pci_bus/{:04x}:00", path,
                                                         node.fabric->domain, node.fabric->domain));
        }
        add_bus(node, path);
        add_sriov(node, path, image.config);
    }

    static bool ari(const Node& node) { return node.device->ari; }

    void add_identity(const Node& node, const std::string& path, const std::string& config) {
        Identity id;
        id.vendor = node.function != nullptr ? node.function->vendor_id : u16_at(config, 0);
        id.device = node.function != nullptr ? node.function->device_id : u16_at(config, 2);
        id.subsystem_vendor = node.is_bridge() ? uint16_t{0} : u16_at(config, kSubsystemVendor);
        id.subsystem = node.is_bridge() ? uint16_t{0} : u16_at(config, kSubsystem);
        id.revision = u8_at(config, kRevision);
        id.class_code = class_at(config);
        attribute(path, "vendor", fmt::format("0x{:04x}", id.vendor));
        attribute(path, "device", fmt::format("0x{:04x}", id.device));
        attribute(path, "subsystem_vendor", fmt::format("0x{:04x}", id.subsystem_vendor));
        attribute(path, "subsystem_device", fmt::format("0x{:04x}", id.subsystem));
        attribute(path, "revision", fmt::format("0x{:02x}", id.revision));
        attribute(path, "class", fmt::format("0x{:06x}", id.class_code));
        attribute(path, "modalias", modalias(id));
        tree_.add_file(path + "/uevent", uevent_text(id, node.bdf.str(), driver_of(node)));
    }

    void add_link_attributes(const Node& node, const std::string& path) {
        const std::string speed = link_speed(node.link);
        attribute(path, "max_link_speed", speed);
        attribute(path, "max_link_width", fmt::format("{}", node.link.width));
        // What Linux says of a link that is down depends on the port; ours keep the last speed.
        attribute(path, "current_link_speed", speed);
        attribute(path, "current_link_width",
                  node.link_up ? fmt::format("{}", node.link.width) : "0");
    }

    void add_iommu_group(const Node& node, const std::string& path) {
        const std::string group = fmt::format("sys/kernel/iommu_groups/{}", node.iommu_group);
        tree_.add_link(path + "/iommu_group", group);
        tree_.add_link(group + "/devices/" + node.bdf.str(), path);
        attribute(group, "type", "DMA");
        tree_.add_file(group + "/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n");
    }

    /// The bus below a port; and with the first port of a root bus, that one.
    void add_bus(const Node& node, const std::string& path) {
        if (!node.is_bridge()) return;
        add_bus_device(node, path, node.secondary);
        if (!node.parent) {
            add_bus_device(node, path.substr(0, path.rfind('/')), node.root_bus);
        }
    }

    void add_bus_device(const Node& node, const std::string& parent, unsigned bus) {
        const std::string name = fmt::format("{:04x}:{:02x}", node.bdf.domain, bus);
        const std::string path = parent + "/pci_bus/" + name;
        if (tree_.find(path) != nullptr) return;
        attribute(path, "cpulistaffinity", cpus_.list(node.numa_node));
        attribute(path, "cpuaffinity", cpus_.mask(node.numa_node));
        tree_.add_file(path + "/uevent", "");
        tree_.add_link(path + "/device", parent);
        tree_.add_link(path + "/subsystem", "sys/class/pci_bus");
        tree_.add_link("sys/class/pci_bus/" + name, path);
    }

    void add_sriov(const Node& node, const std::string& path, const std::string& config) {
        if (node.is_clone()) return add_clone_sriov(node, path, config);
        if (node.function == nullptr || !node.device->native_sriov) return;
        if (node.kind == NodeKind::kVf) {
            const Bdf pf = node.device->functions.front().bdf;
            tree_.add_link(path + "/physfn", path_of(pf));
            tree_.add_link(fmt::format("{}/virtfn{}", path_of(pf), *node.function->vf_index), path);
            return;
        }
        add_sriov_attributes(path, config, node.function->total_vfs, node.enabled_vfs);
    }

    /// QEMU hides the capability of an endpoint.
    void add_clone_sriov(const Node& node, const std::string& path, const std::string& config) {
        const uint32_t total = node.function->clone->total_vfs;
        if (total != 0 && node.device->on_fabric) add_sriov_attributes(path, config, total, 0);
    }

    void add_sriov_attributes(const std::string& path, const std::string& config, uint32_t total,
                              unsigned enabled) {
        attribute(path, "sriov_totalvfs", fmt::format("{}", total));
        attribute(path, "sriov_numvfs", fmt::format("{}", enabled));
        attribute(path, "sriov_drivers_autoprobe", "1");
        attribute(path, "sriov_vf_total_msix", "0");
        const size_t cap = extended_capability(config, kSriovCapability);
        if (cap == 0) return;
        attribute(path, "sriov_offset", fmt::format("{}", u16_at(config, cap + kFirstVfOffset)));
        attribute(path, "sriov_stride", fmt::format("{}", u16_at(config, cap + kVfStride)));
        attribute(path, "sriov_vf_device", fmt::format("{:x}", u16_at(config, cap + kVfDeviceId)));
    }

    /// Each driver's, whether or not it has a device.
    void add_class_folders() {
        for (const topology::DeviceSpec& device : layout_.machine->devices) {
            if (!device.model->driver.sysfs_class.empty())
                tree_.add_folder(fmt::format("sys/class/{}", device.model->driver.sysfs_class));
        }
    }

    /// A static VF has one while the PF's sriov_numvfs covers it.
    void add_class_device(const Node& node, const std::string& pci_path) {
        const topology::FunctionSpec& function = *node.function;
        const std::string name = topology::sysfs_name(*layout_.machine, function);
        if (name.empty()) return;
        const topology::FunctionSpec& pf = node.device->functions.front();
        const unsigned enabled = layout_.nodes[*layout_.find(pf.bdf)].enabled_vfs;
        if (function.vf_index && *function.vf_index >= enabled) return;
        const std::string folder(function.driver().sysfs_class);
        const std::string path = fmt::format("{}/{}/{}", pci_path, folder, name);
        add_expected(node, path);
        tree_.add_file(path + "/uevent", "");
        tree_.add_link(path + "/device", pci_path);
        tree_.add_link(path + "/subsystem", "sys/class/" + folder);
        tree_.add_link(fmt::format("sys/class/{}/{}", folder, name), path);
        if (!function.vf_index) return;
        const std::string pf_path = fmt::format("{}/{}/{}", path_of(pf.bdf), folder,
                                                topology::sysfs_name(*layout_.machine, pf));
        tree_.add_link(path + "/physfn", pf_path);
        tree_.add_link(fmt::format("{}/virtfn{}", pf_path, *function.vf_index), path);
    }

    void add_expected(const Node& node, const std::string& path) {
        using model::Expectation;
        for (const Expectation& one : node.function->model->expects) {
            if (one.layer != Expectation::Layer::kSysfs || !model::applies(one, *node.function))
                continue;
            attribute(path, one.name,
                      one.from == Expectation::From::kEnabledVfs  // the one state that is known
                                                                  // here
                          ? fmt::format("{}", node.enabled_vfs)
                          : model::expected_text(one, *node.function, numa_number(node.numa_node)));
        }
    }

    /// pciehp makes a folder for a slot that is hot-plug capable.
    void add_slot(const Node& node) {
        if (!node.hotplug) return;
        const std::string path = fmt::format("sys/bus/pci/slots/{}", node.slot);
        attribute(path, "address",
                  fmt::format("{:04x}:{:02x}:00", node.bdf.domain, node.secondary));
        attribute(path, "adapter", node.link_up ? "1" : "0");
        attribute(path, "power", node.link_up ? "1" : "0");
        const std::string speed = link_speed(node.link);
        attribute(path, "cur_bus_speed", node.link_up ? speed : "Unknown");
        attribute(path, "max_bus_speed", speed);
    }

    void add_numa_nodes() {
        const Machine& machine = *layout_.machine;
        const std::string root = "sys/devices/system";
        attribute(root + "/cpu", "online", cpus_.list(std::nullopt));
        attribute(root + "/cpu", "present", cpus_.list(std::nullopt));
        attribute(root + "/cpu", "possible", cpus_.list(std::nullopt));
        const std::string all = number_list(0, static_cast<unsigned>(machine.nodes.size()));
        for (const char* name : {"online", "possible", "has_memory"}) {
            attribute(root + "/node", name, all);
        }
        for (unsigned i = 0; i < machine.nodes.size(); ++i) {
            const topology::NumaNode& node = machine.nodes[i];
            const std::string path = fmt::format("{}/node/node{}", root, i);
            attribute(path, "cpulist", cpus_.list(i));
            attribute(path, "cpumap", cpus_.mask(i));
            attribute(path, "distance", distances(machine, i));
            tree_.add_file(path + "/meminfo",
                           fmt::format("Node {} MemTotal: {:>14} kB\n", i, node.memory >> 10));
            tree_.add_file(path + "/uevent", "");
            tree_.add_link(path + "/subsystem", "sys/bus/node");
            tree_.add_link(fmt::format("sys/bus/node/devices/node{}", i), path);
            for (unsigned cpu = node.first_cpu; cpu < node.first_cpu + node.cpus; ++cpu) {
                const std::string cpu_path = fmt::format("{}/cpu/cpu{}", root, cpu);
                tree_.add_link(fmt::format("{}/cpu{}", path, cpu), cpu_path);
                tree_.add_link(fmt::format("{}/node{}", cpu_path, i), path);
            }
        }
    }

    const BusLayout& layout_;
    CpuLists cpus_;
    std::vector<std::string> paths_;  // of the nodes
    FileTree tree_;
};

}  // namespace

Result<FileTree> machine_tree(const BusLayout& layout, const Images& images) {
    return TreeMaker(layout).make(images);
}

}  // namespace mimic::kernel_bus
