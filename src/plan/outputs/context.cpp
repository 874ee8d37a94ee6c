// SPDX-License-Identifier: Apache-2.0
// default_context(): the layout of a machine's run directory.
#include <fmt/format.h>

#include "outputs/outputs.h"
#include "topology/arch.h"

namespace mimic::outputs {

RunContext default_context(const topology::Machine& machine, const std::string& run_dir) {
    RunContext out;
    out.accel = machine.accel;
    out.qemu = fmt::format("qemu-system-{}", topology::facts_of(machine.arch).name);
    for (const topology::FabricSpec& fabric : machine.fabrics) {
        out.device_sockets[fabric.name] = run_dir + "/" + fabric.name + ".sock";
    }
    for (const topology::DeviceSpec& device : machine.devices) {
        if (device.on_fabric) continue;
        for (const topology::FunctionSpec& function : device.functions) {
            const bool runs = function.external && !function.external->socket.empty();
            out.device_sockets[function.name] = runs ? function.external->socket
                                                     : run_dir + "/" + function.name + ".sock";
        }
    }
    if (machine.kernel.image.empty()) {
        out.kernel = machine.kernel.is_own() ? machine.kernel.file.path : run_dir + "/vmlinuz";
        out.initrd = run_dir + "/initrd";
    } else {
        out.disk = run_dir + "/disk.qcow2";
        out.disk_base = machine.kernel.image;
        out.seed_iso = run_dir + "/seed.iso";
        if (machine.kernel.firmware == topology::Firmware::kUefi) {
            out.firmware_code = "/usr/share/OVMF/OVMF_CODE_4M.fd";  // Debian's ovmf
            out.firmware_variables = run_dir + "/uefi-variables.fd";
        }
        out.ssh_port = 2222;
    }
    for (const topology::Share& share : machine.shares)
        out.shared_folders.push_back(share.host.path);
    out.qmp_socket = run_dir + "/qmp.sock";
    out.qga_socket = run_dir + "/qga.sock";
    out.stream_socket = run_dir + "/vport.sock";
    out.console_socket = run_dir + "/console.sock";
    out.console_log = run_dir + "/console.log";
    out.pid_file = run_dir + "/qemu.pid";
    return out;
}

}  // namespace mimic::outputs
