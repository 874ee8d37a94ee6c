// SPDX-License-Identifier: Apache-2.0
// `mimic serve`: the devices and fabrics of a machine of a topology file, on a host::Server.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "host/loop_trace.h"

namespace mimic::device_host {

struct ServeOptions {
    std::string file;
    std::string folder{};              // where relative paths in it begin; empty: the file's own
    bool allow_commands = false;       // devices may start programs that it names
    std::string machine;               // may be empty if the file has one
    std::vector<std::string> devices;  // names of devices; empty: all
    std::string run_dir = ".";         // sockets are <run_dir>/<function>.sock
    unsigned threads = 0;              // 0: by the number of CPUs and devices
    unsigned spin_us = 50;             // host::kDefaultSpin; 0: sleep at once
    unsigned message_timeout_s = 60;   // vfio_user::Session::Options::message_timeout
    int ready_fd = -1;    // gets "ready N\n" and is closed once all are served; -1: stdout
    std::string control;  // socket of the control API; empty: none

    uint64_t trace_bytes = host::kDefaultTraceBytes;  // of each loop's ring; 0: none until asked
                                                      // for
    std::string dump_dir{};  // where rings go when a fault strikes; empty: nowhere
};

/// The file in `run_dir` with which a device host says that it, process `pid`, dies by an injected
/// fault: its supervisor then keeps the machine, so that the guest notices.
std::string crash_note_path(const std::string& run_dir, pid_t pid);

/// The control socket of device host `index` of a machine.
std::string control_socket_path(const std::string& run_dir, size_t index);

/// `mimic serve`: serves until SIGTERM or SIGINT; returns the exit status. Main thread only.
int run_serve(const ServeOptions& options);

}  // namespace mimic::device_host
