// SPDX-License-Identifier: Apache-2.0
// `mimic gdb`: a debugger for a guest's kernel, by QEMU's gdb stub on a socket in the machine's
// folder (`mimic up --gdb`).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mimic::machine {

/// Whether a debugger may attach to a guest's CPUs.
enum class Gdb : uint8_t {
    kNo,
    kYes,
    kWait,  // the CPUs begin when one says so
};

std::string gdb_socket_path(const std::string& run_dir);

struct GdbOptions {
    std::string symbols;  // a vmlinux; empty: the one that is found, if any
    std::string program;  // the debugger; empty: gdb, gdb-multiarch for a foreign architecture
    std::vector<std::string> arguments;  // of the debugger, before ours
};

/// Becomes gdb, attached to the machine `name`, with the kernel's symbols if they are here: of
/// Debian's linux-image-RELEASE-dbg, or the vmlinux above a kernel of the user's own. Says what is
/// missing. Returns only on failure: 1.
int run_gdb(const std::string& name, const GdbOptions& options);

/// The file with symbols of the kernel `kernel` ("6.1", or the path of a bzImage) of an
/// architecture as Debian calls it (amd64), below `debug_root`; empty: none is here. Of several
/// releases of a series the newest by name.
std::string find_symbols(const std::string& kernel, const std::string& debian_arch,
                         const std::string& debug_root = "/usr/lib/debug/boot");

}  // namespace mimic::machine
