// SPDX-License-Identifier: Apache-2.0
// libvirt_xml(): a domain for libvirt >= 8.2 with QEMU >= 10.1. libvirt has no element for
// vfio-user, and none for a vhost-user device of any kind, so the devices are in qemu:commandline,
// plugged into root ports that libvirt made; it calls the bus of PCI controller N "pci.N".
#include <fmt/format.h>

#include "outputs/qemu_args.h"
#include "outputs/shell_text.h"
#include "outputs/xml_text.h"
#include "topology/arch.h"

namespace mimic::outputs {
namespace {

constexpr std::string_view kQemuNamespace = "http://libvirt.org/schemas/domain/qemu/1.0";

/// libvirt's index of each PCI controller: 0 is pcie.0, then the expanders, then the root ports.
/// Expanders with higher bus numbers come first, for the reason that qemu_args.cpp gives.
struct ControllerIndexes {
    explicit ControllerIndexes(const topology::Machine& machine_in) : machine(machine_in) {}

    size_t bus(size_t host_bus) const {
        return host_bus == 0 ? 0 : machine.host_buses.size() - host_bus;
    }
    size_t port(size_t qemu_port) const { return machine.host_buses.size() + qemu_port; }

    const topology::Machine& machine;  // outlives this: both live in one call
};

std::string address(const topology::Bdf& bdf, size_t bus) {
    return fmt::format(
        "      <address type='pci' domain='0x0000' bus='0x{:02x}' slot='0x{:02x}' "
        "function='0x{}'/>\n",
        bus, bdf.device, bdf.function);
}

/// What somebody has to do besides `virsh define`. An element and no comment, since libvirt drops
/// those, and command lines have the "--" that XML forbids in them.
std::string description(const topology::Machine& machine, const RunContext& context) {
    std::string text;
    if (!context.device_sockets.empty()) {
        const std::string& socket = context.device_sockets.begin()->second;
        text += "Serve its devices first: ";
        text += !context.serve_command.empty()
                    ? context.serve_command
                    : fmt::format("mimic serve FILE --machine {} --run-dir {}", machine.name,
                                  shell_quoted(socket.substr(0, socket.rfind('/'))));
        text += ". ";
    }
    if (!machine.kernel.image.empty() ? context.seed_iso.empty() : context.kernel.empty()) {
        text += fmt::format(
            "It has nothing to boot yet, which mimic plan FILE --machine {} "
            "--prepare DIR makes, and another domain with it. ",
            machine.name);
    }
    text += "It needs QEMU 10.1 or newer, with vfio-user-pci.";
    return fmt::format("  <description>{}</description>\n", escape_xml(text));
}

std::string memory_and_cpus(const topology::Machine& machine) {
    const CpuTopology cpus = cpu_topology(machine);
    std::string out = fmt::format(
        "  <memory unit='KiB'>{}</memory>\n"
        "  <memoryBacking>\n    <source type='memfd'/>\n    <access mode='shared'/>\n"
        "  </memoryBacking>\n  <vcpu placement='static'>{}</vcpu>\n",
        machine.memory >> 10, machine.cpus);
    out += fmt::format(
        "  <cpu mode='maximum'>\n    <topology sockets='{}' cores='{}' threads='1'/>\n",
        cpus.sockets, cpus.cores);
    if (machine.has_numa) out += "    <numa>\n";
    for (size_t i = 0; machine.has_numa && i < machine.nodes.size(); ++i) {
        const topology::NumaNode& node = machine.nodes[i];
        std::string set;
        if (node.cpus > 0) {
            set = fmt::format(" cpus='{}-{}'", node.first_cpu, node.first_cpu + node.cpus - 1);
        }
        out += fmt::format("      <cell id='{}'{} memory='{}' unit='KiB' memAccess='shared'", i,
                           set, node.memory >> 10);
        if (node.distances.empty()) {
            out += "/>\n";
            continue;
        }
        out += ">\n        <distances>\n";
        for (size_t to = 0; to < node.distances.size(); ++to) {
            out += fmt::format("          <sibling id='{}' value='{}'/>\n", to, node.distances[to]);
        }
        out += "        </distances>\n      </cell>\n";
    }
    if (machine.has_numa) out += "    </numa>\n";
    return out + "  </cpu>\n";
}

std::string os(const topology::Machine& machine, const RunContext& context) {
    const topology::ArchFacts& facts = topology::facts_of(machine.arch);
    std::string out = fmt::format("  <os>\n    <type arch='{}' machine='{}'>hvm</type>\n",
                                  facts.name, facts.machine);
    if (machine.kernel.image.empty() && !context.kernel.empty()) {
        out += fmt::format("    <kernel>{}</kernel>\n", escape_xml(context.kernel));
        if (!context.initrd.empty()) {
            out += fmt::format("    <initrd>{}</initrd>\n", escape_xml(context.initrd));
        }
        out += fmt::format("    <cmdline>{}</cmdline>\n",
                           escape_xml(boot_command_line(machine, context)));
    }
    if (!context.firmware_code.empty()) {
        out += fmt::format(
            "    <loader readonly='yes' type='pflash'>{}</loader>\n    <nvram>{}</nvram>\n",
            escape_xml(context.firmware_code), escape_xml(context.firmware_variables));
    }
    out += "  </os>\n";
    // riscv64 needs firmware of its own for ACPI, and has no APIC.
    if (machine.arch == topology::Arch::kX86_64)
        out += "  <features>\n    <acpi/>\n    <apic/>\n  </features>\n";
    if (machine.time == topology::GuestTime::kLockStep) {
        out += fmt::format(
            "  <clock offset='absolute' start='{}'>\n    <timer name='rtc' track='guest'/>\n"
            "  </clock>\n",
            kLockStepStartSeconds);
    }
    return out + "  <on_reboot>destroy</on_reboot>\n  <on_crash>destroy</on_crash>\n";
}

/// No USB: libvirt would add a controller, on a root port whose bus shifts all that come behind.
std::string controllers(const topology::Machine& machine, const ControllerIndexes& indexes) {
    std::string out =
        "    <controller type='usb' index='0' model='none'/>\n"
        "    <controller type='pci' index='0' model='pcie-root'/>\n";
    for (size_t i = machine.host_buses.size(); i-- > 0;) {
        const topology::HostBus& bus = machine.host_buses[i];
        if (!bus.numa_node) continue;
        out += fmt::format(
            "    <controller type='pci' index='{}' model='pcie-expander-bus'>\n"
            "      <model name='pxb-pcie'/>\n"
            "      <target busNr='{}'>\n        <node>{}</node>\n      </target>\n",
            indexes.bus(i), bus.number, *bus.numa_node);
        out += address({0, 0, bus.pxb_slot, 0}, 0) + "    </controller>\n";
    }
    const std::vector<QemuPort> ports = qemu_ports(machine);
    for (size_t i = 0; i < ports.size(); ++i) {
        const topology::DeviceSpec::RootPort& port = ports[i].port;
        out += fmt::format(
            "    <controller type='pci' index='{}' model='pcie-root-port'>\n"
            "      <model name='pcie-root-port'/>\n"
            "      <target chassis='{}' port='0x{:x}' hotplug='{}'/>\n",
            indexes.port(i), port.chassis, port.chassis & 0xff, ports[i].hotplug ? "on" : "off");
        out += address(port.bdf, indexes.bus(port.host_bus)) + "    </controller>\n";
    }
    return out;
}

/// The image below the disk. Named here, for the disk names none: what it says would be believed.
std::string backing(const RunContext& context) {
    if (context.disk_base.empty()) return {};
    return fmt::format(
        "      <backingStore type='file'>\n        <format type='qcow2'/>\n"
        "        <source file='{}'/>\n        <backingStore/>\n      </backingStore>\n",
        escape_xml(context.disk_base));
}

std::string disks(const topology::Machine& machine, const RunContext& context) {
    if (machine.kernel.image.empty()) return {};
    std::string out = fmt::format(
        "    <disk type='file' device='disk'>\n      <driver name='qemu' type='qcow2'/>\n"
        "      <source file='{}'/>\n{}      <target dev='vda' bus='virtio'/>\n      <boot "
        "order='1'/>\n",
        escape_xml(context.disk), backing(context));
    out += address({0, 0, 3, 0}, 0) + "    </disk>\n";
    if (!context.seed_iso.empty()) {
        out += fmt::format(
            "    <disk type='file' device='disk'>\n      <driver name='qemu' type='raw'/>\n"
            "      <source file='{}'/>\n      <target dev='vdb' bus='virtio'/>\n      "
            "<readonly/>\n",
            escape_xml(context.seed_iso));
        out += address({0, 0, 4, 0}, 0) + "    </disk>\n";
    }
    out += "    <interface type='user'>\n      <model type='virtio'/>\n      <rom enabled='no'/>\n";
    return out + address({0, 0, 2, 0}, 0) + "    </interface>\n";
}

/// Serial port 0 is a terminal, which `virsh console` wants. The agent's channel has no path:
/// libvirt makes one, and talks to the agent itself.
std::string channels(const topology::Machine& machine, const RunContext& context) {
    std::string out = "    <serial type='pty'>\n";
    if (!context.console_log.empty()) {
        out += fmt::format("      <log file='{}' append='off'/>\n",
                           escape_xml(context.console_log));
    }
    out += fmt::format("      <target type='{}' port='0'/>\n    </serial>\n",
                       machine.arch == topology::Arch::kX86_64 ? "isa-serial" : "system-serial");
    out += "    <controller type='virtio-serial' index='0'>\n" + address({0, 0, 1, 0}, 0) +
           "    </controller>\n";
    return out +
           "    <channel type='unix'>\n      <source mode='bind'/>\n"
           "      <target type='virtio' name='org.qemu.guest_agent.0'/>\n    </channel>\n";
}

/// Options of QEMU's that libvirt has no element for.
std::vector<std::string> bare_options(const topology::Machine& machine) {
    std::vector<std::string> out;
    if (machine.arch == topology::Arch::kRiscv64)
        out.insert(out.end(), {"-machine", fmt::format("aia={}", aia(machine))});
    if (machine.time == topology::GuestTime::kLockStep) {
        out.insert(out.end(),
                   {"-icount", std::string(kLockStepClock), "-seed", std::to_string(machine.seed)});
    }
    return out;
}

/// The vfio-user devices, and link speed and width, for which libvirt has no attribute.
std::string qemu_parts(const topology::Machine& machine, const RunContext& context,
                       const ControllerIndexes& indexes) {
    const std::vector<QemuPort> ports = qemu_ports(machine);
    std::vector<std::string> options = bare_options(machine);
    const std::vector<std::string> shares = share_options(machine, context);
    options.insert(options.end(), shares.begin(), shares.end());
    if (ports.empty() && options.empty()) return {};
    std::string out = "  <qemu:commandline>\n";
    for (const std::string& option : options)
        out += fmt::format("    <qemu:arg value='{}'/>\n", escape_xml(option));
    for (size_t i = 0; i < ports.size(); ++i) {
        const std::string port_id = fmt::format("pci.{}", indexes.port(i));
        for (const QemuFunction& function : ports[i].functions) {
            const std::string& socket = context.device_sockets.at(function.name);
            if (function.vhost)
                out += fmt::format("    <qemu:arg value='-chardev'/>\n    <qemu:arg value='{}'/>\n",
                                   escape_xml(vhost_chardev(function, socket)));
            const std::string json = function_device_json(port_id, function, socket);
            out += fmt::format("    <qemu:arg value='-device'/>\n    <qemu:arg value='{}'/>\n",
                               escape_xml(json));
        }
    }
    out += "  </qemu:commandline>\n";
    const bool exact = machine.time == topology::GuestTime::kLockStep;
    if (ports.empty() && !exact) return out;
    out += "  <qemu:override>\n";
    if (exact) {
        out +=
            "    <qemu:device alias='virtio-serial0'>\n      <qemu:frontend>\n"
            "        <qemu:property name='ioeventfd' type='bool' value='false'/>\n"
            "      </qemu:frontend>\n    </qemu:device>\n";
    }
    for (size_t i = 0; i < ports.size(); ++i) {
        const topology::Link& link = ports[i].link;
        out += fmt::format(
            "    <qemu:device alias='pci.{}'>\n      <qemu:frontend>\n"
            "        <qemu:property name='x-speed' type='string' value='{}'/>\n"
            "        <qemu:property name='x-width' type='string' value='{}'/>\n"
            "      </qemu:frontend>\n    </qemu:device>\n",
            indexes.port(i), root_port_speed(link), link.width);
    }
    return out + "  </qemu:override>\n";
}

}  // namespace

Result<std::string> libvirt_xml(const topology::Machine& machine, const RunContext& context) {
    MIMIC_TRY(check_sockets(machine, context));
    const ControllerIndexes indexes(machine);
    std::string out = fmt::format("<domain type='{}' xmlns:qemu='{}'>\n  <name>{}</name>\n",
                                  context.accel == topology::Accel::kKvm ? "kvm" : "qemu",
                                  kQemuNamespace, machine.name);
    out += description(machine, context) + memory_and_cpus(machine) + os(machine, context) +
           "  <devices>\n";
    if (context.qemu.starts_with('/')) {
        out += fmt::format("    <emulator>{}</emulator>\n", escape_xml(context.qemu));
    }
    out += controllers(machine, indexes) + disks(machine, context) + channels(machine, context);
    out +=
        "    <memballoon model='none'/>\n    <video>\n      <model type='none'/>\n    </video>\n"
        "  </devices>\n";
    return out + qemu_parts(machine, context, indexes) + "</domain>\n";
}

}  // namespace mimic::outputs
