// SPDX-License-Identifier: Apache-2.0
// ModuleFolders: the kernel modules that a user names (`modules:`), found by name, with what they
// need. A folder is either what `make modules_install` fills (modules.dep tells what is there), or
// holds .ko files.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "guest_image/module_file.h"
#include "topology/model.h"

namespace mimic::guest_image {

/// What modules must be for.
struct ModuleTarget {
    topology::Arch arch = topology::Arch::kX86_64;
    std::string release;  // of the kernel; empty: nobody knows, and none is refused for it
    std::string kernel;   // what messages call it
};

/// Thread-bound.
class ModuleFolders {
public:
    explicit ModuleFolders(ModuleTarget target) : target_(std::move(target)) {}

    /// Adds a folder; what an earlier one has is taken from there. `name` is what messages call it.
    /// Reads modules.dep, or the .ko files themselves where there is none (at most kMaxLoose).
    /// Errors: not_a_directory, permission_denied and others of reading; invalid_argument for a
    /// folder without modules, or with those of another release only.
    Status add(const std::string& folder, const std::string& name);

    /// Modules that lie in a folder itself, by name: those are loaded.
    const std::vector<std::string>& loose() const { return loose_; }

    bool has(const std::string& name) const;
    bool is_builtin(const std::string& name) const;

    /// Paths of the modules called `names` and of all that they need, each before those that need
    /// it. Errors: no_such_file_or_directory for a module that is needed and not there, with who
    /// needs it; invalid_argument for one that was built for another kernel or architecture, with
    /// both releases.
    Result<std::vector<std::string>> order(const std::vector<std::string>& names);

    /// The content of a module, unpacked. Errors: of reading; illegal_byte_sequence.
    static Result<std::string> content(const std::string& path);

    /// The folder that modules_install filled for the kernel; empty if there was none.
    const std::string& tree() const { return tree_; }

    static constexpr size_t kMaxLoose = 512;  // arbitrary

private:
    struct Entry {
        std::string path;
        std::vector<std::string> needs;
        bool checked = false;
    };
    Status add_tree(const std::string& folder);
    Status add_loose(const std::string& folder, const std::string& name);
    Result<std::string> find_tree(const std::string& folder, const std::string& name) const;
    Status check(Entry& entry);
    Status visit(const std::string& name, const std::string& whose, std::set<std::string>& seen,
                 std::vector<std::string>& out);

    const ModuleTarget target_;
    std::map<std::string, Entry> entries_;
    std::set<std::string> builtin_;
    std::vector<std::string> loose_;
    std::string tree_;
};

}  // namespace mimic::guest_image
