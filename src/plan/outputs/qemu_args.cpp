// SPDX-License-Identifier: Apache-2.0
// qemu_args(): QEMU's command line. Order matters to QEMU: root buses, then root ports, then what
// is plugged into them.
#include "outputs/qemu_args.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "topology/arch.h"

namespace mimic::outputs {
namespace {

/// That a device may take for an answer. QEMU's own 5 s are less than a busy host may stop a
/// process, or a simulator think; a device that is late is dead from then on.
constexpr unsigned kPatienceMs = 60'000;
constexpr size_t kMaxSocketPath = 107;  // sun_path is 108 bytes with its NUL

using Args = std::vector<std::string>;

/// A busy host may stop emulated CPUs, and their devices, for long.
bool may_be_emulated(const topology::Machine& machine) {
    return machine.accel != topology::Accel::kKvm;
}

/// A value inside "a=b,c=d" syntax, where a comma is doubled.
std::string escaped(std::string_view value) {
    std::string out;
    for (const char c : value) {
        out += c;
        if (c == ',') out += ',';
    }
    return out;
}

void add(Args& args, std::string option, std::string value) {
    args.push_back(std::move(option));
    args.push_back(std::move(value));
}

void add_machine(const topology::Machine& machine, const RunContext& context, Args& args) {
    std::string type(topology::facts_of(machine.arch).machine);
    if (machine.arch == topology::Arch::kRiscv64) type += ",aia=" + std::string(aia(machine));
    switch (context.accel) {
        case topology::Accel::kAuto:
            type += ",accel=kvm:tcg";
            break;
        case topology::Accel::kTcg:
            type += ",accel=tcg";
            break;
        case topology::Accel::kKvm:
            type += ",accel=kvm";
            break;
    }
    if (!machine.has_numa) type += ",memory-backend=mem0";
    for (const char* flag : {"-nodefaults", "-no-user-config", "-no-reboot", "-nographic"}) {
        args.emplace_back(flag);
    }
    add(args, "-name", fmt::format("guest={},debug-threads=on", machine.name));
    add(args, "-machine", type);
    add(args, "-cpu", "max");
    if (!context.pid_file.empty()) add(args, "-pidfile", context.pid_file);
    if (machine.time == topology::GuestTime::kHost) return;
    add(args, "-icount", std::string(kLockStepClock));
    add(args, "-seed", std::to_string(machine.seed));
    add(args, "-rtc", fmt::format("base={},clock=vm", kLockStepStart));
}

/// Memory is memfd with share=on: the vfio-user server maps it, so that DMA needs no messages.
void add_cpus_and_memory(const topology::Machine& machine, Args& args) {
    const CpuTopology cpus = cpu_topology(machine);
    add(args, "-m", fmt::format("{}M", machine.memory >> 20));
    add(args, "-smp",
        fmt::format("{},sockets={},cores={},threads=1", machine.cpus, cpus.sockets, cpus.cores));
    for (size_t i = 0; i < machine.nodes.size(); ++i) {
        add(args, "-object",
            fmt::format("memory-backend-memfd,id=mem{},size={},share=on", i,
                        machine.nodes[i].memory));
    }
    if (!machine.has_numa) return;
    for (size_t i = 0; i < machine.nodes.size(); ++i) {
        const topology::NumaNode& node = machine.nodes[i];
        std::string value = fmt::format("node,nodeid={},memdev=mem{}", i, i);
        if (node.cpus == 1) value += fmt::format(",cpus={}", node.first_cpu);
        if (node.cpus > 1) {
            value += fmt::format(",cpus={}-{}", node.first_cpu, node.first_cpu + node.cpus - 1);
        }
        add(args, "-numa", value);
    }
    for (size_t from = 0; from < machine.nodes.size(); ++from) {
        const auto& distances = machine.nodes[from].distances;
        for (size_t to = 0; to < distances.size(); ++to) {
            add(args, "-numa", fmt::format("dist,src={},dst={},val={}", from, to, distances[to]));
        }
    }
}

using OrderedJson = nlohmann::ordered_json;

std::string dumped(const OrderedJson& json) {
    return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

OrderedJson image_json(const char* format, const std::string& path, bool read_only) {
    OrderedJson json{{"driver", format}, {"file", {{"driver", "file"}, {"filename", path}}}};
    if (!read_only) return json;
    json["read-only"] = true;
    json["file"]["read-only"] = true;
    return json;
}

/// The disk's nodes, each named here: its format is not probed, a path is no URL, and where the
/// chain ends is not for an image's header to say.
std::string disk_json(const RunContext& context) {
    OrderedJson disk = image_json("qcow2", context.disk, false);
    disk["node-name"] = "disk";
    disk["backing"] = nullptr;
    if (!context.disk_base.empty()) {
        disk["backing"] = image_json("qcow2", context.disk_base, true);
        disk["backing"]["backing"] = nullptr;
    }
    return dumped(disk);
}

/// -drive, since -blockdev has no snapshot=on: QEMU writes to a file that has no name.
void add_root_disk(const RunContext& context, Args& args) {
    if (context.root_disk.empty()) return;
    add(args, "-drive",
        fmt::format("file={},format=raw,if=none,id=root,snapshot=on", escaped(context.root_disk)));
    add(args, "-device", "virtio-blk-pci,id=mimic-root,drive=root,bus=pcie.0,addr=0x3");
    if (context.root_files.empty()) return;
    OrderedJson files = image_json("raw", context.root_files, true);
    files["node-name"] = "files";
    add(args, "-blockdev", dumped(files));
    add(args, "-device", "virtio-blk-pci,id=mimic-files,drive=files,bus=pcie.0,addr=0x4");
}

void add_network(const GuestNetwork& network, Args& args) {
    if (network.subnet == 0) return;
    std::string netdev = fmt::format("user,id=net,net=10.0.{}.0/24", network.subnet);
    for (const GuestNetwork::Forward& forward : network.forwards)
        netdev += fmt::format(",hostfwd=tcp:127.0.0.1:{}-10.0.{}.15:{}", forward.host,
                              network.subnet, forward.guest);
    add(args, "-netdev", netdev);
    add(args, "-device", "virtio-net-pci,id=mimic-net,netdev=net,bus=pcie.0,addr=0x2,romfile=");
}

/// A shell command as one word of the kernel's command line: guest/init/init reads it with printf
/// %b.
std::string one_word(std::string_view command) {
    std::string out;
    for (const char c : command) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || (c != 0 && std::strchr("-_./,:;+@", c));
        if (plain) {
            out += c;
        } else {
            out += fmt::format("\\0{:03o}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

/// A folder of the host as a 9P file system. security_model=none: what the guest makes belongs to
/// QEMU's user, links are links (QEMU follows none on its way), and no right is needed. read-only
/// is what QEMU enforces, whatever the guest mounts.
void add_share(const std::string& tag, const std::string& folder, bool readonly, unsigned function,
               Args& args) {
    add(args, "-fsdev",
        fmt::format("local,id={},path={},security_model=none,multidevs=remap{}", tag,
                    escaped(folder), readonly ? ",readonly=on" : ""));
    add(args, "-device",
        fmt::format("virtio-9p-pci,id=mimic-{0},fsdev={0},mount_tag={0},bus=pcie.0,addr=0x5.{1}{2}",
                    tag, function, function == 0 ? ",multifunction=on" : ""));
}

/// All of them are functions of one slot. Linux looks for more where function 0 is, so the modules
/// are function 0 where there are any.
void add_shares(const topology::Machine& machine, const RunContext& context, Args& args) {
    unsigned function = 0;
    if (!context.modules_folder.empty())
        add_share("modules", context.modules_folder, true, function++, args);
    for (size_t i = 0; i < context.shared_folders.size() && i < machine.shares.size(); ++i)
        add_share(share_tag(i), context.shared_folders[i], machine.shares[i].readonly, function++,
                  args);
}

/// What guest/init/init does with disks and network.
std::string init_arguments(const RunContext& context) {
    std::string out;
    if (context.network.subnet != 0)
        out += fmt::format(" mimic.net=10.0.{}", context.network.subnet);
    if (!context.modules_folder.empty()) out += " mimic.modules=modules";
    if (context.root_disk.empty()) return out;
    out += " mimic.root=vda";
    if (!context.root_files.empty()) out += " mimic.files=vdb";
    return out;
}

/// OVMF in two flash chips: its program, and its variables.
void add_firmware(const RunContext& context, Args& args) {
    if (context.firmware_code.empty()) return;
    OrderedJson code = image_json("raw", context.firmware_code, true);
    code["node-name"] = "firmware";
    add(args, "-blockdev", dumped(code));
    OrderedJson variables = image_json("raw", context.firmware_variables, false);
    variables["node-name"] = "variables";
    add(args, "-blockdev", dumped(variables));
    add(args, "-machine", "pflash0=firmware,pflash1=variables");
}

void add_boot(const topology::Machine& machine, const RunContext& context, Args& args) {
    if (machine.kernel.image.empty()) {
        if (context.kernel.empty()) return;
        add(args, "-kernel", context.kernel);
        if (!context.initrd.empty()) add(args, "-initrd", context.initrd);
        add(args, "-append", boot_command_line(machine, context));
        add_root_disk(context, args);
        add_network(context.network, args);
        return;
    }
    add_firmware(context, args);
    add(args, "-blockdev", disk_json(context));
    add(args, "-device", "virtio-blk-pci,id=mimic-disk,drive=disk,bus=pcie.0,addr=0x3,bootindex=1");
    if (!context.seed_iso.empty()) {
        OrderedJson seed = image_json("raw", context.seed_iso, true);
        seed["node-name"] = "seed";
        add(args, "-blockdev", dumped(seed));
        add(args, "-device", "virtio-blk-pci,id=mimic-seed,drive=seed,bus=pcie.0,addr=0x4");
    }
    if (context.ssh_port != 0) {
        add(args, "-netdev",
            fmt::format("user,id=net,hostfwd=tcp:127.0.0.1:{}-:22", context.ssh_port));
        add(args, "-device", "virtio-net-pci,id=mimic-net,netdev=net,bus=pcie.0,addr=0x2,romfile=");
    }
}

/// Serial port 0 (socket and log, either or both), guest agent, QMP.
void add_channels(const topology::Machine& machine, const RunContext& context, Args& args) {
    const std::string log = context.console_log.empty()
                                ? ""
                                : fmt::format(",logfile={}{}", escaped(context.console_log),
                                              context.append_console ? ",logappend=on" : "");
    if (context.console_socket.empty()) {
        add(args, "-chardev", "null,id=console" + log);
    } else {
        add(args, "-chardev",
            fmt::format("socket,id=console,path={},server=on,wait=off{}",
                        escaped(context.console_socket), log));
    }
    add(args, "-serial", "chardev:console");
    add(args, "-monitor", "none");
    if (!context.qga_socket.empty()) {
        // An eventfd is looked at when the host's scheduler lets QEMU's main loop run, which is not
        // the same time of the guest's in each run.
        add(args, "-device",
            fmt::format("virtio-serial-pci,id=mimic-serial,bus=pcie.0,addr=0x1{}",
                        machine.time == topology::GuestTime::kLockStep ? ",ioeventfd=off" : ""));
        add(args, "-chardev",
            fmt::format("socket,id=qga,path={},server=on,wait=off", escaped(context.qga_socket)));
        add(args, "-device",
            "virtserialport,bus=mimic-serial.0,chardev=qga,name=org.qemu.guest_agent.0");
        // Who connects to a port interrupts the guest, at a time that no seed decides.
        if (!context.stream_socket.empty() && machine.time != topology::GuestTime::kLockStep) {
            add(args, "-chardev",
                fmt::format("socket,id=streams,path={},server=on,wait=off",
                            escaped(context.stream_socket)));
            add(args, "-device",
                "virtserialport,bus=mimic-serial.0,chardev=streams,name=org.mimic.streams.0");
        }
    }
    if (!context.gdb_socket.empty()) {
        add(args, "-chardev",
            fmt::format("socket,id=gdb,path={},server=on,wait=off", escaped(context.gdb_socket)));
        add(args, "-gdb", "chardev:gdb");
        if (context.gdb_waits) args.emplace_back("-S");
    }
    if (!context.qmp_socket.empty()) {
        add(args, "-chardev",
            fmt::format("socket,id=qmp,path={},server=on,wait=off", escaped(context.qmp_socket)));
        add(args, "-qmp", "chardev:qmp");  // -mon is deprecated since 11.1, monitor-qmp not in 10.1
    }
}

/// Expander buses, highest number first: QEMU describes them to ACPI in reverse order of creation,
/// and Linux, which probes in ACPI order, then finds devices in BDF order.
void add_host_buses(const topology::Machine& machine, Args& args) {
    for (auto bus = machine.host_buses.rbegin(); bus != machine.host_buses.rend(); ++bus) {
        if (!bus->numa_node) continue;
        add(args, "-device",
            fmt::format("pxb-pcie,id={},bus=pcie.0,addr={:#x},bus_nr={},numa_node={}", bus->id,
                        bus->pxb_slot, bus->number, *bus->numa_node));
    }
}

/// hotplug=off: QEMU 11.1 aborts when a vfio-user device with MSI-X is unplugged, and without it
/// firmware reserves no I/O windows, of which there are only 15 or so: io-reserve=0 keeps it from
/// that where something can be unplugged.
void add_root_ports(const topology::Machine& machine, const std::vector<QemuPort>& ports,
                    Args& args) {
    for (const QemuPort& one : ports) {
        const topology::DeviceSpec::RootPort& port = one.port;
        const bool shares_slot = std::any_of(
            ports.begin(), ports.end(), [&](const QemuPort& other) {
                return other.port.bdf.bus == port.bdf.bus &&
                       other.port.bdf.device == port.bdf.device && other.port.bdf.function > 0;
            });
        add(args, "-device",
            fmt::format("pcie-root-port,id={},bus={},addr={:#x}.{},chassis={},slot={},hotplug={},"
                        "x-speed={},x-width={}{}",
                        port.id, machine.host_buses[port.host_bus].id, port.bdf.device,
                        port.bdf.function, port.chassis, port.slot,
                        one.hotplug ? "on,io-reserve=0" : "off", root_port_speed(one.link),
                        one.link.width, shares_slot ? ",multifunction=on" : ""));
    }
}

std::optional<QemuVhost> vhost_of(const topology::DeviceSpec& device,
                                  const topology::FunctionSpec& function) {
    if (!device.is_vhost_user()) return std::nullopt;
    const model::VirtioFacts& facts = device.model->facts.virtio;
    return QemuVhost{facts.id, function.queues(), facts.queue_size, facts.config_bytes};
}

}  // namespace

std::string vhost_chardev(const QemuFunction& function, const std::string& socket_path) {
    return fmt::format("socket,id=vhost-{},path={}", function.name, escaped(socket_path));
}

/// APLIC and IMSIC are RISC-V's advanced interrupt architecture; without it the machine has a PLIC,
/// which knows no messages.
std::string_view aia(const topology::Machine& machine) {
    return machine.interrupts == topology::Interrupts::kMsi ? "aplic-imsic" : "none";
}

CpuTopology cpu_topology(const topology::Machine& machine) {
    constexpr unsigned kApicIds = 255;  // 8-bit APIC ids, but broadcast
    const unsigned cores = machine.nodes.front().cpus;
    const bool even = cores > 0 &&
                      std::all_of(machine.nodes.begin(), machine.nodes.end(),
                                  [&](const topology::NumaNode& n) { return n.cpus == cores; });
    const auto sockets = static_cast<unsigned>(machine.nodes.size());
    // Each socket takes a power of two of APIC ids. Odd shapes get a socket for each CPU.
    if (even && sockets * std::bit_ceil(cores) <= kApicIds) return {sockets, cores};
    return {machine.cpus, 1};
}

std::vector<QemuPort> qemu_ports(const topology::Machine& machine) {
    std::vector<QemuPort> out;
    for (const topology::DeviceSpec& device : machine.devices) {
        if (device.on_fabric) continue;
        QemuPort one{.port = device.port,
                     .link = device.link,
                     .functions = {},
                     .hotplug = device.is_vhost_user()};
        for (const topology::FunctionSpec& function : device.functions) {
            one.functions.push_back(
                {.name = function.name,
                 .bdf = function.bdf,
                 .multifunction = function.bdf.function == 0 && device.functions.size() > 1,
                 .vhost = vhost_of(device, function),
                 .patient = may_be_emulated(machine)});
        }
        out.push_back(std::move(one));
    }
    for (const topology::FabricSpec& fabric : machine.fabrics) {
        out.push_back(
            {.port = fabric.port,
             .link = {},
             .functions = {
                 {.name = fabric.name, .bdf = fabric.bdf, .patient = may_be_emulated(machine)}}});
    }
    return out;
}

Status check_sockets(const topology::Machine& machine, const RunContext& context) {
    for (const QemuPort& port : qemu_ports(machine)) {
        for (const QemuFunction& function : port.functions) {
            const auto found = context.device_sockets.find(function.name);
            if (found == context.device_sockets.end() || found->second.empty()) {
                return fail(std::errc::invalid_argument, "{}: function {} has no socket",
                            machine.name, function.name);
            }
            if (found->second.size() > kMaxSocketPath) {
                return fail(std::errc::filename_too_long,
                            "{}: socket path of {} has {} bytes, at most {} are possible: {}",
                            machine.name, function.name, found->second.size(), kMaxSocketPath,
                            found->second);
            }
        }
    }
    return {};
}

std::string boot_command_line(const topology::Machine& machine, const RunContext& context) {
    return kernel_command_line(machine) + init_arguments(context);
}

std::vector<std::string> share_options(const topology::Machine& machine,
                                       const RunContext& context) {
    Args args;
    add_shares(machine, context, args);
    return args;
}

std::string function_device_json(const std::string& port_id, const QemuFunction& function,
                                 const std::string& socket_path) {
    nlohmann::ordered_json json;
    json["driver"] = function.vhost ? "vhost-user-test-device-pci" : "vfio-user-pci";
    json["id"] = "dev-" + function.name;
    json["bus"] = port_id;
    json["addr"] = fmt::format("{}.{}", function.bdf.device, function.bdf.function);
    if (function.multifunction) json["multifunction"] = true;
    if (!function.vhost) {
        json["socket"] = {{"type", "unix"}, {"path", socket_path}};
        if (function.patient) json["x-msg-timeout"] = kPatienceMs;
    } else {
        // Feature bits, among them packed and in_order, are the backend's to offer.
        json["chardev"] = "vhost-" + function.name;
        json["virtio-id"] = function.vhost->virtio_id;
        json["num_vqs"] = function.vhost->queues;
        json["vq_size"] = function.vhost->queue_size;
        json["config_size"] = function.vhost->config_bytes;
    }
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string root_port_speed(const topology::Link& link) {
    std::string speed(link.gigatransfers());
    std::replace(speed.begin(), speed.end(), '.', '_');
    return speed;
}

std::string share_tag(size_t index) {
    return fmt::format("share{}", index);
}

/// iomem=relaxed: Debian's CONFIG_IO_STRICT_DEVMEM would refuse mmap of resource0 while a driver is
/// bound, and `mimic verify` reads registers both ways. panic=-1 with -no-reboot: a guest that
/// panics ends QEMU. quiet: printing the boot's messages through an emulated UART is a tenth of the
/// boot's time; `kernel_args: loglevel=7` brings them back. The other two skip self tests that tell
/// nothing about a described machine. mimic.hostname is for the initramfs. The watchdogs of an
/// emulated CPU get the most that Linux allows: by default they take a host that is busy for 12 s
/// for a guest that is stuck. pcie_ports=native: no firmware hands the ports of a fabric to Linux,
/// which then would leave AER and hot-plug alone.
std::string kernel_command_line(const topology::Machine& machine) {
    std::string out = fmt::format(
        "console=ttyS0 panic=-1 iomem=relaxed quiet cryptomgr.notests {}mimic.hostname={}",
        machine.arch == topology::Arch::kX86_64 ? "no_timer_check " : "", machine.name);
    if (may_be_emulated(machine)) out += " watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=300";
    if (!machine.fabrics.empty()) out += " pcie_ports=native";
    for (size_t i = 0; i < machine.shares.size(); ++i)
        out += fmt::format(" mimic.share={}:{}:{}", share_tag(i),
                           machine.shares[i].readonly ? "ro" : "rw", machine.shares[i].guest);
    if (!machine.kernel.args.empty()) out += " " + machine.kernel.args;
    if (!machine.kernel.run.empty()) out += " mimic.run=" + one_word(machine.kernel.run);
    return out;
}

Result<std::vector<std::string>> qemu_args(const topology::Machine& machine,
                                           const RunContext& context) {
    MIMIC_TRY(check_sockets(machine, context));
    Args args;
    add_machine(machine, context, args);
    add_cpus_and_memory(machine, args);
    add_boot(machine, context, args);
    add_shares(machine, context, args);
    add_channels(machine, context, args);
    add_host_buses(machine, args);
    const std::vector<QemuPort> ports = qemu_ports(machine);
    add_root_ports(machine, ports, args);
    for (const QemuPort& port : ports) {
        for (const QemuFunction& function : port.functions) {
            const std::string& socket = context.device_sockets.at(function.name);
            if (function.vhost) add(args, "-chardev", vhost_chardev(function, socket));
            add(args, "-device", function_device_json(port.port.id, function, socket));
        }
    }
    args.insert(args.end(), context.extra_qemu_args.begin(), context.extra_qemu_args.end());
    return args;
}

}  // namespace mimic::outputs
