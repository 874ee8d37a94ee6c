// SPDX-License-Identifier: Apache-2.0
// What is made of a validated topology: QEMU's arguments, libvirt's XML, the expected tree, a
// picture. docs/topology.md describes each. All functions are pure and thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "topology/model.h"

namespace mimic::outputs {

/// A network of QEMU's own, which needs no rights on the host: 10.0.<subnet>.0/24, the guest is
/// .15, the host's loopback interface .2, and what lies beyond is reached through the host.
struct GuestNetwork {
    unsigned subnet = 0;  // 1 .. 255, another in each machine that must tell the guests apart; 0:
                          // no network
    /// Ports of the host's 127.0.0.1 that lead to ports of the guest.
    struct Forward {
        uint16_t host = 0;
        uint16_t guest = 0;
    };
    std::vector<Forward> forwards{};
};

/// Where the parts of one running machine are. Paths are taken as they are and may hold any
/// character but NUL.
struct RunContext {
    std::string qemu = "qemu-system-x86_64";
    topology::Accel accel = topology::Accel::kTcg;  // kTcg or kKvm; kAuto lets QEMU try KVM, then
                                                    // TCG

    /// vfio-user socket by name of function or fabric. Each function of an endpoint and each fabric
    /// of the machine needs one.
    std::map<std::string, std::string> device_sockets;

    std::string kernel;  // bzImage and initramfs of a direct boot; ignored if the machine boots an
                         // image
    std::string initrd;
    std::string disk;  // qcow2 of a machine that boots an image: what the guest writes. Needs to
                       // name no base itself
    std::string disk_base;  // the image below it, which stands alone and is only read
    std::string seed_iso;   // cloud-init seed; empty: none
    /// Of a machine with firmware: uefi: the program, which is only read, and its variables, which
    /// the guest writes.
    std::string firmware_code{};
    std::string firmware_variables{};
    uint16_t ssh_port = 0;  // host port forwarded to the guest's 22 (image boot); 0: no network

    // Of a direct boot; a machine that boots an image has a disk and a network of its own.
    std::string root_disk;   // raw ext4 that the guest makes its root; what it writes to it is
                             // thrown away. Empty: the initramfs stays the root
    std::string root_files;  // tar archive, a multiple of 512 bytes, that is unpacked onto it first
    GuestNetwork network;

    /// Folders of the host for Machine::shares, in their order, and one of kernel modules that the
    /// guest sees below /lib/modules; empty: none.
    std::vector<std::string> shared_folders{};
    std::string modules_folder{};

    std::string qmp_socket;       // each empty: QEMU gets no such channel
    std::string qga_socket;       // qemu-guest-agent's virtio port org.qemu.guest_agent.0
    std::string stream_socket;    // virtio port org.mimic.streams.0; never of a guest in lock-step
    std::string console_socket;   // serial port 0, for an interactive console
    std::string console_log;      // everything serial port 0 prints
    bool append_console = false;  // to what is there; needed if somebody shortens it meanwhile
    std::string gdb_socket;       // where a debugger attaches to the CPUs; not TCP, which is open
                                  // to all users
    bool gdb_waits = false;       // the CPUs begin when one says so
    std::string pid_file;

    std::vector<std::string> extra_qemu_args;  // appended as they are

    std::string serve_command;  // of a shell, which serves its devices; empty: one with FILE in it
};

/// A context with the paths that `mimic up` uses for `machine` in `run_dir` (docs/topology.md has
/// the table):
/// `<run_dir>/<function or fabric>.sock`, `qmp.sock`, `qga.sock`, `vport.sock`, `console.sock`,
/// `console.log`, `qemu.pid`, `vmlinuz`, `initrd`, `disk.qcow2`, `seed.iso`. The last four are
/// there after `mimic plan --prepare` alone.
RunContext default_context(const topology::Machine& machine, const std::string& run_dir);

/// QEMU's arguments, without the program itself. Fails if a function of an endpoint or a fabric has
/// no socket, or a socket path does not fit into sockaddr_un (107 bytes).
Result<std::vector<std::string>> qemu_args(const topology::Machine& machine,
                                           const RunContext& context);

/// The name by which a guest mounts the share with that number of its machine.
std::string share_tag(size_t index);

/// The kernel command line that qemu_args() passes for a direct boot.
std::string kernel_command_line(const topology::Machine& machine);

/// The same as a command of a shell, one option a line. Errors: those of qemu_args().
Result<std::string> qemu_command(const topology::Machine& machine, const RunContext& context);

/// A libvirt domain for `virsh define`, of the same user as who serves its devices. Of the sockets
/// in `context` only those of devices are in it: libvirt makes its own. Without a kernel, or
/// without the seed of an image, its description says that there is nothing to boot. Same failures
/// as qemu_args().
Result<std::string> libvirt_xml(const topology::Machine& machine, const RunContext& context);

/// The expected device tree as JSON text: what `mimic verify` compares a guest with. Stable: see
/// docs/topology.md.
std::string tree_json(const topology::Model& model);

/// The PCIe tree by NUMA node as an SVG document.
std::string picture_svg(const topology::Model& model);

enum class Format : uint8_t { kQemu, kLibvirt, kTree, kSvg, kTable };

/// "qemu", "libvirt", "tree", "svg" or "table"; fails with the list of names.
Result<Format> parse_format(std::string_view name);

/// QEMU's program for guests of each architecture.
using QemuPrograms = std::map<topology::Arch, std::string>;

/// `mimic plan`: the model in one format; kTable is plan_table(). kQemu and kLibvirt use
/// default_context() below `run_root`
/// (`<run_root>/<machine>`) and the programs `qemu` by architecture (none: the one in PATH). kQemu
/// is shell syntax, one option a line, and several machines are printed one after another, each
/// under a comment with its name, and the first says that what they name is yet to be made.
/// kLibvirt is one domain without that: kernel, initrd, cloud-init seed. Errors: those of
/// qemu_args(); invalid_argument for kLibvirt and several machines.
Result<std::string> render(const topology::Model& model, Format format, const std::string& run_root,
                           const QemuPrograms& qemu = {});

}  // namespace mimic::outputs
