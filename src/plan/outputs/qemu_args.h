// SPDX-License-Identifier: Apache-2.0
// Pieces of QEMU's command line that the libvirt domain needs too.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "outputs/outputs.h"
#include "topology/model.h"

namespace mimic::outputs {

/// CPU sockets and cores per socket, so that a NUMA node boundary is a socket boundary.
struct CpuTopology {
    unsigned sockets = 1;
    unsigned cores = 1;
};
CpuTopology cpu_topology(const topology::Machine& machine);

/// Value of `aia` of a riscv64 machine: whether it has an interrupt controller that takes messages.
std::string_view aia(const topology::Machine& machine);

/// Of a guest in lock-step. An instruction takes 4 ns (arbitrary), and a clock that has nothing to
/// wait for jumps to its next timer.
inline constexpr std::string_view kLockStepClock = "shift=2,sleep=off";
/// The time of day at which it starts, always the same.
inline constexpr std::string_view kLockStepStart = "2026-01-01T00:00:00";
inline constexpr long kLockStepStartSeconds = 1767225600;  // the same as Unix time

/// What QEMU must know to be the PCI function in front of a vhost-user backend.
struct QemuVhost {
    uint16_t virtio_id = 0;
    unsigned queues = 0;
    uint16_t queue_size = 0;
    uint32_t config_bytes = 0;
};

/// A function that QEMU sees, with a socket of its own: one of an endpoint, or the VMD endpoint of
/// a fabric; by vfio-user, or with `vhost` by vhost-user.
struct QemuFunction {
    std::string name;  // its key in RunContext::device_sockets
    topology::Bdf bdf;
    bool multifunction = false;  // function 0 of several
    std::optional<QemuVhost> vhost{};
    bool patient = false;  // QEMU waits a minute for an answer, not its 5 s: no `accel: kvm`
};

/// A root port of QEMU's and what is plugged into it.
struct QemuPort {
    topology::DeviceSpec::RootPort port;
    topology::Link link;
    std::vector<QemuFunction> functions;
    bool hotplug = false;  // device_del and device_add work
};

/// All root ports: endpoints' in file order, then fabrics'.
std::vector<QemuPort> qemu_ports(const topology::Machine& machine);

/// The socket of each QEMU function exists in `context` and fits into sockaddr_un.
Status check_sockets(const topology::Machine& machine, const RunContext& context);

/// `-chardev` of a function with `vhost`. Without reconnect: QEMU 11.1's generic vhost-user device
/// asks its socket when it is made, before a chardev that reconnects has connected, and aborts when
/// such a chardev does reconnect (vhost_dev_start() of what vhost_dev_cleanup() has emptied).
/// Whoever starts a backend anew unplugs the device, and plugs it with another chardev.
std::string vhost_chardev(const QemuFunction& function, const std::string& socket_path);

/// `-device` JSON of one function that is plugged into the root port called `port_id`; one with
/// `vhost` needs its vhost_chardev() before it.
std::string function_device_json(const std::string& port_id, const QemuFunction& function,
                                 const std::string& socket_path);

/// What add_boot() passes as the kernel's command line: kernel_command_line() and what guest/init
/// does with the disks, folders and network of `context`.
std::string boot_command_line(const topology::Machine& machine, const RunContext& context);

/// Options for the shared folders of `context`, the modules' among them.
std::vector<std::string> share_options(const topology::Machine& machine, const RunContext& context);

/// Value of pcie-root-port's x-speed property: "2_5", "5", "8", "16", "32" or "64".
std::string root_port_speed(const topology::Link& link);

}  // namespace mimic::outputs
