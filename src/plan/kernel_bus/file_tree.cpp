// SPDX-License-Identifier: Apache-2.0
// Every system call names a single path component below a descriptor of its folder, with
// O_NOFOLLOW: whatever links stand in the folder, or appear while we write, nothing is reached
// through them.
#include "kernel_bus/file_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/unique_fd.h"

namespace mimic::kernel_bus {
namespace {

// Says that the folder was written by us, and lists what may be removed: names, one a line.
constexpr const char* kMark = ".mimic-tree";
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr size_t kMaxMark = 4096;  // bytes; arbitrary, ours has a few dozen

std::string_view parent_of(std::string_view path) {
    const size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string name_of(const std::string& path) {
    return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

std::vector<std::string_view> parts_of(std::string_view path) {
    std::vector<std::string_view> parts;
    while (!path.empty()) {
        const size_t slash = path.find('/');
        parts.push_back(path.substr(0, slash));
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    }
    return parts;
}

Result<UniqueFd> open_folder(int at, const std::string& name) {
    UniqueFd fd(::openat(at, name.c_str(), kFolderFlags));
    if (!fd) return fail_errno("{}", name);
    return fd;
}

Result<std::set<std::string>> names_in(int folder) {
    // The stream takes a descriptor of its own.
    const int copy = ::openat(folder, ".", kFolderFlags);
    if (copy < 0) return fail_errno("cannot open the folder");
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(copy), ::closedir);
    if (!stream) {
        ::close(copy);
        return fail(std::errc::io_error, "fdopendir");
    }
    std::set<std::string> names;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this stream.
    for (errno = 0; const dirent* const entry = ::readdir(stream.get()); errno = 0) {
        const std::string name = static_cast<const char*>(entry->d_name);
        if (name != "." && name != "..") names.insert(name);
    }
    if (errno != 0) return fail_errno("cannot read the folder");
    return names;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as folders are.
Status remove_all(int at, const std::string& name) {
    if (::unlinkat(at, name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return fail_errno("cannot remove {}", name);
    {
        MIMIC_ASSIGN_OR_RETURN(const UniqueFd folder, open_folder(at, name));
        MIMIC_ASSIGN_OR_RETURN(const auto names, names_in(folder.get()));
        for (const std::string& each : names) MIMIC_TRY(remove_all(folder.get(), each));
    }
    if (::unlinkat(at, name.c_str(), AT_REMOVEDIR) != 0)
        return fail_errno("cannot remove {}", name);
    return {};
}

Status write_file(int at, const std::string& name, std::string_view content) {
    const UniqueFd fd(
        ::openat(at, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!fd) return fail_errno("{}", name);
    while (!content.empty()) {
        const ssize_t count = ::write(fd.get(), content.data(), content.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("write {}", name);
        content.remove_prefix(static_cast<size_t>(count));
    }
    return {};
}

/// The names that an earlier call wrote; nothing if there is no mark.
Result<std::set<std::string>> marked_names(int root) {
    const UniqueFd fd(::openat(root, kMark, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    if (!fd && errno == ENOENT) return std::set<std::string>();
    if (!fd) return fail_errno("{}", kMark);
    std::string text(kMaxMark, '\0');
    const ssize_t count = ::read(fd.get(), text.data(), text.size());
    if (count < 0) return fail_errno("{}", kMark);
    text.resize(static_cast<size_t>(count));
    std::set<std::string> names;
    while (!text.empty()) {
        const std::string name = text.substr(0, text.find('\n'));
        text.erase(0, name.size() + 1);
        // One component, so that a forged mark names nothing outside.
        if (!name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos) {
            names.insert(name);
        }
    }
    return names;
}

Status clear(int root, const std::string& dir, Existing existing) {
    MIMIC_ASSIGN_OR_RETURN(const auto names, names_in(root));
    if (names.empty()) return {};
    if (existing == Existing::kRefuse) {
        return fail(std::errc::directory_not_empty,
                    "{} is not empty; --force replaces what mimic wrote there before", dir);
    }
    MIMIC_ASSIGN_OR_RETURN(const auto ours, marked_names(root));
    for (const std::string& name : ours) MIMIC_TRY(remove_all(root, name));
    return remove_all(root, kMark);
}

Status write_entry(int at, const std::string& name, const FileTree::Entry& entry) {
    switch (entry.kind) {
        case FileTree::Kind::kFolder:
            if (::mkdirat(at, name.c_str(), 0755) != 0) return fail_errno("{}", name);
            return {};
        case FileTree::Kind::kFile:
            return write_file(at, name, entry.content);
        case FileTree::Kind::kLink:
            break;
    }
    if (::symlinkat(entry.content.c_str(), at, name.c_str()) != 0) return fail_errno("{}", name);
    return {};
}

/// Opens the folder at `path` below `root`, a component at a time.
Result<UniqueFd> open_below(int root, const std::string& path) {
    MIMIC_ASSIGN_OR_RETURN(UniqueFd at, open_folder(root, "."));
    for (const std::string_view part : parts_of(path)) {
        MIMIC_ASSIGN_OR_RETURN(at, open_folder(at.get(), std::string(part)));
    }
    return at;
}

}  // namespace

void FileTree::add_parents(const std::string& path) {
    MIMIC_CHECK(!path.empty() && path.front() != '/' && path.back() != '/');
    for (std::string_view above = parent_of(path); !above.empty(); above = parent_of(above)) {
        if (!entries_.try_emplace(std::string(above)).second) break;
    }
}

void FileTree::add_folder(const std::string& path) {
    add_parents(path);
    entries_[path] = {};
}

void FileTree::add_file(const std::string& path, std::string content) {
    add_parents(path);
    entries_[path] = {Kind::kFile, std::move(content)};
}

void FileTree::add_link(const std::string& path, std::string_view target) {
    add_parents(path);
    const auto from = parts_of(parent_of(path));
    const auto to = parts_of(target);
    size_t same = 0;
    // The last part stays, so that the text ends with the target's name also if that is above.
    while (same < from.size() && same + 1 < to.size() && from[same] == to[same]) ++same;
    std::string text;
    for (size_t i = same; i < from.size(); ++i) text += "../";
    for (size_t i = same; i < to.size(); ++i) {
        text += to[i];
        if (i + 1 < to.size()) text += '/';
    }
    entries_[path] = {Kind::kLink, std::move(text)};
}

const FileTree::Entry* FileTree::find(const std::string& path) const {
    const auto found = entries_.find(path);
    return found == entries_.end() ? nullptr : &found->second;
}

Status write_tree(const FileTree& tree, const std::string& wanted_dir, Existing existing) {
    std::string dir = wanted_dir;
    // With a slash behind it, a link would be followed.
    while (dir.size() > 1 && dir.back() == '/') dir.pop_back();
    if (::mkdir(dir.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno("{}", dir);
    MIMIC_ASSIGN_OR_RETURN(const UniqueFd root, open_folder(AT_FDCWD, dir));
    MIMIC_TRY(clear(root.get(), dir, existing));
    MIMIC_ASSIGN_OR_RETURN(const auto foreign, names_in(root.get()));
    std::string mark;
    for (const auto& [path, entry] : tree.entries()) {
        if (path.find('/') != std::string::npos) continue;
        if (foreign.contains(path)) {
            return fail(std::errc::file_exists, "{}/{} was not written by mimic; it stays", dir,
                        path);
        }
        mark += path + "\n";
    }
    // First, so that a tree that was cut short can be replaced.
    MIMIC_TRY(write_file(root.get(), kMark, mark));
    std::string above;  // the folder that `at` is
    MIMIC_ASSIGN_OR_RETURN(UniqueFd at, open_below(root.get(), above));
    for (const auto& [path, entry] : tree.entries()) {
        if (parent_of(path) != above) {
            above = std::string(parent_of(path));
            MIMIC_ASSIGN_OR_RETURN(at, open_below(root.get(), above));
        }
        if (Status status = write_entry(at.get(), name_of(path), entry); !status) {
            return tl::unexpected<Error>(
                std::move(status).error().with_context(fmt::format("{}/{}", dir, above)));
        }
    }
    return {};
}

}  // namespace mimic::kernel_bus
