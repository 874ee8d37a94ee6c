// SPDX-License-Identifier: Apache-2.0
// Where running machines live. A machine is a folder `<run root>/<name>` with its sockets, its plan
// and its state; the folder's lock is held for as long as somebody looks after the machine. What
// must survive a crash (logs, the reason of the end) is below the state root instead.
//
//   ${XDG_RUNTIME_DIR:-/tmp/mimic-<uid>}/mimic/           0700, ours
//       .lock                   held while a folder is claimed or removed
//       <name>/lock             held by `mimic up`, then by the supervisor (the same open file)
//       <name>/state.json       MachineState, see machine_state.h
//       <name>/topology.yaml    copy of the file, so that the machine outlives edits
//       <name>/plan.json        the expected device tree
//       <name>/{qmp,qga,vport,console}.sock  <name>/<function>.sock
//       <name>/streams.sock     commands in the guest, by the supervisor
//       <name>/control-<n>.sock control API of device host n
//       <name>/crashed-<pid>    a device host says that it dies by an injected fault
//   ${XDG_STATE_HOME:-~/.local/state}/mimic/<name>/
//       console.log qemu.log device-host.log supervisor.log exit-reason ended.json
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mimic::machine {

/// Longest path that fits sockaddr_un, without its NUL.
inline constexpr size_t kMaxSocketPath = 107;

/// True for an RFC 1123 label, which is the only kind of machine name; anything else must not
/// become part of a path.
bool is_machine_name(std::string_view name);

/// ${XDG_RUNTIME_DIR:-/tmp/mimic-<uid>}/mimic, not created.
std::string run_root_path();

/// ${XDG_STATE_HOME:-~/.local/state}/mimic. Fails if neither variable nor HOME is set.
Result<std::string> state_root_path();

/// A machine's folder, claimed: nobody else starts or removes a machine of that name while `lock`
/// is open.
struct ClaimedDir {
    std::string path;
    UniqueFd lock;
};

/// The folder of all machines. Immutable.
class RunRoot {
public:
    /// Opens the folder, making it when it is missing. Errors: those of make_private_dir().
    static Result<RunRoot> open();

    const std::string& path() const { return path_; }
    std::string machine_dir(std::string_view name) const { return path_ + "/" + std::string(name); }

    /// Makes the machine's folder and takes its lock. What a killed supervisor left there is ended
    /// and removed first. Errors: device_or_resource_busy if the machine runs; no_space_on_device;
    /// those of mkdir(2).
    Result<ClaimedDir> claim(const std::string& name) const;

    /// Removes a claimed folder with all that is in it, then lets the name go.
    Status remove(ClaimedDir claimed) const;

    /// Whether somebody looks after the machine. False also when there is none.
    bool is_alive(const std::string& name) const;

    /// Ends the processes that a killed supervisor left, and removes the folder and the temporary
    /// files that its launch.json names. Errors: device_or_resource_busy if the machine is alive.
    /// Nothing happens if there is no such folder.
    Status clean_leftovers(const std::string& name) const;

    /// Removes the folder with the logs of a machine that ended. Errors: device_or_resource_busy if
    /// it runs or has leftovers; invalid_argument for what is no name; those of removing files.
    Status remove_logs(const std::string& name) const;

    /// Names of all machines, alive or left over, sorted.
    std::vector<std::string> names() const;

private:
    explicit RunRoot(std::string path) : path_(std::move(path)) {}
    Result<UniqueFd> lock_root() const;
    Status clean_locked(const std::string& name) const;

    std::string path_;
};

}  // namespace mimic::machine
