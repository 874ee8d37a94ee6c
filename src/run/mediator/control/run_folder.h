// SPDX-License-Identifier: Apache-2.0
// Where running mediators live, and how they are found by name.
//
//   ${XDG_RUNTIME_DIR:-/tmp/mimic-<uid>}/mimic-mediator/     0700, ours
//       <name>/                 run folder of a mediator whose configuration names no other
//           lock                held by the mediator: there is one a folder
//           control.sock        its control API
//           mediator.sock       framed protocols, unless the configuration names another place
//           backend-<name>.sock one a backend; outlives the mediator for a while
//       <name>.at               link to the run folder of one whose configuration names another
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mimic::mediator {

inline constexpr std::string_view kDefaultName = "default";

/// True for an RFC 1123 label, which is the only kind of name; anything else must not become part
/// of a path.
bool is_mediator_name(std::string_view name);

/// The folder of all mediators of this user, not created.
std::string mediators_path();

/// A run folder, claimed: no other mediator takes it while this lives. Movable.
class RunFolder {
public:
    /// Takes `path` (made with mode 0700 where it is missing), or the default one of `name` if that
    /// is empty. Errors: device_or_resource_busy if a mediator has it; permission_denied for a
    /// folder that is not ours alone; those of mkdir(2) and open(2).
    static Result<RunFolder> claim(std::string_view name, const std::string& path);

    RunFolder(RunFolder&&) = default;
    RunFolder& operator=(RunFolder&&) = default;
    ~RunFolder();

    const std::string& path() const { return path_; }
    std::string control_socket() const { return path_ + "/control.sock"; }

private:
    RunFolder() = default;

    std::string path_;
    std::string link_;  // empty: none
    UniqueFd lock_;
};

struct FoundMediator {
    std::string name;
    std::string folder;
    std::string control_socket;
};

/// Mediators of this user that run, by name; those of another folder of all mediators if one is
/// named.
std::vector<FoundMediator> find_mediators(const std::string& folder = mediators_path());

}  // namespace mimic::mediator
