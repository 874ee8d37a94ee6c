// SPDX-License-Identifier: Apache-2.0
#include "guest_image/module_folders.h"

#include <algorithm>
#include <filesystem>

#include "guest_image/initramfs.h"
#include "guest_image/kernel_files.h"

namespace mimic::guest_image {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxModule = 256u << 20;  // arbitrary; with debug information some have 60 MB
constexpr size_t kMaxLoaded = 1024;        // arbitrary; one of Debian's 6.12 needs 30
constexpr size_t kMaxIndex = 64u << 20;    // arbitrary; Debian's modules.dep has 700 kB

std::vector<std::string> words_of(std::string_view text, char separator) {
    std::vector<std::string> out;
    while (!text.empty()) {
        const size_t end = std::min(text.find(separator), text.size());
        if (end > 0) out.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

bool is_module(const fs::path& path) {
    const std::string name = path.filename().string();
    for (const std::string_view end : {".ko", ".ko.gz", ".ko.xz", ".ko.zst"})
        if (name.ends_with(end)) return true;
    return false;
}

bool has_index(const fs::path& folder) {
    std::error_code ignored;
    return fs::is_regular_file(folder / "modules.dep", ignored);
}

/// Names of the folders in `folder` that have an index.
std::vector<std::string> releases_in(const fs::path& folder) {
    std::vector<std::string> out;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        if (has_index(at->path())) out.push_back(at->path().filename().string());
    std::sort(out.begin(), out.end());
    return out;
}

/// The .ko files directly in `folder`, by path.
Result<std::vector<std::string>> loose_files(const std::string& folder) {
    std::vector<std::string> out;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        if (is_module(at->path())) out.push_back(at->path().string());
        if (out.size() > ModuleFolders::kMaxLoose)
            return fail(std::errc::invalid_argument,
                        "more than {} modules directly in it, which would all be loaded; expected "
                        "what 'make modules_install' fills, or a folder of the few that you want",
                        ModuleFolders::kMaxLoose);
    }
    if (error) return tl::unexpected<Error>(Error::from_errno(error.value(), "read it"));
    std::sort(out.begin(), out.end());
    return out;
}

}  // namespace

Result<std::string> ModuleFolders::find_tree(const std::string& folder,
                                             const std::string& name) const {
    if (has_index(folder)) return folder;
    for (const std::string& below : {folder, folder + "/lib/modules"}) {
        const std::vector<std::string> releases = releases_in(below);
        if (releases.empty()) continue;
        if (target_.release.empty() && releases.size() == 1) return below + "/" + releases.front();
        if (std::find(releases.begin(), releases.end(), target_.release) != releases.end())
            return below + "/" + target_.release;
        return fail(
            std::errc::invalid_argument,
            "{} has modules of Linux {}, and {} is Linux {}; expected those that 'make "
            "modules_install INSTALL_MOD_PATH=DIR' makes of the same build",
            name, fmt::join(releases, ", "), target_.kernel,
            target_.release.empty() ? "of a release that it does not tell" : target_.release);
    }
    return std::string();
}

Status ModuleFolders::add(const std::string& folder, const std::string& name) {
    std::error_code error;
    if (!fs::exists(folder, error))
        return fail(std::errc::no_such_file_or_directory,
                    "{} does not exist; expected a folder of "
                    "kernel modules",
                    name);
    if (!fs::is_directory(folder, error))
        return fail(std::errc::not_a_directory,
                    "{} is no folder; expected a folder of kernel "
                    "modules",
                    name);
    MIMIC_ASSIGN_OR_RETURN(const std::string tree, find_tree(folder, name));
    if (tree.empty()) {
        Status added = add_loose(folder, name);
        if (!added) return tl::unexpected(std::move(added).error().with_context(name));
        return {};
    }
    if (Status added = add_tree(tree); !added)
        return tl::unexpected(std::move(added).error().with_context(name));
    return {};
}

Status ModuleFolders::add_tree(const std::string& folder) {
    MIMIC_ASSIGN_OR_RETURN(const std::string dep,
                           read_host_file(folder + "/modules.dep", kMaxIndex));
    for (const std::string& line : words_of(dep, '\n')) {
        const size_t colon = line.find(':');
        if (colon == std::string::npos) continue;
        Entry entry;
        entry.path = folder + "/" + line.substr(0, colon);
        // What must be loaded first is last.
        for (const std::string& need : words_of(std::string_view(line).substr(colon + 1), ' '))
            entry.needs.push_back(module_name(need));
        std::reverse(entry.needs.begin(), entry.needs.end());
        entries_.try_emplace(module_name(line.substr(0, colon)), std::move(entry));
    }
    if (const auto builtin = read_host_file(folder + "/modules.builtin", kMaxIndex))
        for (const std::string& line : words_of(*builtin, '\n')) builtin_.insert(module_name(line));
    if (tree_.empty()) tree_ = folder;
    return {};
}

Status ModuleFolders::add_loose(const std::string& folder, const std::string& name) {
    MIMIC_ASSIGN_OR_RETURN(const auto files, loose_files(folder));
    if (files.empty())
        return fail(std::errc::invalid_argument,
                    "there is neither modules.dep nor a .ko file in {}; expected what 'make "
                    "modules_install INSTALL_MOD_PATH=DIR' fills, or a folder of .ko files",
                    name);
    for (const std::string& path : files) {
        Entry entry{.path = path, .needs = {}};
        const std::string module = module_name(path);
        MIMIC_TRY(check(entry));
        if (entries_.try_emplace(module, std::move(entry)).second) loose_.push_back(module);
    }
    return {};
}

Result<std::string> ModuleFolders::content(const std::string& path) {
    MIMIC_ASSIGN_OR_RETURN(std::string packed, read_host_file(path, kMaxModule));
    if (path.ends_with(".ko")) return packed;
    auto plain = decompress(packed, kMaxModule);
    if (!plain) return tl::unexpected(std::move(plain).error().with_context(path));
    return plain;
}

/// Whether it is for this kernel; fills what it needs, if no index has said it.
Status ModuleFolders::check(Entry& entry) {
    if (entry.checked) return {};
    MIMIC_ASSIGN_OR_RETURN(const std::string file, content(entry.path));
    auto facts = read_module_facts(file, target_.arch);
    if (!facts) return tl::unexpected(std::move(facts).error().with_context(entry.path));
    if (!target_.release.empty() && facts->release() != target_.release)
        return fail(std::errc::invalid_argument,
                    "{} was built for Linux {} (vermagic), and {} is Linux {}; expected a module "
                    "that was built against this kernel's headers (make -C HEADERS M=DIR modules)",
                    entry.path, facts->release().empty() ? "of no release" : facts->release(),
                    target_.kernel, target_.release);
    if (entry.needs.empty()) entry.needs = facts->needs;
    entry.checked = true;
    return {};
}

bool ModuleFolders::has(const std::string& name) const {
    return entries_.contains(module_name(name));
}

bool ModuleFolders::is_builtin(const std::string& name) const {
    return builtin_.contains(module_name(name));
}

Status ModuleFolders::visit(const std::string& name, const std::string& whose,
                            std::set<std::string>& seen, std::vector<std::string>& out) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
        if (builtin_.contains(name)) return {};
        return fail(std::errc::no_such_file_or_directory,
                    "{} needs the module {}, which is neither among 'modules' nor built into the "
                    "kernel as far as they tell; expected {}.ko beside it",
                    whose, name, name);
    }
    if (!seen.insert(name).second) return {};
    // Also the depth of this call.
    if (seen.size() > kMaxLoaded)
        return fail(std::errc::invalid_argument,
                    "{} needs more than {} modules, as 'modules' tell it; expected the few of a "
                    "driver",
                    whose, kMaxLoaded);
    MIMIC_TRY(check(found->second));
    for (const std::string& need : found->second.needs)
        MIMIC_TRY(visit(need, found->second.path, seen, out));
    out.push_back(found->second.path);
    return {};
}

Result<std::vector<std::string>> ModuleFolders::order(const std::vector<std::string>& names) {
    std::set<std::string> seen;
    std::vector<std::string> out;
    for (const std::string& name : names)
        MIMIC_TRY(visit(module_name(name), "the machine", seen, out));
    return out;
}

}  // namespace mimic::guest_image
