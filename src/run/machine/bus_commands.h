// SPDX-License-Identifier: Apache-2.0
// `mimic tree` and `mimic kernel`, as functions that return the process's exit status and print
// what went wrong to stderr.
#pragma once

#include <string>

#include "kernel_bus/kernel_plan.h"

namespace mimic::machine {

/// Virtual functions to enable: a number, or as many as there are.
inline constexpr unsigned kAllVfs = ~0U;

struct TreeOptions {
    std::string file;     // topology, "-": standard input
    std::string dir;      // folder to write
    std::string machine;  // empty: the only one
    unsigned vfs = 0;     // of each PF
    bool force = false;
};

/// 0, or 1 after an error.
int run_tree(const TreeOptions& options);

struct KernelOptions {
    std::string file;     // topology, "-": standard input
    std::string machine;  // empty: the only one
    kernel_bus::KernelPlanOptions plan;
    std::string module;         // path of fake-sriov-vgpu.ko; empty: modprobe finds it
    std::string driver_module;  // path of the model's driver; the same
    std::string probe;    // verify: what guest/init/probe printed, "-": standard input; empty:
                          // run it here
    bool json = false;    // verify, up, down, status
    std::string junit{};  // verify: file for a report; empty: none
};

/// `mimic kernel plan`: prints the script that makes and removes the buses. 0 or 1.
int run_kernel_plan(const KernelOptions& options);

/// `mimic kernel up`, `down`, `status`: becomes /bin/sh with that script and `action`, so its exit
/// status is the script's, and a signal makes it roll back. Returns only after an error: 1.
int run_kernel_script(const KernelOptions& options, const std::string& action);

/// The same with what became of the buses as a document (docs/reference/json.md): the script runs
/// as a child, which gets our signals. 0, 1, 128 + signal; for `status` 1 if some buses are not
/// there.
int run_kernel_json(const KernelOptions& options, const std::string& action);

/// `mimic kernel verify`: 0: all agrees, 1: something differs, 2: this kernel could not be asked.
int run_kernel_verify(const KernelOptions& options);

}  // namespace mimic::machine
