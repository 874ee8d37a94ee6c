// SPDX-License-Identifier: Apache-2.0
// BootPlanner: from a validated machine and what it boots to the processes that a supervisor
// starts.
#pragma once

#include <string>

#include "base/result.h"
#include "machine/boot.h"
#include "machine/launch_plan.h"
#include "outputs/outputs.h"

namespace mimic::machine {

/// Used once. Borrows its arguments for its life. Thread-bound.
class BootPlanner {
public:
    BootPlanner(const topology::Machine& machine, const BootOptions& options,
                const std::string& run_dir);

    /// Makes the log folder, the run directory's topology.yaml and plan.json, and for an image boot
    /// its disk and seed; returns the plan. Errors: those of writing files; filename_too_long for a
    /// socket path that does not fit sockaddr_un, with what to do about it.
    Result<LaunchPlan> make();

    /// The paths that the plan uses.
    const outputs::RunContext& context() const { return context_; }

private:
    Result<LaunchPlan> make_all();
    Status make_log_folder();
    Status check_socket_paths() const;
    Status write_copies() const;
    Status prepare_kernel();
    Status prepare_disk();
    std::vector<DeviceHostPlan> device_hosts() const;
    void add_server(const topology::DeviceSpec& device, std::vector<DeviceHostPlan>& hosts) const;

    const topology::Machine& machine_;
    const BootOptions& options_;
    const std::string run_dir_;
    outputs::RunContext context_;
    LaunchPlan plan_;
};

/// Now, in UTC: "2026-01-31T12:00:00Z".
std::string utc_now();

/// A TCP port of 127.0.0.1 that is free now. Somebody may take it before QEMU does; then QEMU says
/// so and ends.
Result<uint16_t> free_port();

/// What a person types to log in to a machine that boots an image.
std::string ssh_command(const std::string& run_dir, uint16_t port);

/// True if something that calls itself SSH answers at 127.0.0.1:`port` within a second.
bool answers_ssh(uint16_t port);

}  // namespace mimic::machine
